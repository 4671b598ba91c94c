"""The paper's statements beside what is found, on a terminal and as JSON. Formats, computes nothing."""

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any

from rich.console import Console
from rich.text import Text

from rdjax.paper import VERDICTS, Evidence, Statement
from rdjax.report.columns import plain_table
from rdjax.report.document import plain, provenance

Examined = Sequence[tuple[Statement, Evidence | None]]


def print_statements(examined: Examined, console: Console) -> None:
    """Print one row for each statement, then how many have which verdict.

    Args:
      examined: statements with their evidence, as `rdjax.paper.examined` gives them.
      console: a rich console of any width.
    """
    table = plain_table("The paper's statements: as printed, and what is found", ())
    table.add_column("statement", overflow="fold", ratio=1)
    for header in ("printed", "found"):
        table.add_column(header, justify="right", no_wrap=True)
    for statement, evidence in examined:
        table.add_row(_told(statement, evidence), *_numbers(evidence))
    console.print(table)
    console.print(Text(_counted(statement for statement, _ in examined)))


def statements_to_json(examined: Examined) -> dict[str, Any]:
    """The same as what `json.dumps` takes: every field, the evidence computed, and what the verdicts mean.

    Args:
      examined: as for `print_statements`.

    Returns:
      a dict; `evidence` of a statement is null where it was not tested.
    """
    rows = [
        {
            "number": statement.number,
            "where": statement.where,
            "quote": statement.quote,
            "verdict": statement.verdict,
            "why": statement.why,
            "evidence": plain(evidence, statement.number),
            "replaced_by": statement.replaced_by,
        }
        for statement, evidence in examined
    ]
    versions = provenance()["versions"]
    return {"schema": "rdjax.statements/1", "versions": versions, "verdicts": dict(VERDICTS), "statements": rows}


def _told(statement: Statement, evidence: Evidence | None) -> Text:
    """Number and verdict, the quote, why, what the numbers are, and what is true instead."""
    lines = [f'"{statement.quote}"', statement.why, *([f"{evidence.words}."] if evidence else [])]
    head = (f"{statement.number}  {statement.verdict.upper()}", "bold")
    return Text.assemble(head, "\n" + "\n".join(lines), f"\nuse {statement.replaced_by}\n")


def _numbers(evidence: Evidence | None) -> tuple[str, str]:
    """Both columns, a number a line."""
    return ("", "") if evidence is None else (_lines(evidence.printed), _lines(evidence.found))


def _lines(values: float | tuple[float, ...]) -> str:
    return "\n".join(f"{value:.4g}" for value in (values if isinstance(values, tuple) else (values,)))


def _counted(statements: Iterable[Statement]) -> str:
    counts = Counter(statement.verdict for statement in statements)
    lines = [f"{counts.total()} statements:"]
    lines += [f"  {counts[verdict]:3d} {verdict}: {meaning}" for verdict, meaning in VERDICTS.items()]
    return "\n".join(lines)
