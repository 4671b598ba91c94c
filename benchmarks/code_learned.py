"""Learned recipes: what is told, and the trained code.

Trained on queries simulated anew at every look, for the documents that the class may see. A code of class C has to rank
documents that it never saw: it is taught on a thousand drawn like those of `rest` as well, and those of `rest` choose.
Beyond 32 bits, where more is learned from as few documents, it is taught on the drawn ones alone, so that what chooses the
step has not taught: by cross-validation on the fit queries of T1 to T4, in the median of 64 bits +.004, otherwise -.002
(of codes that did not give documents back their lengths, for which training did some of that).
"""

from collections.abc import Callable

import code_recipes
import numpy as np
from code_corpora import Material
from code_recipes import Recipe

from rdjax.codes import Code, LearnedCode, simulated_documents, simulated_lessons

WIDE = 512  # directions that the maps may use
SIMULATED, HELD_OUT = 4_000, 2_000  # queries of a look, and that choose the step
LIKE_THEM = 1000  # documents that a code of class C is taught on besides those it may see
ALONE = 32  # bits beyond which documents of class C are taught by drawn ones alone
OBSERVED = {"queries": 0.0, "documents": 0.5}  # of the noise; by cross-validation on the fit queries of T1 to T4
FIDELITY = {("documents", "B"): 0.3}  # by the same; of what is coded again as it was told
STEPS, LOOKS = 120, 3


def trained(recipe: Recipe) -> Recipe:
    """The recipe's code, trained."""

    def make(material: Material, side: str, code_class: str, bits: float) -> Code | None:
        code = recipe(material, side, code_class, bits)
        return None if code is None else learned(material, side, code)

    return make


def learned(material: Material, side: str, code: Code, seed: int = 0) -> LearnedCode:
    """The code, trained."""
    told, held_out = taught(material, side, seed, code.bits)
    chart = code_recipes.relevance(material, side)
    wide = chart.take(min(chart.k, WIDE))
    fidelity = FIDELITY.get((side, material.code_class), 0.0)
    options = {"fidelity": fidelity, "steps": STEPS, "looks": LOOKS, "patience": 3}
    return LearnedCode.fit(code, told, chart=wide, held_out=held_out, seed=seed, **options)


def taught(material: Material, side: str, seed: int, bits: float) -> tuple[Callable[[int], tuple], tuple]:
    """(what is told at each look, what chooses the step)."""
    documents, model = material.seen, code_recipes.query_model(material)
    alone = (side, material.code_class) == ("documents", "C") and bits > ALONE
    observed = 0.0 if alone else OBSERVED[side]
    lessons = lambda rows, count: simulated_lessons(model, rows, count, observed=observed, seed=seed)
    held_out = lessons(documents, HELD_OUT)(LOOKS + 1)
    if material.code_class == "C":
        drawn = simulated_documents(documents, LIKE_THEM, seed=seed)
        documents = drawn if alone else np.concatenate([documents, drawn])
    return lessons(documents, SIMULATED), held_out
