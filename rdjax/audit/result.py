"""What an audit found: small frozen records, every shown number a `Bound` that says how it is known.

The report formats these records and computes nothing.
"""

from dataclasses import dataclass, field

from rdjax.limits.bound import Bound

OWN = "the audited queries' own frequencies"
STREAM = "average over a stream"
FIXED = "fixed length"
EVERY_CLASS = "A, B, C"
CLASSES = {
    "A": "the encoder searches the corpus",
    "B": "the codebook knows this corpus",
    "C": "made without the searched documents",
}


@dataclass(frozen=True)
class Setting:
    """What was asked, of what, and on which terms.

    `corpus` is its name, with its `notes`; `metric`, `target`, `prior` and `seed` as they were asked for. `documents`,
    `queries` and `fit_queries` count them; `repeated_queries` are those audited that were fitted on. `judgements` is
    "single" (one relevant document a query), "several", or "fidelity" (no judgments: the uncompressed top document
    stands for the relevant one). `protocol` says in words what was fitted where. `dimensions` per modality and
    `stored_bits` describe the vectors as they are today.
    """

    corpus: str
    notes: tuple[str, ...]
    metric: str
    target: float
    judgements: str
    prior: str
    protocol: str
    documents: int
    queries: int
    fit_queries: int
    repeated_queries: int
    dimensions: dict[str, int]
    stored_bits: int
    seed: int


@dataclass(frozen=True)
class Quality:
    """The uncompressed embeddings ranked one way: `name` e.g. "image alone" or "fused, calibrated".

    `value` is the metric with expected ties and `pessimistic` with ties counted against us (measured on the audited
    queries); `interval` its 95% bootstrap interval over queries (estimate). `temperatures` per modality, empty if none.
    """

    name: str
    temperatures: dict[str, float]
    value: Bound
    pessimistic: Bound
    interval: Bound


@dataclass(frozen=True)
class Bits:
    """Bits per item, three ways: `entropy` of the symbols under the fitted model, `packed` in a batch of real bytes,
    `single` item alone in whole bytes; and `touched`, the bits read per item to rank (documents side)."""

    entropy: Bound
    packed: Bound
    single: Bound
    touched: Bound


@dataclass(frozen=True)
class Point:
    """One code at one budget on one side ("queries" or "documents").

    `code` is its own name and `family` the one of its kind. `kind` is FIXED where every item takes as many bits, or
    STREAM where they differ and bits are a mean. `budget` is what a code was asked to take, bits per item,
    `encoder_bytes` what its encoder has to hold, `stored_bytes` what the file of the code takes that `rdjax encode`
    writes: what encodes and what decodes. `code_class` is A, B or C (see `CLASSES`) and `fitted_on` says so in
    words. `chosen_by` is the lower bound of quality kept on the fit queries that choices are made by, and `chosen_bits`
    the packed bits per item, of stored documents, or of fit queries without a batch's header (unknown where they were
    not looked at). `value`, `interval`, `kept` (share of today's quality) and `kept_interval` (paired, 95%) are of the
    audited queries.
    """

    code: str
    family: str
    kind: str
    budget: float
    side: str
    code_class: str
    fitted_on: str
    bits: Bits
    encoder_bytes: int
    stored_bytes: int
    chosen_by: Bound
    chosen_bits: Bound
    value: Bound
    interval: Bound
    kept: Bound
    kept_interval: Bound


@dataclass(frozen=True)
class Floor:
    """What no code of these classes can beat at the target quality, on one side.

    `name` says by which theorem. `bits` is None where no floor is proved, and `why` says so in a sentence. `kind` is
    STREAM or FIXED. `curve` holds (bits, best possible quality) for the figure, empty where there is no curve.
    """

    name: str
    side: str
    classes: str
    kind: str
    bits: Bound | None
    why: str
    curve: tuple[tuple[float, float], ...] = ()


@dataclass(frozen=True)
class Modality:
    """What one modality of a query knows of its relevant document Y, bits per query, all of it estimated.

    `told` = H(Y) - CE with this modality alone; `unique` = CE without it, which is at least H(Y | the others): what the
    others leave open. `price` (with `interval`) is what a code at the aim has to send of this modality, given the
    others: R(D) - (H(Y) - `unique`), or 0.
    """

    name: str
    told: Bound
    unique: Bound
    price: Bound
    interval: Bound


