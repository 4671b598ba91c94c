"""report.html: it stands alone, every number is one of report.json, and everyone can read it."""

import dataclasses
import html.parser
import itertools
import json
import math
import re

import pytest

from rdjax.audit.wording import storage
from rdjax.limits.bound import EVIDENCE, Bound
from rdjax.report.page import inline
from rdjax.report.page_numbers import Numbers, pointer
from tests import browser
from tests.fake_audit import fake_audit, fusion, modality, quality, saving, setting, stress, with_floor

pytestmark = pytest.mark.float64_only

VOID = {"meta", "link", "br", "hr", "img", "input"}
SAID = {"95%"}  # numbers that are part of what a heading says
NASTY = "<script>alert('1')</script> & \"quotes\" ${x} {{ 7 * 7 }}"


@dataclasses.dataclass
class Element:
    tag: str
    attributes: dict
    children: list

    def all(self, *tags):
        """The elements below with these tags, in order."""
        for child in self.children:
            if isinstance(child, Element):
                if not tags or child.tag in tags:
                    yield child
                yield from child.all(*tags)

    @property
    def text(self):
        return "".join(child if isinstance(child, str) else child.text for child in self.children)


class Parser(html.parser.HTMLParser):
    """A tree; a tag that is not closed, or closed twice, is an error."""

    def __init__(self, text):
        super().__init__(convert_charrefs=True)
        self.open = [Element("root", {}, [])]
        self.feed(text)
        self.close()
        assert len(self.open) == 1, f"{self.open[-1].tag} is not closed"

    def handle_starttag(self, tag, attributes):
        names = [name for name, _ in attributes]
        assert len(names) == len(set(names)), (tag, names)
        element = Element(tag, dict(attributes), [])
        self.open[-1].children.append(element)
        if tag not in VOID:
            self.open.append(element)

    def handle_startendtag(self, tag, attributes):
        self.open[-1].children.append(Element(tag, dict(attributes), []))

    def handle_endtag(self, tag):
        assert self.open[-1].tag == tag, f"{tag} closes {self.open[-1].tag}"
        self.open.pop()

    def handle_data(self, data):
        self.open[-1].children.append(data)


def render(audit, commands=browser.COMMANDS):
    """(text of the page, its tree, report.json), with a figure that takes no time to draw."""
    text, document = browser.rendered(audit, commands)
    return text, Parser(text).open[0], document


@pytest.fixture(scope="module")
def written(tmp_path_factory):
    """A folder with the usual report."""
    folder = tmp_path_factory.mktemp("page")
    browser.usual(folder)
    return folder


@pytest.fixture(scope="module")
def page(written):
    """The same for the report as it is written."""
    text = (written / "report.html").read_text(encoding="utf-8")
    return text, Parser(text).open[0], json.loads((written / "report.json").read_text())


def at(document, place):
    for key in place.split("/")[1:]:
        document = document[int(key)] if isinstance(document, list) else document[key.replace("~1", "/")]
    return document


def test_what_is_said_before_the_answer_takes_no_words_from_it():
    """The first card was empty, as its first sentence is the headline where nothing is said before it."""
    audit = fake_audit()
    said = ("Weights alone do it. So they do.", "Chance does it.")
    text, _, _ = render(dataclasses.replace(audit, answer=(*said, *audit.answer)))
    leads = re.findall(r'<p class="lead">(.*?)</p>', text, re.DOTALL)
    plain = lambda words: re.sub(r"<[^>]+>", "", words).strip()
    assert [plain(lead) for lead in leads] == list(said)
    cards = re.findall(r'<h2 class="purpose">.*?</h2>\s*<p>(.*?)</p>', text, re.DOTALL)
    assert [plain(card) for card in cards] == [choice.sentence for choice in audit.recommendations]


# numbers


def shown_numbers(text):
    """(value, half a unit of the last digit shown) of every number in a text."""
    for found in re.findall(r"\d[\d,]*(?:\.\d+)?", text):
        digits = found.replace(",", "")
        decimals = len(digits.partition(".")[2])
        yield float(digits), 0.5 * 10.0**-decimals


def leaves(value):
    """The numbers of a value of report.json that are to be seen, strings as they are."""
    if isinstance(value, dict) and "lower" in value:
        ends = [end for end in (value["lower"], value["upper"]) if end is not None]
        return ends if len(ends) == 2 and ends[0] != ends[1] else ends[:1]
    return [value] if isinstance(value, int | float) else []


SCALES = {"kB": 1e3, "MB": 1e6, "GB": 1e9}


