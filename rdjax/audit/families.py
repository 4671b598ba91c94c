"""The families of codes that an audit tries, and their budgets. A new code joins the audit here."""

import math
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from difflib import get_close_matches
from functools import partial

from rdjax.audit.training import Training
from rdjax.checks import InputError, require
from rdjax.codes import (
    Code,
    Directional,
    EntropyCodedScalar,
    Int8,
    LearnedCode,
    ProductQuantizer,
    RankCode,
    Renormalized,
    ScalarQuantizer,
    SignBits,
    SignBitsRescored,
    TrellisCode,
    Truncation,
)
from rdjax.codes.trellis import equal_shares
from rdjax.codes.turning import turned_at_random

BUDGETS = (16, 32, 64, 128, 256, 512, 1024, 2048, 4096)
WORDS = 8  # bits of a codebook
SLOW = 256  # bits beyond which codebooks take too long to be tried unasked, and win nothing over scalars
STAGES = 8  # of codebooks in one block of a learned code
CELLS = "dead zone"  # as good as optimal cells from half a bit a coefficient on, and fitted in a tenth of the time
RANK_CODE = "rank code"
STRETCHED = ", stretched"  # how the name of a family ends that gives documents back their length

Maker = Callable[[Training], Code | None]


@dataclass(frozen=True)
class Family:
    """Codes of one kind. `fit(training, side, bits)` raises an InputError where there is none at that budget.

    `budgets(D)` are those that an audit tries, bits per item, smallest first; `free` if others can be asked for too,
    otherwise `bits` says nothing. `several` if it makes sense for several modalities side by side; `learns` if it is
    fitted on which document each query wants; `usual` are the sides that an audit tries it on unasked, and `late` those
    where, unasked, it tries but the budgets that could win (see `closer`), as codebooks are slow. One that `stretches`
    has another beside it, for documents, that gives back lengths (`codes.Renormalized`) and that audits try in its
    stead. Budgets are multiples of `unit`.
    """

    name: str
    fit: Callable[[Training, str, float], Code]
    budgets: Callable[[int], tuple[float, ...]]
    classes: tuple[str, ...] = ("B", "C")
    sides: tuple[str, ...] = ("queries", "documents")
    free: bool = True
    several: bool = True
    learns: bool = False
    usual: tuple[str, ...] = ("queries", "documents")
    late: tuple[str, ...] = ()
    stretches: bool = False
    unit: float = 1.0


@dataclass(frozen=True)
class Trial:
    """A family of codes in one class on one side, with a maker for each of its budgets, smallest first.

    `at(bits)` is a maker for another budget, a multiple of `unit` and `most` at most; None where there is one budget.
    """

    side: str
    family: str
    code_class: str
    makers: tuple[Maker, ...]
    at: Callable[[float], Maker] | None = None
    unit: float = 1.0
    most: float = math.inf


def trials(side: str, dimension: int, modalities: int, chosen: Collection[str] | None = None) -> Iterator[Trial]:
    """Every usual family of this side, and the late ones without budgets; or those that are `chosen`."""
    for code_class in ("A", "B", "C"):
        for family in FAMILIES:
            wanted = side in (*family.usual, *family.late) if chosen is None else family.name in chosen
            fits = code_class in family.classes and side in family.sides and (family.several or modalities == 1)
            if wanted and fits:
                at = partial(partial, _made, family, side)
                late = chosen is None and side not in family.usual
                makers = tuple(at(bits) for bits in (() if late else family.budgets(dimension)))
                most = SLOW if late else math.inf
                yield Trial(side, family.name, code_class, makers, at if family.free else None, family.unit, most)


def _made(family: Family, side: str, bits: float, training: Training) -> Code | None:
    try:
        return family.fit(training, side, bits)
    except InputError:  # there is no such code of these vectors
        return None


def _up_to(most: int) -> Callable[[int], tuple[float, ...]]:
    """The budgets up to `most` bits per dimension."""
    return lambda dimension: tuple(float(b) for b in BUDGETS if b <= most * dimension)


def _whole(bits: float) -> int:
    require(bits == int(bits), f"the budget is {bits:g} bits; this family takes a whole number.")
    return int(bits)