@dataclass(frozen=True)
class Pair:
    """Two modalities: what they tell of the relevant document together, and what they share, bits per query.

    `information` is their mutual information, None where the estimate is withheld, and `why` says so in a sentence.
    """

    first: str
    second: str
    told: Bound
    information: Bound | None
    why: str


@dataclass(frozen=True)
class Measures:
    """What the paper prices modalities by, of the queries' vectors: bounds of nothing, shown as what it defines.

    `entropies` H_m in bits, one for each modality: differential, so they change with the unit of the vectors, and with
    them all that follows. `redundancy_as_printed` is I_cross / sum H_m, `redundancy` the same over M - 1,
    `skew_as_printed` kappa, `imbalance` Delta H in bits. None is what is withheld; `why` says so in sentences.
    """

    entropies: tuple[Bound | None, ...]
    redundancy_as_printed: Bound | None
    redundancy: Bound | None
    skew_as_printed: Bound | None
    imbalance: Bound | None
    why: tuple[str, ...]


@dataclass(frozen=True)
class Temperature:
    """The calibrated temperature of one modality, infinite if it is left out; its 95% interval, or None and `why`."""

    name: str
    value: Bound
    interval: Bound | None
    why: str


@dataclass(frozen=True)
class Example:
    """An audited query by its id, or its row from 0: the metric with a modality, and without it."""

    query: str
    value: Bound
    without: Bound


@dataclass(frozen=True)
class Saving:
    """What the fusion owes to one modality: the same audited queries with it, and without it (`without.assumes`).

    `without` is the metric then, `lost` the mean difference with its paired 95% `interval`. `saved` counts the queries
    that reach the metric's full value only with it, `cost` those that reach it only without it, with their shares of
    all queries, and the queries of each kind on which it matters most.
    """

    name: str
    without: Bound
    lost: Bound
    interval: Bound
    saved: Bound
    saved_share: Bound
    cost: Bound
    cost_share: Bound
    saves: tuple[Example, ...]
    costs: tuple[Example, ...]


@dataclass(frozen=True)
class Stress:
    """What is left where one modality of every query is another query's, which wants another document.

    `wrong` is the metric of the fusion then, `interval` its 95% interval. A decoder that doubts this modality query by
    query, fitted on queries half of which were treated so, has `doubting_right` where nothing is wrong and
    `doubting_wrong` where everything is; `doubt` is what it fitted. These three are None where `why` says so.
    """

    name: str
    wrong: Bound
    interval: Bound
    doubt: Bound | None
    doubting_right: Bound | None
    doubting_wrong: Bound | None
    why: str


@dataclass(frozen=True)
class Fusion:
    """Several modalities ranked together: `name` e.g. "fused, calibrated tau", the metric `value`, and how many queries
    `reached` its full value; then what each modality contributes. `temperatures` are empty where none are calibrated.
    """

    name: str
    value: Bound
    reached: Bound
    reached_share: Bound
    temperatures: tuple[Temperature, ...]
    savings: tuple[Saving, ...]
    stresses: tuple[Stress, ...]


@dataclass(frozen=True)
class Recommendation:
    """The point chosen for one side and one purpose, and the sentence that says so.

    `point` is None where nothing reached the target on fit.
    """

    side: str
    purpose: str
    point: Point | None
    sentence: str


@dataclass(frozen=True)
class Audit:
    """The result of `rdjax.audit.audit`.

    `setting` says what was asked. `today` is the quality that targets are relative to; `aim` = target * today;
    `qualities` are of the uncompressed embeddings, `points` of codes, `floors` of what no code can beat, and
    `recommendations` are chosen among the points. `modalities` and `pairs` are empty and
    `measures` None where there is one modality or no single relevant document; `fusion` is None where there is one
    modality. `answer` are the sentences for a person with a disk, the first one first; `warnings` what to doubt in it.
    """

    setting: Setting
    today: Quality
    aim: Bound
    qualities: tuple[Quality, ...]
    points: tuple[Point, ...]
    floors: tuple[Floor, ...]
    modalities: tuple[Modality, ...]
    pairs: tuple[Pair, ...]
    measures: Measures | None
    fusion: Fusion | None
    recommendations: tuple[Recommendation, ...]
    answer: tuple[str, ...]
    warnings: tuple[str, ...] = field(default=())

    def on(self, side: str) -> tuple[Point, ...]:
        """The points of one side."""
        return tuple(point for point in self.points if point.side == side)
