"""Bound: the one type for every limit and every measurement that is shown.

A number without its evidence is a rumor. A `Bound` holds an interval, says how it is known, and names what it rests
on.
"""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any

import numpy as np

from rdjax.checks import require
from rdjax.trees import register_dataclass

EVIDENCE = {
    "theorem": "proved, for every source that satisfies what is assumed",
    "certificate": "computed with a proof that the true value is inside the interval",
    "model": "exact for a fitted model, which is not the data",
    "measured": "a fact about these very queries",
    "estimate": "a statistical estimate from these queries",
}
AVERAGED = "bits averaged over a stream of queries, uniquely decodable"  # what rates of a curve R(D) rest on


@partial(register_dataclass, data_fields=["lower", "upper"], meta_fields=["evidence", "assumes"])
@dataclass(frozen=True)
class Bound:
    """lower <= value <= upper, with how it is known and what it rests on.

    Args:
      lower: the value is at least this (-inf where nothing is known); a number or array, units by context.
      upper: the value is at most this (inf where nothing is known); same shape.
      evidence: a key of `EVIDENCE`: theorem, certificate, model, measured or estimate.
      assumes: what it rests on, in words, e.g. ("uniform prior",).
    """

    lower: Any
    upper: Any
    evidence: str
    assumes: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        require(self.evidence in EVIDENCE, f"evidence is {self.evidence!r}; it must be one of {', '.join(EVIDENCE)}.")
        require(not isinstance(self.assumes, str), f"assumes is {self.assumes!r}; give a tuple of such words.")
        object.__setattr__(self, "assumes", tuple(self.assumes))

    @property
    def exact(self) -> bool:
        """Whether both sides agree, so that the bound is a value."""
        return bool(np.all(np.asarray(self.lower) == np.asarray(self.upper)))

    def assuming(self, *words: str) -> "Bound":
        """The same numbers, resting on these words too, each a sentence's end such as "uniform prior"."""
        return replace(self, assumes=(*self.assumes, *words))

    @classmethod
    def value(cls, number: Any, evidence: str, *assumes: str) -> "Bound":
        """A number or array known from both sides, by this evidence, if one assumes the words that follow."""
        return cls(number, number, evidence, assumes)

    @classmethod
    def at_least(cls, number: Any, evidence: str, *assumes: str) -> "Bound":
        """A number or array as a floor, by this evidence, if one assumes the words that follow; no ceiling."""
        return cls(number, np.full(np.shape(number), np.inf)[()], evidence, assumes)
