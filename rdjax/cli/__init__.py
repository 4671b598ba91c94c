"""The command line: arguments in, report out; no mathematics. One file for each command."""

from rdjax.cli import auditing, calculating, checking, coding, reproducing  # noqa: F401  each adds its commands to the app
from rdjax.cli.entry import app

__all__ = ["app"]
