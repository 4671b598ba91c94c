"""The command line: arguments in, report out; no mathematics. One file for each command."""

from rdjax.cli import (  # noqa: F401  each adds its commands to the app
    auditing,
    calculating,
    checking,
    coding,
    reproducing,
    sweeping,
)
from rdjax.cli.entry import app

__all__ = ["app"]
