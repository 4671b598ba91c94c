"""An `Audit` made up without any computing, with numbers of the size that the emoji corpus gives."""

import dataclasses
import math

from rdjax.audit.result import (
    FIXED,
    STREAM,
    Audit,
    Bits,
    Example,
    Floor,
    Fusion,
    Measures,
    Modality,
    Pair,
    Point,
    Quality,
    Recommendation,
    Saving,
    Setting,
    Stress,
    Temperature,
)
from rdjax.limits.bound import Bound

TODAY, TARGET = 0.712, 0.95
# MRR and bits at N = 1000, theory notes, sections 1.4 and 1.6
STREAM_CURVE = (
    (0.4735, 0.1),
    (3.5256, 0.46),
    (4.8465, 0.59),
    (5.822, 0.68),
    (7.0916, 0.79),
    (7.8284, 0.85),
    (9.9658, 1.0),
)
FIXED_CURVE = ((4.52, 0.1), (7.67, 0.46), (8.29, 0.59), (8.7, 0.68), (9.18, 0.79), (9.45, 0.85), (9.97, 1.0))
MODEL_CURVE = ((4.0, 0.259), (8.0, 0.428), (16.0, 0.678), (32.0, 0.963), (64.0, 1.0))
#: family: (class B bits that keep 63%, smallest and largest power of two)
FAMILIES = {
    "PCA truncation": (420.0, 4, 13),
    "PCA + scalar": (60.0, 3, 12),
    "PCA + entropy-coded scalar": (45.0, 3, 11),
    "sign bits": (150.0, 5, 10),
}


def measured(value, *assumes):
    return Bound.value(value, "measured", *assumes)


def point(code, family, side, code_class, bits, kept, touched=None):
    value, half = TODAY * kept, 0.02 * math.sqrt(max(kept * (1 - kept), 0.01)) * 3
    fitted = {
        "A": "nothing; the encoder holds and searches the corpus",
        "B": "the 1,000 searched documents",
        "C": "228 other documents",
    }
    single = 8.0 * math.ceil(bits / 8)
    spent = Bits(measured(bits * 0.98), measured(bits * 1.01), measured(single), measured(touched or bits * 1.01))
    words = ("95% paired bootstrap over queries",)
    return Point(
        code=code,
        family=family,
        kind=STREAM if "entropy" in code else FIXED,
        budget=float(round(bits)),
        side=side,
        code_class=code_class,
        fitted_on=fitted[code_class],
        bits=spent,
        encoder_bytes=3_584_000 if code_class == "A" else int(3584 * bits),
        stored_bytes=3_584_000 if code_class == "A" else int(3584 * bits),
        chosen_by=Bound.at_least(kept - 0.01, "estimate", "90% one-sided bootstrap on the fit queries"),
        chosen_bits=spent.packed,
        value=measured(value),
        interval=Bound(value - half, value + half, "estimate", words),
        kept=measured(kept),
        kept_interval=Bound(kept - 0.7 * half, min(kept + 0.7 * half, 1.01), "estimate", words),
    )


def points(side):
    """Every family in classes B and C at powers of two; for documents a rescored code that touches fewer bits."""
    found = [point("number of the top document", "rank code", side, "A", 9.966, 0.951)] if side == "queries" else []
    for code_class, slow in (("B", 1.0), ("C", 1.6)):
        for family, (scale, low, high) in FAMILIES.items():
            budgets = [2.0**p for p in range(low, high + 1)]
            for bits in budgets:
                kept = 0.999 * (1 - math.exp(-((bits / (scale * slow)) ** 0.75)))
                found.append(point(f"{family}, {bits:.0f} bits", family, side, code_class, bits, kept))
                if kept > 0.99:
                    break
        found.append(point("int8", "int8", side, code_class, 7168.0, 0.9995))
        if side == "documents":
            code = "sign bits, int8 rescores 100"
            found.append(point(code, "sign bits, int8 rescores", side, code_class, 8064.0, 0.997, touched=1612.8))
    return found


def floor(name, side, classes, kind, bits, evidence, curve, *assumes):
    return Floor(name, side, classes, kind, Bound.at_least(bits, evidence, *assumes), "", curve)


def floors(side):
    what = "stored without knowledge of the others" if side == "documents" else "made without the corpus"
    name = f"code {what} (Theorem D)"
    rests = ("1,000 documents drawn independently", "average over corpora")
    blind = [
        floor(name, side, "C", STREAM, 5.78, "theorem", STREAM_CURVE, *rests),
        floor(f"{name}, Gaussian fit", side, "C", STREAM, 15.9, "model", MODEL_CURVE, *rests, "Gaussian fit"),
    ]
    if side == "documents":
        why = "a codebook fitted on the searched documents knows them, so Theorem D does not bind it"
        return [*blind, Floor("class B codebooks", side, "B", STREAM, None, why)]
    prior = "the law of the 1,000 audited queries themselves"
    return [
        floor("any code, rate-distortion (Theorem B)", side, "A, B, C", STREAM, 5.78, "theorem", STREAM_CURVE, prior),
        floor("any code, one query at a time (Theorem C)", side, "A, B, C", FIXED, 8.68, "theorem", FIXED_CURVE, prior),
        *blind,
    ]


def quality(name, temperatures, value, pessimistic):
    interval = Bound(value - 0.022, value + 0.022, "estimate", ("95% bootstrap over queries",))
    return Quality(name, temperatures, measured(value), measured(pessimistic), interval)


