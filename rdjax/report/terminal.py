"""An audit on a terminal: the answer first, then what it rests on. Formats, computes nothing, needs no color."""

import math
from collections.abc import Iterable, Iterator, Sequence

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from rdjax.audit.answer import disk
from rdjax.audit.result import CLASSES, Audit, Floor, Point, Quality, Setting
from rdjax.audit.wording import ITEM, TITLES, metric_title, percent, storage
from rdjax.limits.bound import EVIDENCE
from rdjax.report import words
from rdjax.report.code_names import meanings
from rdjax.report.columns import plain_table
from rdjax.report.modality_tables import modalities

MANY = 12  # codes on one side beyond which only the useful ones are shown
USEFUL = (0.5, 0.995)  # share of today's quality below which a code is no use, and beyond which more bits are none


def print_audit(audit: Audit, console: Console) -> None:
    """Print the answer in a panel, then the terms, today's quality, each side's codes and floors, and the warnings.

    Args:
      audit: what `rdjax.audit.audit` found.
      console: a rich console; nothing is cut, and below 80 columns some tables are lines.
    """
    answer = Text("\n\n".join(audit.answer))
    console.print(Panel(answer, title=Text(f"rdjax audit: {audit.setting.corpus}"), padding=(1, 2)))
    console.print(_terms(audit))
    console.print(_qualities(audit))
    if audit.fusion is not None:
        console.print(*modalities(audit), sep="\n")
    for side, title in TITLES.items():
        if audit.on(side):
            console.print(*_side(audit, side, title, console.width), sep="\n")
    console.print(evidence(audit.floors))
    console.print(
        "Qualities are measured on the audited queries, bits on what is coded: those queries, or the documents; "
        "intervals, temperatures and doubt are estimated.\n"
    )
    for warning in audit.warnings:
        console.print(Padding(Text.assemble(("Warning: ", "bold"), warning), (0, 0, 1, 0)))


def _terms(audit: Audit) -> RenderableType:
    """What was audited, on which terms, and what must be said beside any figure of it."""
    setting = audit.setting
    vectors = " + ".join(f"{name} [{size}]" for name, size in setting.dimensions.items())
    counts = f"{words.count(setting.documents, 'document')}, {words.count(setting.queries, 'audited query')}"
    aim = f"{percent(setting.target)} of today's {metric_title(setting.metric)} {words.quality(audit.today.value)}"
    rows = [
        ("corpus", f"{setting.corpus}: {counts}, {words.count(setting.fit_queries, 'fit query')}"),
        ("vectors", f"{vectors}, {setting.stored_bits:,} bits each today"),
        ("aim", f"{words.quality(audit.aim)}, {aim} ({audit.today.name})"),
        ("relevance", JUDGEMENTS[setting.judgements]),
        ("prior", setting.prior),
        ("protocol", setting.protocol),
        ("seed", str(setting.seed)),
        *(("note", note) for note in setting.notes),
    ]
    grid = Table.grid(padding=(0, 2))
    for name, text in rows:
        grid.add_row(Text(name, "bold"), Text(text))
    return Padding(grid, (1, 0))


RULE = "  the cheapest that keeps the target on the fit queries, at the lower end of a one-sided interval of 90%"
DISK = "on disk"
ON_DISK = f"  {DISK}: the packed codes of all documents, and the file of the code; documents are chosen by it"
JUDGEMENTS = {
    "single": "one relevant document per query",
    "several": "several relevant documents per query",
    "fidelity": "no judgments: today's top document stands for the relevant one, so this is fidelity to today",
}


def _qualities(audit: Audit) -> Table:
    metric = metric_title(audit.setting.metric)
    title = f"Uncompressed: {metric} on {words.count(audit.setting.queries, 'query')}; today is {audit.today.name}"
    columns = [("ranked by", False), ("temperatures", False), (metric, True), ("ties against us", True)]
    table = plain_table(title, [*columns, ("95% interval", True)])
    for quality in audit.qualities:
        style = "bold" if quality.name == audit.today.name else ""
        row = (quality.name, _temperatures(quality), words.quality(quality.value), words.quality(quality.pessimistic))
        table.add_row(*row, words.interval(quality.interval), style=style)
    return table


def _temperatures(quality: Quality) -> str:
    return words.joined(f"{name} {words.tau(tau)}" for name, tau in quality.temperatures.items())


def _side(audit: Audit, side: str, title: str, width: int) -> Iterator[RenderableType]:
    """The codes by class, what the marks mean, and the floors."""
    points, floors = audit.on(side), [floor for floor in audit.floors if floor.side == side]
    chosen = [choice for choice in audit.recommendations if choice.side == side]
    picked = [choice.point for choice in chosen if choice.point is not None]
    shown = useful(points, told(audit, side))
    metric = metric_title(audit.setting.metric)
    yield Text(f"\n{title}: codes, bits per {ITEM[side]}\n", "bold")
    yield from _codes(shown, picked, audit.setting, width)
    lines = [f"* {choice.point.code}: recommended to {choice.purpose}" for choice in chosen if choice.point]
    lines += [RULE] if lines else []
    lines += [ON_DISK] if side == "documents" else []
    lines += [f"  {word}: {meaning}" for word, meaning in meanings(point.code for point in picked).items()]
    if len(shown) < len(points):
        lines.append(
            f"{words.count(len(points) - len(shown), 'code')} of no better use are in report.json and on the page only"
        )
    yield Text("\n".join([*lines, ""]))
    if floors:
        aim = f"{metric} {words.quality(audit.aim)}"
        yield floor_table(f"{title}: floors at the aim {aim}, bits per {ITEM[side]}", floors)