def agrees(form, text, value):
    """Whether a text says what is in report.json, read back with rules of its own."""
    if form in ("lead", "rest", "text", "sentence"):
        return text.lower() in str(value).lower() and (form in ("lead", "rest") or len(text) == len(str(value)))
    if form == "metric":
        return text.lower() == value.lower()
    if form == "evidence":
        return text == value["evidence"]
    if form == "assumptions":
        return text == "; ".join(value["assumes"])
    if form == "grounds":
        return text == (value["why"] if value["bits"] is None else "; ".join(value["bits"]["assumes"]))
    if isinstance(value, dict) and "lower" not in value:  # of modalities
        return all(
            name in text and close(text.split(name)[1].split(",")[0].split("+")[0], [tau], 0.005)
            for name, tau in value.items()
        )
    if form == "storage":
        unit = SCALES.get(text.split()[-1], 1)
        return close(text, [value / unit], 0.005)
    if isinstance(value, dict) and (value.get("unreachable") or math.inf in leaves(value)):
        return text in ("unreachable", "infinite")
    percent = 100 if "%" in text or form == "share interval" else 1
    return close(text, [percent * leaf for leaf in leaves(value)], 0)


def close(text, wanted, relative):
    seen = list(shown_numbers(text))
    pairs = zip(seen, wanted, strict=False)
    return len(seen) == len(wanted) and all(
        abs(number - abs(truth)) <= max(half * 1.0001, relative * abs(truth)) for (number, half), truth in pairs
    )


def quoted(tree):
    return [element for element in tree.all() if "data-json" in element.attributes]


def test_every_number_shown_is_the_one_in_report_json(page):
    _, tree, document = page
    elements = quoted(tree)
    assert len(elements) > 500
    for element in elements:
        place, form = element.attributes["data-json"], element.attributes["data-form"]
        assert agrees(form, element.text, at(document, place)), (place, form, element.text)


def test_a_wrong_number_would_be_noticed():
    bound = {"lower": 0.4567, "upper": 0.4567, "evidence": "measured", "assumes": []}
    assert agrees("quality", "0.457", bound)
    assert not agrees("quality", "0.456", bound)
    assert agrees("share", "45.7%", bound)
    assert not agrees("share", "0.457%", bound)
    assert agrees("storage", "3.58 MB", 3_584_000)
    assert not agrees("storage", "3.58 kB", 3_584_000)
    assert not agrees("interval", "[0.1, 0.2]", {**bound, "lower": 0.1, "upper": 0.3})
    assert not agrees("text", "9 bits", "19 bits")


def outside(element, path=()):
    """Texts that quote nothing, and are no part of a figure or of the style."""
    for child in element.children:
        if isinstance(child, str):
            yield child
        elif "data-json" not in child.attributes and child.tag not in ("svg", "style", "title"):
            yield from outside(child)


def test_no_number_stands_outside_of_report_json(page):
    _, tree, _ = page
    numbers = {found for text in outside(tree) for found in re.findall(r"\d[\d.,]*%?", text)}
    assert numbers <= SAID | {"1"}  # "redundancy of at most 1", "1 - p"


def test_what_the_audit_found_is_all_there(page):
    _, tree, document = page
    places = {element.attributes["data-json"] for element in quoted(tree)}
    for i in range(len(document["points"])):
        assert f"/points/{i}/bits/packed" in places, i
    for i, floor in enumerate(document["floors"]):
        assert f"/floors/{i}/name" in places
        assert (f"/floors/{i}/bits" in places) == (floor["bits"] is not None)
    for i in range(2):
        for key in ("told", "unique", "price", "interval"):
            assert f"/modalities/{i}/{key}" in places
        for key in ("without", "lost", "interval", "saved", "saved_share", "cost", "saves/1/query"):
            assert f"/fusion/savings/{i}/{key}" in places
        assert f"/fusion/stresses/{i}/wrong" in places
    wanted = ("fusion/stresses/0/doubting_wrong", "fusion/temperatures/0/interval", "measures/entropies/0", "seed")
    for place in (*wanted, "commands/0/command", "pairs/0/why", "setting/protocol", "versions/jax", "warnings/0"):
        assert f"/{place}" in places
    assert {f"/evidence/{word}" for word in EVIDENCE} <= places


def test_documents_show_what_they_are_chosen_by():
    """Without it the recommended code looks beaten by one of fewer bits, whose file is larger."""
    audit = fake_audit()
    text, tree, _ = render(audit)
    places = {
        element.attributes["data-json"] for element in quoted(tree) if element.attributes["data-form"] == "storage"
    }
    for i, given in enumerate(audit.points):
        assert (f"/points/{i}/disk_bytes" in places) == (given.side == "documents"), i
    heads = {}
    for table in tree.all("table"):
        (head,) = table.all("thead")
        heads[next(table.all("caption")).text.strip()] = [each.text for each in head.all("th")]
    codes = {caption: head for caption, head in heads.items() if "codes of use" in caption or "all codes" in caption}
    assert len(codes) == 4
    for caption, head in codes.items():
        assert ("on disk" in head) == ("the file of the code" in caption) == caption.startswith("Stored documents")
    assert "takes least on disk (disk_bytes)" in text