def _numbers(bits: float) -> int:
    require(bits > 0 and bits % 16 == 0, f"the budget is {bits:g} bits; this family stores numbers of 16 bits each.")
    return int(bits) // 16


def _truncation(training: Training, side: str, bits: float) -> Code:
    k, most = _numbers(bits), training.principal.k
    require(
        k <= most, f"{bits:g} bits are {k} principal components, and there are {most}; ask for {16 * most} at most."
    )
    return Truncation(training.principal.take(k), "float16")


def _first_coordinates(training: Training, side: str, bits: float) -> Code:
    return Truncation.fit(training.vectors, _numbers(bits))


def _scalar(training: Training, side: str, bits: float) -> Code:
    return ScalarQuantizer.fit(training.vectors, _whole(bits), transform=training.principal)


def _plain_scalar(training: Training, side: str, bits: float) -> Code:
    return ScalarQuantizer.fit(training.vectors, _whole(bits), transform="coordinates", spread="equal")


def _entropy_coded(training: Training, side: str, bits: float) -> Code:
    _require_room(bits, 5 * training.principal.k)
    return EntropyCodedScalar.fit(training.vectors, bits, transform=training.principal, cells=CELLS)


def _plain_entropy_coded(training: Training, side: str, bits: float) -> Code:
    return EntropyCodedScalar.fit(training.vectors, bits, transform="coordinates", cells=CELLS)


def _relevance_entropy_coded(training: Training, side: str, bits: float) -> Code:
    chart = training.chart(side)
    _require_room(bits, 5 * chart.k)
    return EntropyCodedScalar.fit(training.examples(side), bits, transform=chart, cells=CELLS)


def _product(training: Training, side: str, bits: float) -> Code:
    k = min(_directions(bits), training.principal.k)
    return ProductQuantizer.fit(training.vectors, _whole(bits), transform=training.principal.take(k), width=WORDS)


def _relevance_product(training: Training, side: str, bits: float) -> Code:
    chart = training.chart(side)
    k = min(_directions(bits), chart.k)
    return ProductQuantizer.fit(training.examples(side), _whole(bits), transform=chart.take(k), width=WORDS)


def _relevance_trellis(training: Training, side: str, bits: float) -> Code:
    chart = training.chart(side)
    k, spent = equal_shares(chart.signal, _whole(bits))
    return TrellisCode.fit(training.examples(side), spent, transform=chart.take(k))