def told(audit: Audit, side: str) -> list[Point]:
    """The codes of a side that the answer speaks of."""
    said = [choice.sentence for choice in audit.recommendations if choice.side == side]
    chosen = [choice.point for choice in audit.recommendations]
    named = lambda point: any(f"{point.code} (class {point.code_class}" in sentence for sentence in said)
    return [point for point in audit.on(side) if point in chosen or named(point)]


def useful(points: Sequence[Point], always: Iterable[Point] = ()) -> list[Point]:
    """Points to show, by class and packed bits: all of a short list, else each class's frontier where it is of use."""
    by = lambda p: (p.code_class, p.fitted_on, words.number(p.bits.packed), -words.number(p.value))
    ordered = sorted(points, key=by)
    if len(ordered) <= MANY:
        return ordered
    always, kept = list(always), []
    for letter in dict.fromkeys(point.code_class for point in ordered):
        members = [point for point in ordered if point.code_class == letter]
        frontier: list[Point] = []
        for point in members:
            if not frontier or words.number(point.value) > words.number(frontier[-1].value):
                frontier.append(point)
        enough = next((i for i, p in enumerate(frontier) if words.number(p.kept) >= USEFUL[1]), len(frontier))
        good = [p for p in frontier[: enough + 1] if words.number(p.kept) >= USEFUL[0]] or frontier[-1:]
        kept += [point for point in members if point in good or point in always]
    return kept


def _codes(shown: Sequence[Point], picked: Sequence[Point], setting: Setting, width: int) -> Iterator[Text]:
    """Columns of numbers under one header, by class; the name in front where there is room, else on a line above.

    Where the column on disk has no room it is on the line above too; where not even the others have, each number is
    on a line of its own.
    """
    names = [f"{'*' if point in picked else ' '} {point.code}" for point in shown]
    held = [{"encoder": storage(point.encoder_bytes)} for point in shown]
    touched = any(words.number(p.bits.touched) != words.number(p.bits.packed) for p in shown)
    cells = [_numbers(point, touched, setting) for point in shown]
    if DISK in cells[0] and len(_aligned(cells)[0]) + 3 > width:
        held = [{DISK: cell.pop(DISK), **sizes} for cell, sizes in zip(cells, held, strict=True)]
    numbers = _aligned(cells)
    front = _aligned([{"code": name, **sizes} for name, sizes in zip(names, held, strict=True)], left=1)
    beside = len(front[0]) + len(numbers[0]) + 2 <= width
    lines = [f"{a}  {b}" for a, b in zip(front, numbers, strict=True)] if beside else [" " * 3 + n for n in numbers]
    if len(numbers[0]) + 3 > width:
        whole = lambda name: f"{metric_title(setting.metric)} {name}" if name == "95%" else name
        lines[1:] = ["\n".join(f"    {whole(name)} {cell}" for name, cell in each.items()) for each in cells]
    else:
        yield Text(f"{lines[0]}\n{'-' * len(lines[0])}", "bold")
    group = None
    for point, name, sizes, line in zip(shown, names, held, lines[1:], strict=True):
        if group != (point.code_class, point.fitted_on):
            group = (point.code_class, point.fitted_on)
            yield Text(f"class {point.code_class}, {CLASSES[point.code_class]}; fitted on {point.fitted_on}", "italic")
        above = "" if beside else f"{name}; {words.joined(map(' '.join, sizes.items()))}\n"
        yield Text(above + line, "bold" if point in picked else "")


def _numbers(point: Point, touched: bool, setting: Setting) -> dict[str, str]:
    """Heading -> number."""
    spent = point.bits
    counts = {"entropy": spent.entropy, "packed": spent.packed, "single": spent.single}
    return {
        **{name: words.bits(count) for name, count in counts.items()},
        **({"touched": words.bits(spent.touched)} if touched else {}),
        **({DISK: storage(disk(point, setting))} if point.side == "documents" else {}),
        metric_title(setting.metric): words.quality(point.value),
        "95%": words.interval(point.interval),
        "kept": words.share(point.kept),
        "95% of kept": words.share_interval(point.kept_interval),
    }


def _aligned(cells: Sequence[dict[str, str]], left: int = 0) -> list[str]:
    """The headings and one line per row: the first `left` columns to the left, the others to the right."""
    rows = [list(cells[0]), *(list(row.values()) for row in cells)]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    sides = [str.ljust if i < left else str.rjust for i in range(len(widths))]
    return ["  ".join(put(cell, w) for put, cell, w in zip(sides, row, widths, strict=True)) for row in rows]


def floor_table(title: str, floors: Sequence[Floor]) -> Table:
    """What is proved, and what is not: bits, then the name, the classes bound, the evidence and what it rests on."""
    table = plain_table(title, [("at least", True), ("what is bound", False)])
    for floor in floors:
        plural = "es" if "," in floor.classes else ""
        said = Text.assemble((floor.name, "bold"), f"; binds class{plural} {floor.classes}; {floor.kind}")
        if floor.bits is None:
            table.add_row("none", Text.assemble(said, f"\nno floor is proved: {floor.why}"))
        else:
            above = float(floor.bits.upper)
            if float(floor.bits.lower) < above < math.inf:
                said = Text.assemble(said, f"; a code is known with {words.bits(above)}")
            rests = f"\nrests on {'; '.join(floor.bits.assumes)}" if floor.bits.assumes else ""
            table.add_row(words.bits(floor.bits), Text.assemble(said, f"; {floor.bits.evidence}", rests))
    return table


def evidence(floors: Iterable[Floor]) -> Text:
    """The evidence words that the floors use, explained, a line each."""
    used = dict.fromkeys(floor.bits.evidence for floor in floors if floor.bits is not None)
    return Text("\n".join(f"{word}: {EVIDENCE[word]}" for word in used))
