"""Numbers of a page: each is read from report.json by its place there, put into words, and says where it stands.

A place is a JSON Pointer (RFC 6901), e.g. /points/3/bits/packed. An element that shows it carries the place and the
name of the form, so that whoever doubts a number finds it in the file.
"""

import math
import re
from collections.abc import Callable, Iterable
from typing import Any

from markupsafe import Markup

from rdjax.audit.wording import metric_title, percent, storage
from rdjax.limits.bound import Bound
from rdjax.report import words

NOTHING = "–"
Form = Callable[[Any], str]


def to_bound(value: Any) -> Bound:
    """The bound that a dict of report.json stands for."""
    lower = math.inf if value.get("unreachable") else -math.inf if value["lower"] is None else value["lower"]
    upper = math.inf if value["upper"] is None else value["upper"]
    return Bound(lower, upper, value["evidence"], tuple(value["assumes"]))


def _of_bound(words_of: Callable[[Bound], str]) -> Form:
    return lambda value: words_of(to_bound(value))


def _bits_interval(bound: Bound) -> str:
    return f"[{words.bits(float(bound.lower))}, {words.bits(float(bound.upper))}]"


def _lead(text: str) -> str:
    """The first sentence."""
    return re.split(r"(?<=\.) (?=[A-Z])", text, maxsplit=1)[0]


#: How values of report.json are put into words.
FORMS: dict[str, Form] = {
    "text": str,
    "lead": _lead,
    "rest": lambda text: text[len(_lead(text)) :].strip(),
    "sentence": lambda text: text[:1].upper() + text[1:],
    "metric": metric_title,
    "count": lambda value: f"{value:,}",
    "storage": storage,
    "percent": percent,
    "bits": _of_bound(words.bits),
    "bits interval": _of_bound(_bits_interval),
    "between": _of_bound(words.between),
    "quality": _of_bound(words.quality),
    "interval": _of_bound(words.interval),
    "share": _of_bound(words.share),
    "share interval": _of_bound(words.share_interval),
    "whole": _of_bound(lambda bound: f"{words.number(bound):,.0f}"),
    "temperature": _of_bound(words.temperature),
    "temperature interval": _of_bound(words.temperature_interval),
    "number of bits": words.bits,
    "evidence": lambda value: value["evidence"],
    "assumptions": lambda value: "; ".join(value["assumes"]),
    "grounds": lambda floor: floor["why"] if floor["bits"] is None else "; ".join(floor["bits"]["assumes"]),
    "temperatures": lambda taus: words.joined(f"{name} {words.tau(tau)}" for name, tau in taus.items()),
    "vectors": lambda sizes: " + ".join(f"{name} [{size}]" for name, size in sizes.items()),
}


class Numbers:
    """The document, and how a page quotes it."""

    def __init__(self, document: dict[str, Any]) -> None:
        self.document = document

    def at(self, place: str) -> Any:
        """The value at a JSON Pointer."""
        value: Any = self.document
        for key in place.split("/")[1:]:
            value = value[int(key)] if isinstance(value, list) else value[key.replace("~1", "/").replace("~0", "~")]
        return value

    def show(self, place: str, form: str, missing: str = NOTHING) -> Markup:
        """The value in words, in an element that says where it is from; `missing` where there is none."""
        value = self.at(place)
        if value is None:
            return Markup('<span class="none">{}</span>').format(missing)
        return Markup('<span data-json="{}" data-form="{}">{}</span>').format(place, form, FORMS[form](value))

    def basis(self, places: Iterable[str]) -> list[tuple[str, str]]:
        """(evidence, a place that has these assumptions) of bounds, each pair of evidence and assumptions once."""
        found: dict[Any, str] = {}
        for place in places:
            value = self.at(place)
            if isinstance(value, dict) and "evidence" in value:
                found.setdefault((value["evidence"], tuple(value["assumes"])), place)
        return [(evidence, place) for (evidence, _), place in found.items()]


def pointer(*keys: Any) -> str:
    """The JSON Pointer of keys and indices."""
    return "".join("/" + str(key).replace("~", "~0").replace("/", "~1") for key in keys)