def guessed(bits):
    return Bound.value(bits, "estimate", "calibrated posterior, which leaves open more than the truth")


def modality(name, told, unique, price):
    interval = Bound(max(0.0, price - 0.2), price + 0.2, "estimate", ("95% over queries, given the posterior",))
    return Modality(name, guessed(told), guessed(unique), guessed(price), interval)


def estimated(low, high, *assumes):
    return Bound(low, high, "estimate", ("95%", *assumes))


def saving(name, without, saved, cost):
    lost, ids = 0.714 - without, (f"{name} 17", "1f95f")
    return Saving(
        name=name,
        without=measured(without),
        lost=measured(lost),
        interval=estimated(lost - 0.025, lost + 0.025),
        saved=measured(saved),
        saved_share=measured(saved / 1000),
        cost=measured(cost),
        cost_share=measured(cost / 1000),
        saves=tuple(Example(query, measured(1.0), measured(0.00131)) for query in ids),
        costs=(Example("1f411", measured(0.0244), measured(1.0)),) if cost else (),
    )


def stress(name, wrong, doubted, why=""):
    doubts = (None, None, None) if doubted is None else (measured(0.546), measured(0.699), measured(doubted))
    return Stress(name, measured(wrong), estimated(wrong - 0.02, wrong + 0.02), *doubts, why)


def fusion():
    """Of two modalities."""
    withheld = "withheld: the relevant documents already score highest."
    return Fusion(
        name="fused, calibrated tau",
        value=measured(0.714),
        reached=measured(593),
        reached_share=measured(0.593),
        temperatures=(
            Temperature("image", guessed(0.0521), estimated(0.0460, 0.0558, "over fit queries"), ""),
            Temperature("text", guessed(math.inf), None, withheld),
        ),
        savings=(saving("image", 0.409, 382, 28), saving("text", 0.539, 222, 0)),
        stresses=(stress("image", 0.0936, 0.355), stress("text", 0.436, None, "doubt takes 200 fit queries at least")),
    )


def setting(**changes):
    words = {
        "corpus": "emoji T1",
        "notes": (
            "drawn emoji, not photographs: it stands in for Flickr30k, and has no joint image-text space",
            "drawings: Noto Emoji (Google, Apache-2.0), Twemoji (Twitter, Inc. and other contributors, CC BY 4.0)",
        ),
        "metric": "mrr",
        "target": TARGET,
        "judgements": "single",
        "prior": "the law of the 1,000 audited queries themselves",
        "protocol": "fitted on 228 queries of other emoji, reported on 1,000",
        "documents": 1000,
        "queries": 1000,
        "fit_queries": 228,
        "repeated_queries": 0,
        "dimensions": {"image": 512, "text": 384},
        "stored_bits": 28672,
        "seed": 0,
    }
    return Setting(**{**words, **changes})


def best(side, classes, purpose, found):
    offered = [p for p in found if p.side == side and p.code_class in classes]
    good = [p for p in offered if p.chosen_by.lower >= TARGET - 0.011]
    chosen = min(good, key=lambda p: p.bits.packed.lower, default=None)
    words = f"No code that was tried reached 95% of today's MRR to {purpose}."
    if chosen is not None:
        spent = f"{chosen.bits.packed.lower:,.0f} bits with {chosen.code}"
        words = f"To {purpose}: {spent}, which kept {chosen.kept.lower:.1%}."
    return Recommendation(side, purpose, chosen, words)


def fake_audit(sides=("documents", "queries"), warnings=(), **changes):
    """Both sides, or one; `changes` are of the setting."""
    found = [p for side in sides for p in points(side)]
    chosen = [best("documents", "BC", "store the documents", found)] if "documents" in sides else []
    if "queries" in sides:
        chosen.append(best("queries", "C", "send a query without knowing the corpus", found))
        chosen.append(best("queries", "A", "send a query after searching the corpus", found))
    fused = quality("fused, tau = 1", {"image": 1.0, "text": 1.0}, TODAY, 0.71)
    return Audit(
        setting=setting(**changes),
        today=fused,
        aim=measured(TARGET * TODAY, "95% of today's"),
        qualities=(
            quality("image alone", {"image": 1.0}, 0.539, 0.539),
            quality("text alone", {"text": 1.0}, 0.409, 0.387),
            fused,
            quality("fused, calibrated tau", {"image": 0.0521, "text": 0.0794}, 0.714, 0.712),
            quality(
                "fused, tau = sqrt(mean H / H), as the paper prints", {"image": 0.981, "text": 1.022}, 0.709, 0.707
            ),
        ),
        points=tuple(found),
        floors=tuple(f for side in sides for f in floors(side)),
        modalities=(modality("image", 6.1, 5.2, 1.02), modality("text", 4.77, 3.87, 0.0)),
        pairs=(Pair("image", "text", guessed(7.81), None, "withheld: on data like these 2 bits read 0.4."),),
        measures=Measures(
            (guessed(11.2), None), None, None, None, None, ("H of text: withheld: all rows have one length.",)
        ),
        fusion=fusion(),
        recommendations=tuple(chosen),
        answer=tuple(choice.sentence for choice in chosen),
        warnings=tuple(warnings),
    )


def with_floor(audit, **changes):
    """The audit with its first floor changed."""
    return dataclasses.replace(audit, floors=(dataclasses.replace(audit.floors[0], **changes), *audit.floors[1:]))
