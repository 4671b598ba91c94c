"""What is said of one statement of the paper: its words, the verdict, and a check that is computed when asked for."""

from collections.abc import Callable
from dataclasses import dataclass

import jax

from rdjax.checks import require

VERDICTS = {
    "true": "holds as printed",
    "true in part": "holds under conditions that are not stated, or in one half",
    "false": "refuted by the instance that is computed beside it",
    "not defined": "names something that need not exist or that has no one value",
    "not tested": "a conjecture, or about data that are not at hand",
}

Numbers = float | tuple[float, ...]


@dataclass(frozen=True)
class Evidence:
    """One instance, computed from the formulas when it is asked for.

    Args:
      words: what the two numbers are, and of which instance; units are in the words.
      printed: what the paper's statement gives there.
      found: what is true there.
      holds: whether the statement holds on this instance, decided by the numbers.
    """

    words: str
    printed: Numbers
    found: Numbers
    holds: bool


@dataclass(frozen=True)
class Statement:
    """One statement of the paper.

    Args:
      number: the paper's number, "(5)" or "Theorem 4.1"; or the section, "Section 7.2", with a letter where it says
        more than one thing.
      where: the section it stands in, in words.
      quote: the paper's own words.
      verdict: a key of `VERDICTS`.
      why: one sentence.
      counterexample: computes the `Evidence`: an instance that refutes the statement, or where it is true one that
        bears it out; None if and only if it was not tested.
      replaced_by: dotted name of what states the truth in rdjax.

    Raises:
      InputError: an unknown verdict, or a check missing or too many.
    """

    number: str
    where: str
    quote: str
    verdict: str
    why: str
    counterexample: Callable[[], Evidence] | None
    replaced_by: str

    def __post_init__(self) -> None:
        require(self.verdict in VERDICTS, f"the verdict is {self.verdict!r}; it must be one of {', '.join(VERDICTS)}.")
        untested = self.verdict == "not tested"
        require(
            untested == (self.counterexample is None),
            f"{self.number} is {self.verdict}; all but what was not tested come with a check, and that with none.",
        )

    def evidence(self) -> Evidence | None:
        """The check, computed now and in float64; None where nothing was tested."""
        if self.counterexample is None:
            return None
        with jax.enable_x64(True):
            return self.counterexample()
