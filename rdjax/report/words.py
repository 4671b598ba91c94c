"""Numbers as a person reads them; an infinite floor is said in a word."""

import math
from typing import Any

from rdjax.limits.bound import Bound

UNREACHABLE = "unreachable"

#: what the paper prices modalities by, after H of each: field of `Measures` -> name and formula
MEASURES = {
    "redundancy_as_printed": "redundancy (I_cross / sum of H)",
    "redundancy": "redundancy of at most 1 (I_cross / ((M - 1) sum of H))",
    "skew_as_printed": "kappa ((1 - redundancy) / (M - 1))",
    "imbalance": "Delta H (sum of |H - mean H|), bits",
}
MEASURED = (
    "H: differential entropy of the vectors of one modality's queries; I_cross: bits that every two of the M "
    "modalities share, each pair counted twice."
)


def number(bound: Bound) -> float:
    """The one number to show of a bound: the side that is known, the lower one where both are."""
    lower, upper = float(bound.lower), float(bound.upper)
    return upper if lower == -math.inf else lower


def quality(bound: Bound) -> str:
    """E.g. "0.712"."""
    return f"{number(bound):.3f}"


def share(bound: Bound) -> str:
    """E.g. "95.2%"."""
    return f"{number(bound):.1%}"


def interval(bound: Bound) -> str:
    """E.g. "[0.683, 0.740]"."""
    return f"[{float(bound.lower):.3f}, {float(bound.upper):.3f}]"


def share_interval(bound: Bound) -> str:
    """E.g. "[93.9, 96.4]", percent; "no upper end" of a ratio to what may be nothing."""
    low, high = 100 * float(bound.lower), 100 * float(bound.upper)
    return f"[{low:.1f}, {high:.1f}]" if high < math.inf else f"[{low:.1f}, no upper end]"


def between(bound: Bound) -> str:
    """E.g. "4.85", or "0.21 to 0.34" where both sides are known and differ."""
    ends = [f"{float(end):.3g}" for end in (bound.lower, bound.upper)]
    return ends[0] if ends[0] == ends[1] else " to ".join(ends)


def bits(value: Bound | float) -> str:
    """E.g. "4.85", "42.5", "12,288"; "unreachable" where no number of bits suffices."""
    amount = number(value) if isinstance(value, Bound) else float(value)
    if amount == math.inf:
        return UNREACHABLE
    if amount == round(amount) or amount >= 999.5:
        return f"{amount:,.0f}"
    return f"{amount:.2f}" if amount < 99.995 else f"{amount:.1f}"


def tau(value: float | None) -> str:
    """E.g. "0.0506"; "infinite" where a modality is left out."""
    if value is None or value == math.inf:
        return "infinite"
    return f"{value:g}" if value == round(value) else f"{value:#.3g}".rstrip(".")


def temperature(bound: Bound) -> str:
    """The same of a bound."""
    return tau(number(bound))


def temperature_interval(bound: Bound) -> str:
    """E.g. "[0.0460, 0.0558]"."""
    return f"[{tau(float(bound.lower))}, {tau(float(bound.upper))}]"


def count(amount: int, singular: str) -> str:
    """E.g. "1 query", "1,000 documents"."""
    plural = singular[:-1] + "ies" if singular.endswith("y") else singular + "s"
    return f"{amount:,} {singular if amount == 1 else plural}"


def clipped(name: str, most: int) -> str:
    """The name, or its two ends where it has more characters: what tells names apart is often at the end."""
    if len(name) <= most:
        return name
    tail = (most - 3) // 2
    return f"{name[: most - 3 - tail]}...{name[-tail:]}"


def joined(words: Any) -> str:
    """Words with commas, empty ones left out."""
    return ", ".join(word for word in words if word)
