"""A Chromium to look at pages with, where there is one, and what is asked of a report in it.

`test_page.py` asks it of few looks, `benchmarks/browser.py` of all.
"""

import dataclasses
import importlib.util
import json
import os
import re
import shutil
from contextlib import contextmanager

from rdjax.report import to_json, write_report
from rdjax.report.page import to_html
from tests.fake_audit import fake_audit, fusion, modality, saving, stress

LOOKS = {"light": (1280, "light"), "dark": (1280, "dark"), "phone": (400, "light"), "dark phone": (400, "dark")}
STROKES = {"exclude": [["svg g"]]}  # thousands of paths, which are one picture with a title
COMMANDS = {"store the documents": "rdjax encode 'my <b>corpus' --side documents"}
AT = "[...document.querySelectorAll('*')].indexOf(document.activeElement)"
STOPS = (  # of the Tab key, by their places among all elements
    "[...document.querySelectorAll('*')].flatMap((e, i) => "
    "e.matches('summary, a[href], [tabindex=\"0\"]') && e.checkVisibility() ? [i] : [])"
)
NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def missing():
    """Why there is no browser to test with, in a sentence; nothing if there is one."""
    for package in ("playwright", "axe_playwright_python"):
        if importlib.util.find_spec(package) is None:
            return f"The Python package {package} is not installed, so the page is not looked at in a browser."
    if path() is None:
        return "There is no Chromium on this machine, so the page is not looked at in a browser."
    return ""


def path():
    """Where it is, or None."""
    return next((found for name in NAMES if (found := shutil.which(name))), None)


@contextmanager
def opened():
    """A headless browser."""
    from playwright.sync_api import sync_playwright

    sandbox = [] if not hasattr(os, "geteuid") or os.geteuid() else ["--no-sandbox"]  # which root cannot have
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path(), args=sandbox)
        yield browser
        browser.close()


def rendered(audit, commands):
    """(text of the page, report.json), with a figure that takes no time to draw."""
    document = json.loads(json.dumps(to_json(audit, commands)))
    return to_html(audit, document, {"frontier": '<svg xmlns="http://www.w3.org/2000/svg"/>'}), document


def usual(folder):
    """Writes the usual report; its address."""
    write_report(fake_audit(warnings=("Only 150 queries are audited.",)), folder, COMMANDS)
    return (folder / "report.html").as_uri()


def with_long_names(folder):
    """Writes the page of an audit whose names are long and have no spaces; its address."""
    long = "unbroken" * 40
    fused = dataclasses.replace(fusion(), savings=(saving(long, 0.4, 3, 2),), stresses=(stress(long, 0.1, 0.2),))
    audit = fake_audit(corpus=long, prior=long, protocol=long, notes=(long,))
    audit = dataclasses.replace(audit, modalities=(modality(long, 6.1, 5.2, 1.0),), pairs=(), fusion=fused)
    place = folder / "report.html"
    place.write_text(rendered(dataclasses.replace(audit, measures=None), {"store": f"rdjax encode {long}"})[0])
    return place.as_uri()


def broken_rules(view):
    """Of accessibility, as axe knows them, each with the first element that breaks it."""
    from axe_playwright_python.sync_playwright import Axe

    found = Axe().run(view, context=STROKES).response["violations"]
    return {rule["id"]: rule["nodes"][0]["html"] for rule in found}


def check_look(chromium, address, look, axe):
    """No words on the console, no request, no wider than the window, the colors asked for; no rule broken, if `axe`."""
    width, scheme = LOOKS[look]
    view = chromium.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    said, asked = [], []
    view.on("console", lambda message: said.append(message.text))
    view.on("pageerror", lambda error: said.append(str(error)))
    view.on("request", lambda request: asked.append(request.url))
    view.goto(address)
    for opened in (False, True):
        view.evaluate("open => document.querySelectorAll('details').forEach(d => { d.open = open; })", opened)
        wide = view.evaluate("document.documentElement.scrollWidth")
        assert wide <= width, f"{wide} pixels wide"
    broken = broken_rules(view) if axe else {}
    assert not broken, broken
    assert not said, said
    foreign = [url for url in asked if not url.startswith(("file:", "data:"))]
    assert not foreign, foreign
    dark = view.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (dark == "rgb(20, 24, 28)") == (scheme == "dark")
    paper = view.evaluate("getComputedStyle(document.querySelector('.paper')).backgroundColor")
    assert min(map(int, re.findall(r"\d+", paper))) > 250  # figures are drawn for white
    view.close()


def check_keyboard(chromium, address):
    """Tab reaches everything, with a ring around it; what is too wide scrolls, and details open."""
    view = chromium.new_page(viewport={"width": 400, "height": 900})
    view.goto(address)
    view.keyboard.press("Tab")
    assert view.evaluate("document.activeElement.className") == "skip"
    assert view.evaluate("document.activeElement.getBoundingClientRect().top") >= 0
    wanted, reached = set(view.evaluate(STOPS)), set()
    assert len(wanted) > 20
    for _ in range(200):
        place, ring, body = view.evaluate(
            f"[{AT}, getComputedStyle(document.activeElement).outlineStyle, document.activeElement === document.body]"
        )
        assert ring != "none" or body
        reached.add(place)
        if wanted <= reached:
            break
        view.keyboard.press("Tab")
    assert wanted <= reached, f"{len(wanted - reached)} of {len(wanted)} are not reached"
    box = view.locator(".box").nth(2)
    assert box.evaluate("e => e.scrollWidth > e.clientWidth")
    box.focus()
    view.keyboard.press("ArrowRight")
    view.wait_for_timeout(500)  # it scrolls smoothly
    assert box.evaluate("e => e.scrollLeft") > 0
    view.locator("summary").first.focus()
    view.keyboard.press("Enter")
    assert view.locator("details").first.evaluate("e => e.open")
    view.close()
