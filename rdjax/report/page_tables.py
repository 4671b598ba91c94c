"""The tables of a page, laid out: which places of report.json stand in which columns, under which caption."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from markupsafe import Markup

from rdjax.audit.result import CLASSES, Audit
from rdjax.audit.wording import ITEM, TITLES
from rdjax.report import terminal
from rdjax.report.page_numbers import NOTHING, Numbers, pointer


@dataclass(frozen=True)
class Column:
    """A column: its heading, the form of its values, and where they are below the place of a row.

    `numeric`: right-aligned, with the evidence under the heading; unless `known` says that another column has it.
    `missing` stands where there is nothing.
    """

    title: str | Markup
    form: str
    keys: tuple[Any, ...]
    numeric: bool = True
    known: bool = True
    missing: str = NOTHING


@dataclass(frozen=True)
class Row:
    """A row: the place that its columns are below, and whether it is one to look at."""

    place: str
    chosen: bool = False


@dataclass(frozen=True)
class Group:
    """Rows under a heading of their own, which quotes two places; or under none."""

    rows: tuple[Row, ...]
    title: str = ""
    quotes: str = ""


@dataclass(frozen=True)
class Table:
    """A table; the first column names the row. Columns that have nothing to say in any row are left out."""

    name: str
    caption: str
    offered: tuple[Column, ...]
    groups: tuple[Group, ...]
    numbers: Numbers = field(repr=False)

    @property
    def columns(self) -> list[Column]:
        """The first, and those with something to say."""
        rows = [row for group in self.groups for row in group.rows]
        says = lambda row, column: self.numbers.at(_below(self.numbers, row.place, column.keys)) not in (None, "")
        told = [column for column in self.offered[1:] if any(says(row, column) for row in rows)]
        return [self.offered[0], *told]

    def cell(self, row: Row, column: Column) -> Markup:
        """What stands there."""
        return self.numbers.show(_below(self.numbers, row.place, column.keys), column.form, column.missing)

    def evidence(self, column: Column) -> list[tuple[str, str]]:
        """How the numbers of a column are known: (evidence, a place with the assumptions), every kind once."""
        if not (column.numeric and column.known):
            return []
        rows = [row for group in self.groups for row in group.rows]
        return self.numbers.basis(_below(self.numbers, row.place, column.keys) for row in rows)

    @property
    def rests(self) -> list[tuple[Column, list[tuple[str, str]]]]:
        """The columns of numbers whose evidence rests on anything, with it."""
        known = [(column, self.evidence(column)) for column in self.columns]
        resting = lambda basis: [(word, place) for word, place in basis if self.numbers.at(place)["assumes"]]
        return [(column, resting(basis)) for column, basis in known if resting(basis)]


def _below(numbers: Numbers, place: str, keys: Sequence[Any]) -> str:
    """The place of keys below a place, or the last that there is something at."""
    for key in keys:
        if numbers.at(place) is None:
            break
        place += pointer(key)
    return place


def _metric(numbers: Numbers) -> Markup:
    return numbers.show("/setting/metric", "metric")


def _plain(name: str, caption: str, columns: Sequence[Column], places: Sequence[str], numbers: Numbers) -> Table:
    return Table(name, caption, tuple(columns), (Group(tuple(map(Row, places))),), numbers)


def _each(numbers: Numbers, *keys: Any) -> list[str]:
    place = pointer(*keys)
    return [place + pointer(i) for i in range(len(numbers.at(place)))]


def recommended(numbers: Numbers) -> Table:
    """The codes that were chosen, beside the figure."""
    columns = (
        Column("code", "text", ("point", "code"), False, missing="none with a safe margin"),
        Column("bits", "bits", ("point", "bits", "packed")),
        Column("keeps", "share", ("point", "kept")),
        Column("95%", "share interval", ("point", "kept_interval")),
    )
    places = _each(numbers, "recommendations")
    groups = tuple(Group((Row(place),), "To", f"{place}/purpose") for place in places)
    return Table("recommended", "Recommended codes, packed bits per item", columns, groups, numbers)


def codes(numbers: Numbers, audit: Audit, side: str, everything: bool) -> Table:
    """The codes of one side by class: those of use, or all."""
    points = list(audit.points)
    picked = [c.point for c in audit.recommendations if c.side == side and c.point is not None]
    mine = [point for point in points if point.side == side]
    shown = mine if everything else terminal.useful(mine, terminal.told(audit, side))
    places = {id(point): pointer("points", i) for i, point in enumerate(points)}
    groups = []
    for key in dict.fromkeys((point.code_class, point.fitted_on) for point in shown):
        members = [point for point in shown if (point.code_class, point.fitted_on) == key]
        rows = tuple(Row(places[id(point)], point in picked) for point in members)
        groups.append(Group(rows, f"Class {key[0]}: {CLASSES[key[0]]}; fitted on", rows[0].place + "/fitted_on"))
    touched = any(p.bits.touched != p.bits.packed for p in shown)
    columns = [
        Column("code", "text", ("code",), False),
        Column("entropy", "bits", ("bits", "entropy")),
        Column("packed", "bits", ("bits", "packed")),
        Column("single", "bits", ("bits", "single")),
        *([Column("touched", "bits", ("bits", "touched"))] if touched else []),
        Column("on disk", "storage", ("disk_bytes",)),
        Column(_metric(numbers), "quality", ("value",)),
        Column("95%", "interval", ("interval",)),
        Column("kept", "share", ("kept",)),
        Column("95% of kept", "share interval", ("kept_interval",)),
        Column("encoder", "storage", ("encoder_bytes",)),
    ]
    what = "all codes" if everything else "codes of use"
    disk = "; on disk: all of them, and the file of the code" if side == "documents" else ""
    caption = f"{TITLES[side]}: {what}, bits per {ITEM[side]}{disk}"
    return Table(f"codes-{side}{'-all' * everything}", caption, tuple(columns), tuple(groups), numbers)


def floors(numbers: Numbers, side: str) -> Table:
    """What no code of the classes named can beat at the aim, those that are not proved with the reason."""
    places = [place for place in _each(numbers, "floors") if numbers.at(place)["side"] == side]
    columns = [
        Column("what is bound", "sentence", ("name",), False),
        Column("at least", "bits", ("bits",), known=False),
        *([Column("a code has", "number of bits", ("bits", "upper"), known=False)] if _met(numbers, places) else []),
        Column("classes", "text", ("classes",), False),
        Column("counts", "text", ("kind",), False),
        Column("evidence", "evidence", ("bits",), False),
        Column("what it rests on, or why there is none", "grounds", (), False),
    ]
    caption = f"{TITLES[side]}: floors at the aim, bits per {ITEM[side]}"
    return _plain(f"floors-{side}", caption, columns, places, numbers)


def _met(numbers: Numbers, places: Sequence[str]) -> bool:
    """Whether a code is known that comes close to one of the floors."""
    return any(bits is not None and bits["upper"] is not None for bits in (numbers.at(p)["bits"] for p in places))


def qualities(numbers: Numbers) -> Table:
    """Today's embeddings, uncompressed, ranked in every way."""
    columns = [
        Column("ranked by", "text", ("name",), False),
        Column("temperatures", "temperatures", ("temperatures",), False),
        Column(_metric(numbers), "quality", ("value",)),
        Column("95%", "interval", ("interval",)),
        Column("ties against us", "quality", ("pessimistic",)),
    ]
    today = numbers.at("/today/name")
    rows = tuple(Row(p, numbers.at(p)["name"] == today) for p in _each(numbers, "qualities"))
    return Table("qualities", "Uncompressed, today’s ranking marked", tuple(columns), (Group(rows),), numbers)


