"""The report as one HTML page: it stands alone, quotes report.json, and reads without scripts, network or color."""

from collections.abc import Mapping
from importlib.resources import files
from typing import Any
from xml.etree import ElementTree

from markupsafe import Markup

from rdjax.audit.result import Audit
from rdjax.audit.wording import TITLES
from rdjax.report import page_tables, terminal, words
from rdjax.report.page_numbers import Numbers

SVG, LINK = "http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"
UNWANTED = {f"{{{SVG}}}{tag}" for tag in ("metadata", "style", "title")}  # a style would hold for the whole page
FIGURES = {
    "frontier": (
        "Quality against bits",
        "One panel for each side: quality of every code with its interval against packed bits per item, lines for the "
        "floors, for today’s quality and for the aim, a ring around each recommended code. The tables beside it and "
        "below hold the same numbers.",
    ),
    "modalities": (
        "What modalities tell and share",
        "Two triangles of squares: bits that each modality and every two of them tell of the relevant document, and "
        "bits that every two share. The tables below hold the same numbers.",
    ),
}
RULE = (
    "Recommended is the cheapest code that keeps the target on the fit queries, at the lower end of its one-sided "
    "interval (chosen_by in report.json). Of stored documents that is the one that takes least on disk (disk_bytes): "
    "the packed codes of all of them, and the file of the code."
)


def to_html(audit: Audit, document: dict[str, Any], figures: Mapping[str, str]) -> str:
    """One self-contained page, whose every number is one of the document.

    Args:
      audit: what `rdjax.audit.audit` found; says which codes are of use.
      document: the same, as `document.to_json` gives it.
      figures: "frontier" and, with several modalities, "modalities" -> SVG as `figure.draw` writes it.

    Returns:
      HTML 5. Equal arguments give equal pages.
    """
    import jinja2  # as heavy as all the rest of a calculator

    here = files("rdjax.report")
    environment = jinja2.Environment(
        autoescape=True, undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True
    )
    template = environment.from_string(here.joinpath("page.html").read_text(encoding="utf-8"))
    numbers = Numbers(document)
    return (
        template.render(
            style=Markup(here.joinpath("page.css").read_text(encoding="utf-8")),
            document=document,
            show=numbers.show,
            figures={name: (FIGURES[name][0], inline(svg, name, *FIGURES[name])) for name, svg in figures.items()},
            recommended=page_tables.recommended(numbers),
            rule=RULE,
            sides=[_side(numbers, audit, side) for side in TITLES if audit.on(side)],
            qualities=page_tables.qualities(numbers),
            modality_tables=list(page_tables.modality_tables(numbers)),
            measured=words.MEASURED,
            measures=_measures(document),
            relevance=terminal.JUDGEMENTS[audit.setting.judgements],
        ).strip()
        + "\n"
    )


def _side(numbers: Numbers, audit: Audit, side: str) -> dict[str, Any]:
    """The tables of one side; all codes only where the short list leaves some out."""
    short, whole = (page_tables.codes(numbers, audit, side, everything) for everything in (False, True))
    count = lambda table: sum(len(group.rows) for group in table.groups)
    floors = page_tables.floors(numbers, side)
    return {
        "title": TITLES[side],
        "codes": short,
        "all": whole if count(whole) > count(short) else None,
        "floors": floors if floors.groups[0].rows else None,
    }


def _measures(document: dict[str, Any]) -> list[tuple[str, str, str]]:
    """(place of a name or "", name, place of the value) of the paper's measures."""
    if document["measures"] is None:
        return []
    entropies = [(f"/modalities/{i}/name", "", f"/measures/entropies/{i}") for i in range(len(document["modalities"]))]
    return [*entropies, *(("", name, f"/measures/{key}") for key, name in words.MEASURES.items())]


def inline(svg: str, name: str, title: str, description: str) -> Markup:
    """A figure of ours as part of a page: a title and description of its own, ids that no other figure has.

    Args:
      svg: as matplotlib writes it; the XML is our own, so it is parsed as it is.
      name: what its ids begin with.
      title, description: for who does not see it.
    """
    ElementTree.register_namespace("", SVG)
    ElementTree.register_namespace("xlink", LINK)
    root = ElementTree.fromstring(svg)
    for element in root.iter():
        for child in [c for c in element if c.tag in UNWANTED]:
            element.remove(child)
    for element in root.iter():
        for key, value in element.attrib.items():
            if key == "id":
                element.set(key, f"{name}-{value}")
            elif key in ("href", f"{{{LINK}}}href"):
                element.set(key, value.replace("#", f"#{name}-"))
            else:
                element.set(key, value.replace("url(#", f"url(#{name}-"))
    root.attrib.update({"role": "img", "aria-labelledby": f"{name}-title {name}-description"})
    root.attrib.update({"style": "stroke-linejoin: round; stroke-linecap: butt", "focusable": "false"})
    for place, (tag, text) in enumerate((("title", title), ("desc", description))):
        label = ElementTree.Element(f"{{{SVG}}}{tag}", {"id": f"{name}-{'description' if place else 'title'}"})
        label.text = text
        root.insert(place, label)
    return Markup(ElementTree.tostring(root, encoding="unicode"))
