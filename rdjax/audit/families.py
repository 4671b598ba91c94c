"""The families of codes that an audit tries, and their budgets. A new code joins the audit here."""

from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from rdjax.codes import (
    Code,
    EntropyCodedScalar,
    Int8,
    RankCode,
    ScalarQuantizer,
    SignBits,
    SignBitsRescored,
    Truncation,
)
from rdjax.codes.transform import fit_pca

BUDGETS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096)

Maker = Callable[["Training"], Code | None]


@dataclass(frozen=True)
class Training:
    """What a code of one class may be fitted on, in one view: vectors [n, D]; `documents` are those searched."""

    vectors: np.ndarray
    documents: np.ndarray

    @cached_property
    def principal(self) -> Any:
        """All principal components, shared by every budget."""
        return fit_pca(self.vectors, min(len(self.vectors) - 1, self.vectors.shape[1]))


@dataclass(frozen=True)
class Trial:
    """A family of codes in one class on one side, with a maker for each of its budgets, smallest first."""

    side: str
    family: str
    code_class: str
    makers: tuple[Maker, ...]


RANK_CODE = "rank code"


def trials(side: str, dimension: int, modalities: int, chosen: Collection[str] | None = None) -> Iterator[Trial]:
    """Every family that this side is tried with, or those whose names are `chosen`."""
    wanted = lambda family: chosen is None or family in chosen
    if side == "queries" and wanted(RANK_CODE):
        yield Trial(side, RANK_CODE, "A", (lambda training: RankCode.fit(training.documents),))
    for code_class in ("B", "C"):
        for family, makers in _families(side, dimension, modalities).items():
            if wanted(family):
                yield Trial(side, family, code_class, tuple(makers))


def _families(side: str, dimension: int, modalities: int) -> dict[str, list[Maker]]:
    budgets = [b for b in BUDGETS if b <= 8 * dimension]
    kept = [k for k in (32, 128, 256, 512, 1024) if k <= dimension]
    families: dict[str, list[Maker]] = {
        "PCA truncation": [_truncation(k, "pca") for k in kept],
        "PCA + scalar": [_scalar(b) for b in budgets],
        "PCA + entropy-coded scalar": [_entropy_coded(b) for b in budgets],
        "scalar": [_plain_scalar(b * dimension) for b in (2, 3, 4)],
        "entropy-coded scalar": [_plain_entropy_coded(b * dimension) for b in (0.25, 0.5, 1, 1.5, 2)],
        "sign bits": [*(_signs(k) for k in (64, 256, 512, 1024) if k < dimension), _signs(None)],
        "int8": [lambda training: Int8.fit(training.vectors)],
    }
    if modalities == 1:  # the first coordinates of several modalities side by side would be those of the first
        families["first coordinates"] = [_truncation(k, "coordinates") for k in kept]
    if side == "documents":
        families["sign bits, int8 rescores"] = [_rescored]
    return families


def _truncation(k: int, transform: str) -> Maker:
    def make(training: Training) -> Code | None:
        if transform == "coordinates":
            return Truncation.fit(training.vectors, k)
        return Truncation(training.principal.take(k), "float16") if k <= training.principal.k else None

    return make


def _scalar(bits: int) -> Maker:
    def make(training: Training) -> Code | None:
        if bits > 8 * training.principal.k:
            return None
        return ScalarQuantizer.fit(training.vectors, bits, transform=training.principal)

    return make


def _entropy_coded(bits: int) -> Maker:
    def make(training: Training) -> Code | None:
        if bits > 5 * training.principal.k:
            return None
        return EntropyCodedScalar.fit(training.vectors, bits, transform=training.principal)

    return make


def _plain_scalar(bits: int) -> Maker:
    return lambda training: ScalarQuantizer.fit(training.vectors, bits, transform="coordinates", spread="equal")


def _plain_entropy_coded(bits: float) -> Maker:
    return lambda training: EntropyCodedScalar.fit(training.vectors, bits, transform="coordinates")


def _signs(k: int | None) -> Maker:
    transform = "coordinates" if k is None else "rotation"
    return lambda training: SignBits.fit(training.vectors, k, transform=transform)


def _rescored(training: Training) -> Code | None:
    return SignBitsRescored.fit(training.vectors, max(1, min(100, len(training.documents) // 10)))
