"""Modalities on a terminal: what each saves, what is left when one is wrong, what they tell of the documents."""

from collections.abc import Iterator, Sequence

from rich.console import RenderableType
from rich.table import Table
from rich.text import Text

from rdjax.audit.result import Audit, Fusion, Measures, Pair
from rdjax.audit.wording import metric_title
from rdjax.limits.bound import Bound
from rdjax.report import words
from rdjax.report.columns import plain_table


def modalities(audit: Audit) -> Iterator[RenderableType]:
    """Tables and lines of an audit with several modalities."""
    if audit.fusion is not None:
        yield from _fused(audit.fusion, metric_title(audit.setting.metric))
    if audit.modalities:
        yield from _told(audit)


def _fused(fusion: Fusion, metric: str) -> Iterator[RenderableType]:
    title = f"Without one modality: {metric}, {words.quality(fusion.value)} with all ({fusion.name})"
    table = plain_table(title, [("modality", False), ("without", True), ("lost", True), ("95%", True)])
    for header in ("saves", "costs"):
        table.add_column(header, justify="right", no_wrap=True)
    for one in fusion.savings:
        counts = (_counted(one.saved, one.saved_share), _counted(one.cost, one.cost_share))
        table.add_row(
            one.name, words.quality(one.without), words.quality(one.lost), words.interval(one.interval), *counts
        )
    yield table
    yield Text("\n".join([*_saving_lines(fusion, metric), ""]))
    if fusion.stresses:
        yield from _wrong(fusion, metric)
    if fusion.temperatures:
        yield Text("\n".join([*_temperature_lines(fusion), ""]))


def _wrong(fusion: Fusion, metric: str) -> Iterator[RenderableType]:
    yield _stressed(fusion, metric)
    reasons = dict.fromkeys(one.why for one in fusion.stresses if one.why)
    lines = [
        "Wrong: this modality of every query is another query's, which wants another document where one does. Doubted: "
        "by a decoder that was fitted on such queries and doubts the modality query by query.",
        *(f"Not doubted: {why}." for why in reasons),
    ]
    yield Text("\n".join([*lines, ""]))


def _counted(count: Bound, share: Bound) -> str:
    return f"{words.number(count):,.0f} ({words.share(share)})"


def _saving_lines(fusion: Fusion, metric: str) -> Iterator[str]:
    yield (
        f"Saves: queries that reach the full {metric} only with the modality, costs: only without it; "
        f"{_counted(fusion.reached, fusion.reached_share)} reach it with all."
    )
    for one in fusion.savings:
        for examples, what in ((one.saves, "Saved by"), (one.costs, "Spoiled by")):
            if examples:
                yield f"{what} {one.name}, most of all: {words.joined(example.query for example in examples)}."


def _stressed(fusion: Fusion, metric: str) -> Table:
    headers = ("wrong", "95%", "doubted, wrong", "doubted, right")
    title = f"With one modality wrong: {metric}, {words.quality(fusion.value)} with all right"
    table = plain_table(title, [("modality", False), *((header, True) for header in headers)])
    for one in fusion.stresses:
        doubted = ["-" if bound is None else words.quality(bound) for bound in (one.doubting_wrong, one.doubting_right)]
        table.add_row(one.name, words.quality(one.wrong), words.interval(one.interval), *doubted)
    return table


def _temperature_lines(fusion: Fusion) -> Iterator[str]:
    for one in fusion.temperatures:
        spread = one.why if one.interval is None else f"{words.temperature_interval(one.interval)}, 95%"
        yield f"Temperature of {one.name}: {words.temperature(one.value)}; {spread}"


def _told(audit: Audit) -> Iterator[RenderableType]:
    """What each modality tells and what only it knows; then what every two tell and share."""
    table = plain_table(
        "Modalities: bits that queries tell of their documents, estimates",
        [("modality", False), ("tells alone", True), ("others leave open", True), ("price at the aim", True)],
    )
    table.add_column("95% of the price", justify="right", no_wrap=True)
    for one in audit.modalities:
        low, high = (words.bits(float(end)) for end in (one.interval.lower, one.interval.upper))
        numbers = (words.bits(bound) for bound in (one.told, one.unique, one.price))
        table.add_row(one.name, *numbers, f"[{low}, {high}]")
    yield table
    lines = [
        "Price: what a code at the aim has to send of this modality, given the others. It is on the high side, as a "
        "calibrated posterior leaves open more than the truth does.",
    ]
    for pair in audit.pairs:
        lines.append(f"{pair.first} and {pair.second} tell {words.bits(pair.told)} bits together. {_shared(pair)}")
    yield Text("\n".join([*lines, ""]))
    if audit.measures is not None:
        yield Text(measures_text(audit.measures, [one.name for one in audit.modalities]))


def measures_text(measures: Measures, names: Sequence[str]) -> str:
    """The paper's measures in lines: what is known of them, what is withheld and why, what they are worth."""
    found = [(f"H of {name}", bound, " bits") for name, bound in zip(names, measures.entropies, strict=True)]
    found += [(name, getattr(measures, key), "") for key, name in words.MEASURES.items()]
    known = [f"{name} {words.between(bound)}{unit}" for name, bound, unit in found if bound is not None]
    missing = [name for name, bound, _ in found if bound is None]
    lines = ["What the paper prices modalities by; it bounds nothing, and changes with the unit of the vectors:"]
    lines += [f"  {'; '.join(known)}."] if known else []
    lines += [f"  withheld: {'; '.join(missing)}."] if missing else []
    return "\n".join([*lines, f"  {words.MEASURED}", *(f"  {reason}" for reason in measures.why), ""])


def _shared(pair: Pair) -> str:
    """The mutual information of two modalities, or why there is none."""
    if pair.information is None:
        return f"What they share is {pair.why}"
    low, high = (words.bits(float(end)) for end in (pair.information.lower, pair.information.upper))
    return f"They share {low} to {high} bits (nearest neighbors, calibrated)."