def test_infinity_is_a_word():
    audit = with_floor(fake_audit(), bits=Bound.at_least(math.inf, "model"))
    _, tree, _ = render(audit)
    texts = {(e.attributes["data-json"], e.attributes["data-form"]): e.text for e in quoted(tree)}
    assert texts["/floors/0/bits", "bits"] == "unreachable"
    assert texts["/fusion/temperatures/1/value", "temperature"] == "infinite"


# the page as a document


def test_the_answer_comes_first(page):
    _, tree, document = page
    (main,) = tree.all("main")
    lead = next(main.all("p"))
    assert document["answer"][0].startswith(lead.text)
    assert lead.text.endswith(".")
    assert next(main.all("section")).attributes["id"] == "answer"
    ids = [section.attributes["id"] for section in main.all("section")]
    assert ids == ["answer", "figure", "codes", "today", "modalities", "next", "known", "terms"]


def test_it_is_sound_html_with_landmarks_and_headings_in_order(page):
    text, tree, document = page
    assert text.startswith("<!DOCTYPE html>\n")
    (root,) = tree.all("html")
    assert root.attributes["lang"] == "en"
    for tag in ("h1", "main", "header", "footer", "nav", "title"):
        assert len(list(root.all(tag))) == 1 + 2 * (tag == "title"), tag  # two of figures
    levels = [int(e.tag[1]) for e in tree.all("h1", "h2", "h3")]
    assert levels[0] == 1
    assert all(below <= above + 1 for above, below in itertools.pairwise(levels))
    ids = [e.attributes["id"] for e in tree.all() if "id" in e.attributes]
    assert len(ids) == len(set(ids))
    for element in tree.all():
        for name in ("aria-labelledby", "href", "xlink:href"):
            for target in element.attributes.get(name, "").split():
                if name == "aria-labelledby" or target.startswith("#"):
                    assert target.removeprefix("#") in ids, (name, target)
    assert document["setting"]["corpus"] in next(tree.all("h1")).text


def test_tables_have_captions_and_headers(page):
    _, tree, _ = page
    tables = list(tree.all("table"))
    assert len(tables) >= 12
    for table in tables:
        (caption,) = table.all("caption")
        assert caption.text.strip()
        assert all(cell.attributes["scope"] in ("col", "row", "rowgroup") for cell in table.all("th"))
        (head,) = table.all("thead")
        width = len(list(head.all("th")))
        for body in table.all("tbody"):
            for row in body.all("tr"):
                cells = list(row.all("th", "td"))
                assert cells[0].tag == "th"
                assert sum(int(cell.attributes.get("colspan", 1)) for cell in cells) == width
    for box in (e for e in tree.all() if "box" in e.attributes.get("class", "").split()):
        assert box.attributes["tabindex"] == "0"
        assert box.attributes["role"] == "region"
        assert {"aria-label", "aria-labelledby"} & set(box.attributes)


def test_it_stands_alone(page):
    text, tree, _ = page
    assert not list(tree.all("script", "iframe", "object", "embed", "img"))
    for element in tree.all():
        for name, value in element.attributes.items():
            assert not name.startswith("on"), name
            if name in ("href", "src", "xlink:href", "action", "srcset"):
                assert value.startswith("#") or value == "data:,", value
    addresses = set(re.findall(r"https?://[^\s\"'<>)]+", text))
    assert addresses <= {"http://www.w3.org/2000/svg", "http://www.w3.org/1999/xlink"}  # names, not places
    assert "@import" not in text
    assert not re.search(r"url\((?!#)", text)


def test_figures_have_a_title_and_share_nothing(page):
    _, tree, _ = page
    drawn = list(tree.all("svg"))
    assert len(drawn) == 2
    for svg in drawn:
        assert svg.attributes["role"] == "img"
        named = [next(e for e in svg.all() if e.attributes.get("id") == i).text for i in label(svg)]
        assert all(len(text) > 10 for text in named)
        assert not list(svg.all("style", "metadata"))


def label(svg):
    return svg.attributes["aria-labelledby"].split()


def test_colors_and_links_of_a_figure_survive():
    drawn = inline(
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink"><style>* {}</style>'
        '<g id="a" fill="#e4e4e4" clip-path="url(#b)" style="fill: url(#b)"/><use xlink:href="#a"/></svg>',
        *("one", "A <title>", "words"),
    )
    assert 'id="one-a" fill="#e4e4e4" clip-path="url(#one-b)" style="fill: url(#one-b)"' in drawn
    assert 'xlink:href="#one-a"' in drawn
    assert "A &lt;title&gt;" in drawn
    assert "* {}" not in drawn


# what users name