def modality_tables(numbers: Numbers) -> Iterator[Table]:
    """What each modality is worth to the fusion, what it tells, what is left when it is wrong."""
    if numbers.at("/fusion") is not None:
        yield from _fusion(numbers)
    if numbers.at("/modalities"):
        yield from _told(numbers)


NAME = Column("modality", "text", ("name",), False)


def _fusion(numbers: Numbers) -> Iterator[Table]:
    columns = [
        NAME,
        Column("without it", "quality", ("without",)),
        Column("lost", "quality", ("lost",)),
        Column("95%", "interval", ("interval",)),
        Column("saves", "whole", ("saved",)),
        Column("of all", "share", ("saved_share",)),
        Column("costs", "whole", ("cost",)),
        Column("of all queries", "share", ("cost_share",)),
    ]
    yield _plain("savings", "The fusion without each modality", columns, _each(numbers, "fusion", "savings"), numbers)
    yield from _examples(numbers)
    columns = [
        NAME,
        Column("wrong", "quality", ("wrong",)),
        Column("95%", "interval", ("interval",)),
        Column("doubted, wrong", "quality", ("doubting_wrong",)),
        Column("doubted, right", "quality", ("doubting_right",)),
        Column("doubt", "quality", ("doubt",)),
        Column("not doubted, since", "text", ("why",), False),
    ]
    places = _each(numbers, "fusion", "stresses")
    if places:
        yield _plain("stress", "The fusion with one modality wrong", columns, places, numbers)
    if numbers.at("/fusion/temperatures"):
        columns = [
            NAME,
            Column("temperature", "temperature", ("value",)),
            Column("95%", "temperature interval", ("interval",)),
            Column("the interval is", "text", ("why",), False),
        ]
        places = _each(numbers, "fusion", "temperatures")
        yield _plain("temperatures", "Temperatures and their intervals", columns, places, numbers)


def _examples(numbers: Numbers) -> Iterator[Table]:
    columns = (
        Column("query", "text", ("query",), False),
        Column("with it", "quality", ("value",)),
        Column("without it", "quality", ("without",)),
    )
    groups = []
    for place in _each(numbers, "fusion", "savings"):
        for kind, words in (("saves", "Saved by"), ("costs", "Spoiled by")):
            rows = tuple(Row(f"{place}/{kind}/{i}") for i in range(len(numbers.at(place)[kind])))
            groups += [Group(rows, words, place + "/name")] if rows else []
    if groups:
        yield Table("examples", "Queries on which a modality matters most", columns, tuple(groups), numbers)


def _told(numbers: Numbers) -> Iterator[Table]:
    columns = [
        Column("modality", "text", ("name",), False),
        Column("tells alone", "bits", ("told",)),
        Column("others leave open", "bits", ("unique",)),
        Column("price at the aim", "bits", ("price",)),
        Column("95% of the price", "bits interval", ("interval",)),
    ]
    caption = "What queries tell of their documents, bits per query"
    yield _plain("told", caption, columns, _each(numbers, "modalities"), numbers)
    columns = [
        Column("one", "text", ("first",), False),
        Column("other", "text", ("second",), False),
        Column("tell together", "bits", ("told",)),
        Column("share", "between", ("information",)),
        Column("what they share is", "text", ("why",), False),
    ]
    yield _plain("pairs", "Every two modalities, bits per query", columns, _each(numbers, "pairs"), numbers)
