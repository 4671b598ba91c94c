"""Every statement of the paper, in its order."""

from collections.abc import Iterator

from rdjax.paper import (
    achievability,
    appendix,
    closing,
    construction,
    contrastive,
    converse,
    flickr_table,
    formulation,
    mixture_table,
    opening,
    samples,
)
from rdjax.paper.record import Evidence, Statement

_PARTS = (
    opening,
    formulation,
    converse,
    contrastive,
    construction,
    achievability,
    samples,
    mixture_table,
    flickr_table,
    closing,
    appendix,
)


def statements() -> tuple[Statement, ...]:
    """All numbered statements of the paper, and what it says in numbers without numbering it, in the paper's order.

    Returns:
      `Statement`s; nothing is computed before `Statement.evidence` is called.
    """
    return tuple(statement for part in _PARTS for statement in part.STATEMENTS)


def examined() -> Iterator[tuple[Statement, Evidence | None]]:
    """Every statement with its evidence, computed now, one after the other; None where nothing was tested."""
    for statement in statements():
        yield statement, statement.evidence()
