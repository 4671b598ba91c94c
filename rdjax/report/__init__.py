"""What an audit found, for people: on a terminal, as a figure, as files. Formats results and computes nothing.

The names are imported on first use, so that a calculator does not wait for matplotlib.
"""

import importlib
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from rdjax.report.document import check_writable, to_json, write_report
    from rdjax.report.figure import draw
    from rdjax.report.limit import print_limit
    from rdjax.report.progress import Progress
    from rdjax.report.statements import print_statements, statements_to_json
    from rdjax.report.terminal import print_audit

_HOMES = {
    "print_audit": "terminal",
    "Progress": "progress",
    "draw": "figure",
    "to_json": "document",
    "write_report": "document",
    "check_writable": "document",
    "print_limit": "limit",
    "print_statements": "statements",
    "statements_to_json": "statements",
}

__all__ = [
    "Progress",
    "check_writable",
    "draw",
    "print_audit",
    "print_limit",
    "print_statements",
    "statements_to_json",
    "to_json",
    "write_report",
]


def __getattr__(name: str) -> Any:
    """Import a name of the report when it is first asked for."""
    if name in _HOMES:
        return getattr(importlib.import_module(f"rdjax.report.{_HOMES[name]}"), name)
    raise AttributeError(f"module 'rdjax.report' has no attribute {name!r}")