def test_names_are_text_and_nothing_else():
    names = (NASTY, "a/b~c", "word" * 60)
    told = tuple(modality(name, 6.1, 5.2, 1.02) for name in names)
    fused = dataclasses.replace(
        fusion(),
        savings=tuple(saving(name, 0.4, 3, 2) for name in names),
        stresses=tuple(stress(name, 0.1, None, f"because {NASTY}") for name in names),
    )
    ways = (*fake_audit().qualities[2:], quality(NASTY, dict.fromkeys(names, 0.5), 0.1, 0.1))
    audit = dataclasses.replace(fake_audit(), modalities=told, pairs=(), measures=None, fusion=fused, qualities=ways)
    audit = dataclasses.replace(audit, setting=setting(corpus=NASTY, notes=(NASTY,)), warnings=(NASTY,))
    text, tree, document = render(audit, {"store": NASTY})
    assert not list(tree.all("script"))
    assert "<script" not in text
    assert "{{ 7 * 7 }}" in next(tree.all("h1")).text
    assert NASTY in next(tree.all("h1")).text
    for element in quoted(tree):
        place, form = element.attributes["data-json"], element.attributes["data-form"]
        if form == "text":
            assert element.text == str(at(document, place))


@pytest.mark.parametrize("sides", [("documents",), ("queries",)])
def test_one_side_and_one_modality_leave_the_rest_out(sides):
    audit = dataclasses.replace(fake_audit(sides), modalities=(), pairs=(), measures=None, fusion=None)
    _, tree, _ = render(audit, {})
    (main,) = tree.all("main")
    ids = [section.attributes["id"] for section in main.all("section")]
    assert "modalities" not in ids
    assert "next" not in ids
    assert not [a for a in tree.all("a") if a.attributes["href"] in ("#modalities", "#next")]
    assert len(list(tree.all("svg"))) == 1


def test_no_recommendation_is_said():
    none = tuple(dataclasses.replace(choice, point=None) for choice in fake_audit().recommendations)
    _, tree, _ = render(dataclasses.replace(fake_audit(), recommendations=none), {})
    table = next(t for t in tree.all("table") if "Recommended" in next(t.all("caption")).text)
    assert table.text.count("none with a safe margin") == len(none)


def test_places_are_json_pointers():
    numbers = Numbers({"a/b": [{"~": 3}]})
    assert numbers.at(pointer("a/b", 0, "~")) == 3
    assert pointer("a/b", 0, "~") == "/a~1b/0/~0"
    assert numbers.show("/a~1b/0/~0", "text") == '<span data-json="/a~1b/0/~0" data-form="text">3</span>'
    assert storage(numbers.at("/a~1b/0/~0")) == "3 bytes"


# in a browser; `benchmarks/browser.py` has every look


@pytest.fixture(scope="module")
def chromium():
    if reason := browser.missing():
        pytest.skip(reason)
    with browser.opened() as found:
        yield found


def test_axe_the_console_and_the_width_have_nothing_to_say(chromium, written):
    browser.check_look(chromium, (written / "report.html").as_uri(), "dark phone", axe=True)


def test_long_names_are_no_wider_than_a_phone(chromium, tmp_path):
    browser.check_look(chromium, browser.with_long_names(tmp_path), "phone", axe=False)


def test_recommended_codes_are_whole_at_any_width_of_a_desk(chromium, tmp_path):
    """Beside the figure the last column was cut in mid-number."""
    audit = fake_audit()
    most = Bound(1.026, 1.137, "estimate", ("95% paired bootstrap over queries",))
    wide = lambda point: dataclasses.replace(point, bits=audit.points[-1].bits, kept=most, kept_interval=most)
    chosen = tuple(dataclasses.replace(each, point=wide(each.point)) for each in audit.recommendations)
    place = tmp_path / "report.html"
    place.write_text(render(dataclasses.replace(audit, recommendations=chosen))[0])
    view, columns = chromium.new_page(), {}
    view.goto(place.as_uri())
    for width in (1000, 1024, 1100, 1200, 1280, 1400):
        view.set_viewport_size({"width": width, "height": 900})
        box = view.locator(".box", has=view.locator("#recommended"))
        assert box.evaluate("e => e.scrollWidth <= e.clientWidth"), width
        beside = "e => getComputedStyle(e).gridTemplateColumns.split(' ').length"
        columns[width] = view.locator(".beside").evaluate(beside)
    assert columns[1100] == 1
    assert columns[1280] == columns[1400] == 2
    view.close()


def test_axe_would_notice(chromium):
    view = chromium.new_page()
    view.set_content("<html><title>x</title><p style='color: #ccc'>faint</p><img src='data:,'></html>")
    assert {"color-contrast", "html-has-lang", "image-alt"} <= set(browser.broken_rules(view))
    view.close()


def test_the_keyboard_reaches_everything(chromium, written):
    browser.check_keyboard(chromium, (written / "report.html").as_uri())
