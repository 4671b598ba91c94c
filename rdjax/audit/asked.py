"""What an audit is asked for: a side, a target, families, a seed, a metric. Refused before anything is computed."""

from collections.abc import Collection

from rdjax.audit.families import require_families
from rdjax.checks import require, whole
from rdjax.data.keys import SIDES
from rdjax.retrieval.metrics import Metric, parse_metric


def sides_of(side: str | None) -> tuple[str, ...]:
    """The sides that are meant: one, or both.

    Raises:
      InputError: it is neither.
    """
    require(side in (None, *SIDES), f"the side is {side!r}; it must be queries or documents.")
    return SIDES if side is None else (side,)


def require_askable(target: float, side: str | None, families: Collection[str], seed: int) -> None:
    """The options of an audit that no corpus is needed to judge.

    Raises:
      InputError: what is out of range, or names no side or family.
    """
    require(0 < target <= 1, f"the target is {target}; it is a share of today's quality, above 0 and at most 1.")
    sides_of(side)
    require_families(families)
    whole(seed, "the seed", 0)


def telling_metric(name: str, documents: int) -> Metric:
    """The metric of a name, if it tells rankings apart: weights never increase, so the last rank is worth less then.

    Raises:
      InputError: an unknown name, or a depth that is the whole list: every code would keep all of today's quality.
    """
    metric = parse_metric(name)
    words = f"{metric.name} is the same for every ranking of {documents:,} documents, so no code can fail it"
    require(metric.weights(float(documents)) < metric.weights(1.0), f"{words}; take a depth below {documents:,}.")
    return metric
