"""The choice of codes, and the answer in sentences: for a person with a disk first."""

import math
from collections.abc import Iterable

from rdjax.audit.quality import CALIBRATED
from rdjax.audit.result import CLASSES, FIXED, OWN, STREAM, Floor, Point, Quality, Recommendation, Setting
from rdjax.audit.wording import bits, metric_title, percent, share_beside, storage
from rdjax.limits.bound import Bound

STORE, SEND_BLIND, SEND_SEARCHED = "store the documents", "send a query blind", "send a query after searching"


def recommend(points: Iterable[Point], floors: Iterable[Floor], setting: Setting) -> tuple[Recommendation, ...]:
    """For each purpose the cheapest code that keeps the target on the fit queries, with its sentence.

    Documents are chosen by the bytes on disk of their codes and of the code itself; queries by the packed bits of fit
    queries.
    """
    points, floors = list(points), list(floors)
    chosen = []
    for side, classes, purpose, say in (
        ("documents", "BC", STORE, _store),
        ("queries", "C", SEND_BLIND, _send_blind),
        ("queries", "A", SEND_SEARCHED, _send_searched),
    ):
        every = [point for point in points if point.side == side]
        offered = [point for point in every if point.code_class in classes]
        if not offered:
            if purpose == SEND_BLIND and any(point.code_class == "B" for point in every):
                chosen.append(Recommendation(side, purpose, None, _none_blind(every, setting)))
            continue
        best = min(_good(offered, setting), key=lambda point: cost(point, setting), default=None)
        binding = [floor for floor in floors if floor.side == side]
        chosen.append(Recommendation(side, purpose, best, say(best, offered, binding, setting)))
    return tuple(chosen)


def beside_chance(today: Quality, chance: float, setting: Setting) -> tuple[str, ...]:
    """What is said before all else where today's ranking is not sure to be better than a random order; else ()."""
    low, high, here = _low(today.interval), float(today.interval.upper), _low(today.value)
    if low > chance or setting.documents == 1:
        return ()
    verdict = "is below" if high < chance else "is not sure to be above"
    return (
        f"Today's {metric_title(setting.metric)}, {here:.3g} [{low:.3g}, {high:.3g}], {verdict} that of documents in "
        f"random order, {chance:.3g}: see whether scores are similarities, not distances, whether `relevant` numbers "
        "the right documents, and whether one model made both sides. Codes are asked to keep no more than that.",
    )


def beside_weights(qualities: Iterable[Quality], today: Quality, setting: Setting) -> tuple[str, ...]:
    """What weighing modalities is worth without any code, where that is sure to be more than nothing; else ()."""
    best = next((quality for quality in qualities if quality.name == CALIBRATED), today)
    if _low(best.interval) <= float(today.interval.upper):
        return ()
    metric, ratio = metric_title(setting.metric), _low(best.value) / _low(today.value)
    weights = ", ".join(f"{name} {tau:.3g}" for name, tau in best.temperatures.items()) or "each fold has its own"
    return (
        f"Before any code: with calibrated temperatures ({weights}) the uncompressed vectors have {metric} "
        f"{_low(best.value):.3f} instead of today's {_low(today.value):.3f}. Every code here weighs its modalities so, "
        f"which is how one can keep more than 100% of today's: uncompressed, that would be {ratio:.1%}.",
    )


def _good(offered: list[Point], setting: Setting) -> list[Point]:
    """Those that are sure to keep the target on the fit queries."""
    return [point for point in offered if float(point.chosen_by.lower) >= setting.target]


def cost(point: Point, setting: Setting) -> tuple[float, bool]:
    """What a code is chosen by; of two that cost the same, the portable one."""
    size = disk(point, setting) if point.side == "documents" else _low(point.chosen_bits)
    return size, point.code_class != "C"


def disk(point: Point, setting: Setting) -> float:
    """Bytes on disk for all documents: their codes, and the code itself."""
    return _low(point.bits.packed) / 8 * setting.documents + point.stored_bytes


