"""Table 1 and its sweeps, assembled from cells: a mean with its error for every method and rate, and notes.

Sources: paper, section 7; theory notes, sections 1.6, 1.8, 4, 7 and 10.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from rdjax.paper.cells import Cell
from rdjax.paper.columns import clip_columns, printed_columns
from rdjax.paper.imbalance import RULES, SWEEPS, sweep_sizes
from rdjax.paper.instances import TABLE_BITS, TABLE_ONE
from rdjax.paper.our_columns import fused_columns, learned_columns, limit_columns, rank_columns
from rdjax.paper.readings import ALONE, READINGS, Law, Sizes, draw_trial

AS_PRINTED = "as printed"
RATE = "R, bits per query"
TRIALS = 5  # the paper's
FIRST = "intents"  # the reading that has them all unasked

#: group of columns: (what computes it, seconds on one core)
GROUPS: dict[str, tuple[Callable[..., Any], float]] = {
    "limit": (limit_columns, 2.0),
    "printed": (printed_columns, 13.0),
    "clip": (clip_columns, 9.0),
    "fused": (fused_columns, 30.0),
    "learned": (learned_columns, 15.0),
    "rank": (rank_columns, 20.0),
}

#: (label, group, method in it, key of the paper's Table 1, evidence)
METHODS = (
    ("uncompressed, exact posterior", "limit", "ceiling", "", "measured"),
    ("Naive CLIP", "clip", "clip", "clip", "measured"),
    ("Fixed tau", "printed", "fixed", "fixed", "measured"),
    ("Adaptive tau (10)", "printed", "adaptive (10)", "adaptive", "measured"),
    ("Adaptive tau, section 6", "printed", "adaptive, section 6", "", "measured"),
    ("the same codes, calibrated", "printed", "calibrated", "", "measured"),
    ("ours: all modalities fused", "fused", "fused", "", "measured"),
    ("ours: learned code", "learned", "learned", "", "measured"),
    ("ours: rank code (class A)", "rank", "rank", "", "measured"),
    ("ours, channel: queries coded together", "limit", "channel", "", "measured"),
    ("Theorem D: made without the corpus", "limit", "blind", "", "theorem"),
    ("Theorem B: any code", "limit", "any", "", "theorem"),
    ("Rate-Distortion Bound", "", "", "bound", AS_PRINTED),
)


@dataclass(frozen=True)
class Entry:
    """One number of a table: `mean`, its standard error (None: it has none), and the bits that were spent (or None)."""

    mean: float
    error: float | None = None
    bits: float | None = None


@dataclass(frozen=True)
class Row:
    """A method, how its numbers are known (a key of `limits.bound.EVIDENCE`, or "as printed"), an entry a column."""

    label: str
    evidence: str
    entries: tuple[Entry | None, ...]


@dataclass(frozen=True)
class Table:
    """What is shown: `columns` name the entries of every row, and `corner` says what they are."""

    name: str
    title: str
    corner: str
    columns: tuple[str, ...]
    rows: tuple[Row, ...]
    notes: tuple[str, ...]


def trials_of(reading: str, full: bool) -> int:
    """How many trials a reading gets."""
    return TRIALS if full or reading == FIRST else 1


def table_one_cells(sizes: Sizes, full: bool, readings: Iterable[str] = tuple(READINGS)) -> list[Cell]:
    """Every group of columns of every trial of every reading."""
    cells, law = [], Law()
    for reading in readings:
        for trial in range(trials_of(reading, full)):
            config = {"law": law, "reading": reading, "sizes": sizes, "seed": trial}
            for group, (columns, weight) in GROUPS.items():
                compute = lambda reading=reading, trial=trial, columns=columns: columns(
                    draw_trial(law, reading, sizes, trial), sizes, trial
                )
                name = f"table1-{reading}-{group}-{trial}"
                cells.append(Cell(name, config, (columns.__module__,), compute, weight))
    return cells


def table_one(
    found: Mapping[str, Any], sizes: Sizes, full: bool, readings: Iterable[str] = tuple(READINGS)
) -> list[Table]:
    """A table for each reading, of what `compute_cells` gave for `table_one_cells`."""
    return [_of_reading(found, reading, sizes, trials_of(reading, full)) for reading in readings]


def _of_reading(found: Mapping[str, Any], reading: str, sizes: Sizes, trials: int) -> Table:
    of = lambda group: [found[f"table1-{reading}-{group}-{trial}"] for trial in range(trials)]
    rows = []
    for label, group, method, printed, evidence in METHODS:
        if group:
            parts = [part[method] for part in of(group)]
            rows.append(Row(label, evidence, tuple(_entry(parts, rate) for rate in sizes.rates)))
        if printed:
            rows.append(Row(f"{label}, as printed", AS_PRINTED, _as_printed(printed, sizes.rates)))
    title = f"Table 1, {READINGS[reading]}: mean reciprocal rank against bits per query"
    columns = tuple(str(rate) for rate in sizes.rates)
    notes = (*_facts(of("printed"), of("clip"), trials, sizes), *_verdict(rows, sizes.rates, reading))
    return Table(f"table1-{reading}", title, RATE, columns, tuple(rows), notes)


def _entry(parts: Sequence[Mapping[str, Any]], rate: int) -> Entry | None:
    """Mean over trials; its error over trials, or over corpora where there is one."""
    cells = [cell for part in parts if (cell := part if "values" in part else part.get(str(rate)))]
    if len(cells) < len(parts):
        return None
    if "bound" in cells[0]:
        return Entry(float(np.mean([cell["bound"] for cell in cells])))
    spent = [cell["bits"] for cell in cells]
    bits = None if None in spent else float(np.mean(spent))
    return entry_of([np.array(cell["values"])[:, 0] for cell in cells], bits)


def entry_of(values: Sequence[np.ndarray], bits: float | None = None) -> Entry:
    """From the values of every corpus, trial by trial."""
    sample = np.array([np.mean(v) for v in values]) if len(values) > 1 else np.asarray(values[0], float)
    error = float(sample.std(ddof=1) / np.sqrt(len(sample))) if len(sample) > 1 else None
    return Entry(float(np.mean([np.mean(v) for v in values])), error, bits)


def _as_printed(key: str, rates: Sequence[int]) -> tuple[Entry | None, ...]:
    printed = dict(zip(TABLE_BITS, TABLE_ONE[key], strict=True))
    return tuple(Entry(printed[rate]) if rate in printed else None for rate in rates)


def _facts(printed: Sequence[Any], clip: Sequence[Any], trials: int, sizes: Sizes) -> list[str]:
    entropies = np.array([part["entropies"]["bits"] for part in printed])
    spread = max(part["entropies"]["spread over tau"] for part in printed)
    over = max(
        cell["bits"] - rate for part in printed for rate in sizes.rates if (cell := part["fixed"].get(str(rate)))
    )
    whole = np.mean([np.array(part["clip, uncompressed"]["values"])[:, 0].mean() for part in clip])
    named = ", ".join(f"{h:.2f}" for h in entropies.mean(axis=0))
    count = f"{trials} trials" if trials > 1 else "One trial"
    return [
        f"{count}, {sizes.corpora} test corpora of {sizes.documents:,}; ± one standard error over "
        f"{'trials' if trials > 1 else 'corpora'}. Nothing is chosen on test pairs.",
        "Fixed and adaptive tau: entropy-coded uniform cells, a codeword uniform in its cell, shares of R in proportion"
        f" to H_m rounded up, M - 1 = {entropies.shape[1] - 1} too many at most; measured on test pairs they take at "
        f"most R {over:+.2f} bits. H_m = {named} bits.",
        f"Fixed tau by cross-validation: training MRR differs by {spread:.0e} over the temperatures, for a ranking "
        "does not depend on a common one.",
        "Naive CLIP: linear towers, InfoNCE at tau = .07, its embedding through the same quantizer; "
        f"uncompressed {whole:.3f}.",
        "Ours: canonical coordinates of all modalities, the best of our codes by validation pairs, calibrated; learned:"
        " time-shared between trained codes; rank: names a ranking of the corpus, which Theorem D does not bind.",
        "Channel: a Gaussian test channel, what many queries coded together approach. Theorem D's bottleneck is exact "
        "for this law, documents drawn independently.",
    ]


def _verdict(rows: Sequence[Row], rates: Sequence[int], reading: str) -> list[str]:
    """How ours compares with the printed bound, and whether the temperatures differ."""
    by = {row.label: row.entries for row in rows}
    ours, bound = by["ours: all modalities fused"], by["Rate-Distortion Bound, as printed"]
    pairs = [(r, o.mean, b.mean) for r, o, b in zip(rates, ours, bound, strict=True) if o and b]
    above = [f"{o:.3f} at {r}" for r, o, b in pairs if o > b]
    below = [f"{o:.3f} at {r}" for r, o, b in pairs if o <= b]
    text = f"Above the printed bound: {', '.join(above) or 'nowhere'}"
    text += f"; not above it: {', '.join(below)}." if below else ", that is at every rate it is printed for."
    temperatures = zip(by["Fixed tau"], by["Adaptive tau (10)"], by["Adaptive tau, section 6"], strict=True)
    apart = max(abs(a.mean - x.mean) for x, *others in temperatures if x for a in others if a)
    why = "one modality has one temperature" if reading in ALONE else "Delta H = 0 up to sampling"
    return [text, f"Fixed and adaptive temperatures differ by at most {apart:.1e} in MRR: {why}."]


def sweep_tables(found: Mapping[str, Any], sizes: Sizes) -> list[Table]:
    """A table for each of `SWEEPS`, of what `compute_cells` gave for `sweep_cells`."""
    return [_of_sweep(found, number, sweep, sizes) for number, sweep in enumerate(SWEEPS)]


def _of_sweep(found: Mapping[str, Any], number: int, sweep: str, sizes: Sizes) -> Table:
    points = list(SWEEPS[sweep])
    cells = [found[f"imbalance-{number}-{place}"] for place in range(len(points))]
    row = lambda label, take: Row(label, "measured", tuple(take(cell) for cell in cells))
    rows = [row("Delta H, bits", lambda cell: Entry(cell["imbalance"]))]
    rows += [row(f"{rule} tau", lambda cell, rule=rule: entry_of([np.array(cell[rule])])) for rule in RULES]
    for label, key in (
        ("64 bits: the paper's method, tau (10)", "printed at 64"),
        ("64 bits: ours, fused", "ours at 64"),
    ):
        rows.append(row(label, lambda cell, key=key: entry_of([np.array(cell[key]["values"])], cell[key]["bits"])))
    won = "; ".join(f"{point}: {_winner(cell)}" for point, cell in zip(points, cells, strict=True))
    small = sweep_sizes(sizes)
    notes = (
        f"MRR, documents are the intents, {small.corpora} corpora of {small.documents:,}; the temperature rules decode "
        "uncompressed queries against documents of unit norm.",
        f"Best temperatures, and what is within two standard errors of them; {won}.",
    )
    title = f"Temperature rules, {sweep}: MRR"
    return Table(f"imbalance-{number}", title, sweep, tuple(points), tuple(rows), notes)


def _winner(cell: Mapping[str, Any]) -> str:
    """The best rule, with those within two standard errors of it on the same corpora."""
    values = {rule: np.array(cell[rule]) for rule in RULES}
    best = max(RULES, key=lambda rule: values[rule].mean())

    def level(rule: str) -> bool:
        gap = values[best] - values[rule]
        return gap.mean() <= 2 * gap.std(ddof=1) / np.sqrt(len(gap)) if len(gap) > 1 else not gap.any()

    equal = [rule for rule in RULES if level(rule)]
    return "no difference" if len(equal) == len(RULES) else " | ".join(equal)
