"""The paper's tables, figure and statements as one page of HTML that needs nothing beside it."""

import importlib.resources
from collections.abc import Mapping, Sequence
from typing import Any

from rdjax.paper.tables import AS_PRINTED, Table
from rdjax.report.paper_tables import cells

TEMPLATE = "paper_page.html"


def render_paper(
    tables: Sequence[Table], statements: Mapping[str, Any], figure: str, versions: Mapping[str, str]
) -> str:
    """The page.

    Args:
      tables: as `rdjax.paper.tables` assembles them, in the order in which they are to stand.
      statements: as `statements_to_json` gives them.
      figure: the text of an SVG file, which goes into the page as it is.
      versions: of what computed it.

    Returns:
      HTML.
    """
    from jinja2 import Environment, StrictUndefined

    text = importlib.resources.files("rdjax.report").joinpath(TEMPLATE).read_text(encoding="utf-8")
    environment = Environment(autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)
    counts = dict.fromkeys(statements["verdicts"], 0)
    for statement in statements["statements"]:
        counts[statement["verdict"]] += 1
    return environment.from_string(text).render(
        tables=tables,
        figure=figure[figure.index("<svg") :],
        statements=statements["statements"],
        verdicts=statements["verdicts"],
        counts=counts,
        versions=versions,
        cells=lambda row: cells(row, errors=True),
        numbers=_numbers,
        as_printed=AS_PRINTED,
    )


def _numbers(values: Any) -> str:
    """One number of a statement, or several."""
    return ", ".join(
        f"{value:.4g}" for value in (values if isinstance(values, list) else [values]) if value is not None
    )