def _store(point: Point | None, offered: list[Point], floors: list[Floor], setting: Setting) -> str:
    blind = _blind_floor(floors, "a document coded without knowledge of the others")
    if point is None:
        return f"{_nothing(offered, setting)} {blind}"
    packed, after, before = _low(point.bits.packed), disk(point, setting), setting.stored_bits / 8 * setting.documents
    beside = f"instead of {storage(before)}."
    if after >= before:
        beside = f"where they take {storage(before)} today; leaving them as they are takes no more."
    return (
        f"{bits(packed)} ({packed / 8:,.1f} bytes) for each stored document{_mean(point)} "
        f"{_keep(point, setting)}, with {point.code} ({_class(point)}): "
        f"{storage(after)} for {setting.documents:,} documents, the file of the code included, {beside} "
        f"{_kept(point, setting)} {_next(point, offered, setting)}{_fewer(point, offered, setting)}{blind}"
    )


def _fewer(point: Point, offered: list[Point], setting: Setting) -> str:
    """That fewer bits would do, where the code that makes them takes more than they save."""
    shown = lambda point: bits(_low(point.bits.packed))
    least = min(_good(offered, setting), key=lambda each: _low(each.bits.packed), default=point)
    if _low(least.bits.packed) >= _low(point.bits.packed) or shown(least) == shown(point):
        return ""
    more = storage(least.stored_bytes - point.stored_bytes)
    return (
        f"Fewer, {shown(least)} with {least.code} (class {least.code_class}), {_keep(least, setting)}, but the file of "
        f"that code is larger by {more}, which is more than they save. "
    )


def _next(point: Point, offered: list[Point], setting: Setting) -> str:
    """Where it missed the target: the cheapest that was as sure on the fit queries, by what it kept here as well."""
    if _low(point.kept) >= setting.target:
        return ""
    enough = [each for each in _good(offered, setting) if _low(each.kept) >= setting.target]
    following = min(enough, key=lambda each: cost(each, setting), default=None)
    if following is None:
        return ""
    return (
        f"Of those as sure on the fit queries, the cheapest that kept it here too, with hindsight, has "
        f"{bits(_low(following.bits.packed))} ({following.code}, class {following.code_class}; it kept "
        f"{share_beside(_low(following.kept), setting.target)}). "
    )


def _none_blind(tried: list[Point], setting: Setting) -> str:
    """That no code was made without the corpus, and the best of those that know it."""
    best = max((point for point in tried if point.code_class == "B"), key=lambda point: _low(point.kept))
    return (
        "No code that was tried is made without the corpus: these families learn from documents, so give others to fit "
        f"on (--fit), or try other families. Of class B ({CLASSES['B']}) {best.code} keeps most, with "
        f"{bits(_low(best.bits.packed))} per query. {_kept(best, setting)}"
    )


def _send_blind(point: Point | None, offered: list[Point], floors: list[Floor], setting: Setting) -> str:
    blind = _blind_floor(floors, "a query coded without the corpus")
    if point is None:
        return f"{_nothing(offered, setting)} {blind}"
    return (
        f"{bits(_low(point.bits.packed))} per query{_mean(point)} {_keep(point, setting)}, for an encoder that does "
        f"not know the corpus ({_header(setting)}; {_low(point.bits.single) / 8:,.0f} bytes for a single query), "
        f"with {point.code} ({_class(point)}; the encoder holds {storage(point.encoder_bytes)}). "
        f"{_kept(point, setting)} {_next(point, offered, setting)}{blind}"
    )