def _learned(training: Training, side: str, bits: float, stretched: bool = False) -> Code:
    chart = training.chart(side)
    blocks = -(-_whole(bits) // (WORDS * STAGES))
    start = ProductQuantizer.fit(
        training.examples(side), _whole(bits), transform=chart.take(min(128, chart.k)), width=WORDS, blocks=blocks
    )
    begun = start if side == "documents" and not stretched else _by_direction(start, training)
    begun = Renormalized.fit(begun, training.seen) if stretched else begun
    fidelity = training.fidelity(side)
    return LearnedCode.fit(
        begun, training.lessons(side), chart=chart, fidelity=fidelity, steps=120, looks=3, patience=3
    )


def _directions(bits: float) -> int:
    """Coefficients worth coding: two bits for each, 32 at least."""
    return max(32, int(bits) // 2)


def _require_room(bits: float, most: float) -> None:
    require(bits <= most, f"the budget is {bits:g} bits; on these vectors this family has use for {most:g} at most.")


def _signs(training: Training, side: str, bits: float) -> Code:
    k, principal = _whole(bits), training.principal
    if k == training.vectors.shape[1]:
        return SignBits.fit(training.vectors, k)
    transform = turned_at_random(principal.take(k)) if 0 < k <= principal.k else "rotation"
    return SignBits.fit(training.vectors, k, transform=transform)


def _rescored(training: Training, side: str, bits: float) -> Code:
    return SignBitsRescored.fit(training.vectors, max(1, min(100, training.searched // 10)))


def _by_direction(code: Code, training: Training) -> Code:
    """Codebooks for what they were not fitted on (class C) are searched for directions: lengths are others there."""
    return Directional.fit(code) if training.blind and isinstance(code, ProductQuantizer | TrellisCode) else code


def _both(family: Family) -> tuple[Family, ...]:
    """The family as it is, and if it stretches one for documents, which get back the length that coding takes.

    Where lengths are nothing to ranking, that of queries and of stretched documents, they are nothing to the encoder.
    """
    if not family.stretches:
        return (family,)

    def as_it_is(training: Training, side: str, bits: float) -> Code:
        code = family.fit(training, side, bits)
        return _by_direction(code, training) if side == "queries" else code

    def fit(training: Training, side: str, bits: float) -> Code:
        require(len(training.seen) > 0, "there are no documents whose lengths could be given back.")
        if family.fit is _learned:
            return _learned(training, side, bits, stretched=True)
        return Renormalized.fit(_by_direction(family.fit(training, side, bits), training), training.seen)

    here = lambda sides: tuple(side for side in sides if side == "documents")
    rest = lambda sides: tuple(side for side in sides if side != "documents")
    plain = replace(family, fit=as_it_is, usual=rest(family.usual), late=rest(family.late))
    stretched = replace(plain, name=f"{family.name}{STRETCHED}", fit=fit, sides=("documents",))
    return plain, replace(stretched, usual=here(family.usual), late=here(family.late))


_WIDE = lambda dimension: tuple(16.0 * k for k in (32, 128, 256, 512, 1024) if k <= dimension)
_SIGNS = lambda dimension: (*(float(k) for k in (64, 256, 512, 1024) if k < dimension), float(dimension))
_ONE = lambda dimension: (0.0,)
_CODEBOOKS = lambda dimension: tuple(float(b) for b in (16, 64, 256) if b <= dimension)
_ALONG_RELEVANCE = lambda dimension: tuple(float(b) for b in (16, 64, 256, 512) if dimension / 16 <= b <= dimension)

_PLAIN = (
    Family(
        RANK_CODE,
        lambda training, side, bits: RankCode.fit(training.documents),
        _ONE,
        classes=("A",),
        sides=("queries",),
        free=False,
    ),
    Family("PCA truncation", _truncation, _WIDE, stretches=True, unit=16),
    Family("PCA + scalar", _scalar, _up_to(8), stretches=True),
    Family("PCA + product", _product, _CODEBOOKS, usual=(), late=("queries", "documents"), stretches=True, unit=WORDS),
    Family("PCA + entropy-coded scalar", _entropy_coded, _up_to(5), stretches=True),
    Family(
        "relevance + product",
        _relevance_product,
        _CODEBOOKS,
        learns=True,
        usual=(),
        late=("documents",),
        stretches=True,
        unit=WORDS,
    ),
    Family("relevance + trellis", _relevance_trellis, _CODEBOOKS, learns=True, usual=(), stretches=True),
    Family("relevance + residual, learned", _learned, _CODEBOOKS, learns=True, usual=(), stretches=True, unit=WORDS),
    Family("relevance + entropy-coded scalar", _relevance_entropy_coded, _ALONG_RELEVANCE, learns=True, stretches=True),
    Family("scalar", _plain_scalar, lambda dimension: tuple(float(b * dimension) for b in (2, 3, 4)), stretches=True),
    Family(
        "entropy-coded scalar",
        _plain_entropy_coded,
        lambda dimension: tuple(b * dimension for b in (0.25, 0.5, 1, 1.5, 2)),
        stretches=True,
    ),
    Family("sign bits", _signs, _SIGNS),
    Family("int8", lambda training, side, bits: Int8.fit(training.vectors), _ONE, free=False),
    # of several modalities side by side the first coordinates would be those of the first
    Family("first coordinates", _first_coordinates, _WIDE, several=False, stretches=True, unit=16),
    Family("sign bits, int8 rescores", _rescored, _ONE, sides=("documents",), free=False),
)
FAMILIES = tuple(each for family in _PLAIN for each in _both(family))


def require_families(names: Collection[str]) -> None:
    """All of these are names of families.

    Raises:
      InputError: naming the first that is none, and all that there are.
    """
    known = [family.name for family in FAMILIES]
    for name in names:
        near = get_close_matches(name, known, n=1)
        hint = f" (did you mean {near[0]!r}?)" if near else ""
        require(name in known, f"the family is {name!r}{hint}; it must be one of: {'; '.join(known)}.")