def _send_searched(point: Point | None, offered: list[Point], floors: list[Floor], setting: Setting) -> str:
    best = point or max(offered, key=lambda p: _low(p.value))
    verdict = _keep(point, setting) if point else "are the best that was tried, and not sure to keep the target"
    binding = [(floor.kind, floor.bits) for floor in floors if "A" in floor.classes]
    general = {kind: bits for kind, bits in binding if bits is not None and bits.evidence == "theorem"}
    words = (
        f"{_low(best.bits.packed):.2f} bits per query ({_header(setting)}; "
        f"{_low(best.bits.single) / 8:.0f} bytes for a single query) "
        f"{verdict}, for an encoder that searches the corpus, with the {best.code} (class A). {_kept(best, setting)} "
        "Such an encoder has already done the search."
    )
    if STREAM in general:
        least = _low(general[STREAM])
        words += f" No uniquely decodable code of any class averages fewer than {least:.2f} bits over a stream"
        words += f", no fixed-length one has fewer than {_low(general[FIXED]):.2f}" if FIXED in general else ""
        words += f" (prior: {OWN if setting.judgements == 'several' else setting.prior})."
    return words


def _header(setting: Setting) -> str:
    return f"in one file of {setting.queries:,} with its header"


def _mean(point: Point) -> str:
    return ", on average," if point.kind == STREAM else ""


def _class(point: Point) -> str:
    knows = CLASSES["B"] if point.code_class == "B" else f"fitted on {point.fitted_on}"
    return f"class {point.code_class}: {knows}"


def _kept(point: Point, setting: Setting) -> str:
    low, high, kept = float(point.kept_interval.lower), float(point.kept_interval.upper), _low(point.kept)
    missed = "" if kept >= setting.target else ", which misses the target"
    most = f"{high:.1%}" if math.isfinite(high) else "no upper end"
    fitted = f"{setting.repeated_queries:,} of which it was fitted on" if setting.repeated_queries else ""
    return (
        f"It kept {share_beside(kept, setting.target)} [{low:.1%}, {most}] on the {setting.queries:,} audited queries, "
        f"{fitted or 'which it was not fitted on'}{missed}."
    )


NONE = 0.005  # bits that are shown as 0.00


def _keep(point: Point, setting: Setting) -> str:
    """What it keeps; and what it kept, where that is less than was asked for: it belongs beside the claim."""
    kept, what = _low(point.kept), f"{percent(setting.target)} of today's {metric_title(setting.metric)}"
    missed = f"were chosen to keep {what} and kept {share_beside(kept, setting.target)}"
    return f"keep {what}" if kept >= setting.target else missed


def _blind_floor(floors: list[Floor], subject: str) -> str:
    """The floors that bind codes made without the corpus, or why there is none."""
    blind = [floor for floor in floors if floor.classes == "C"]
    proved = next((floor.bits for floor in blind if floor.bits is not None and floor.bits.evidence == "theorem"), None)
    if proved is None:
        general = any(floor.bits is not None and "C" in floor.classes for floor in floors)
        none = "no further floor" if general else "no floor"
        return "".join(f"For {subject} {none} is proved: {floor.why}." for floor in blind[:1])
    words = f"For {subject}, no uniquely decodable code averages fewer than {_low(proved):.2f} bits over a stream"
    if _low(proved) < NONE:
        words = f"For {subject}, no bits over a stream are proved to be needed, as so little is asked of a ranking"
    model = next((floor.bits for floor in blind if floor.bits is not None and floor.bits.evidence == "model"), None)
    if model is not None:
        few = f", {_low(model):.1f} under a Gaussian fit"
        words += few if math.isfinite(_low(model)) else ", and none suffices under a Gaussian fit"
    return words + "."


def _nothing(offered: list[Point], setting: Setting) -> str:
    best = max(offered, key=lambda point: _low(point.kept))
    what = "stored document" if best.side == "documents" else "query of an encoder that does not know the corpus"
    return (
        f"No code that was tried is sure to keep {percent(setting.target)} of today's {metric_title(setting.metric)} "
        f"per {what}; the closest is {best.code} with {bits(_low(best.bits.packed))}. {_kept(best, setting)}"
    )


def _low(bound: Bound) -> float:
    return float(bound.lower)
