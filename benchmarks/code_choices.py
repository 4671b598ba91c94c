"""What giving back lengths, looking for directions and training are worth: recipes with and without, by cross-validation.

    python benchmarks/code_choices.py [--corpora T1 T3] [--sides documents queries] [--classes C] [--budgets 16 32 64]
                                      [--divisions 1] [--recipes NAME ...] [--learned]

Nothing here looks at a test query. The fit queries are divided into four parts, each coded by what was fitted without it
(see `Cell.on_fit_split`); several divisions are several draws of those parts. MRR of the recipe as it is; then what is
added to it, by giving documents back their lengths (`Renormalized`), by an encoder that looks for directions as well
(`Directional`), and with --learned by training the recipe as code_recipes.py has it. At the end the mean over corpora and
divisions, with its standard error over them.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import math
import statistics

import code_learned
import code_recipes
import numpy as np
from code_corpora import FOLDS, Case
from code_measure import Cell
from code_recipes import Recipe

from rdjax.codes import Code, Directional
from rdjax.codes.directional import quantizer_of

RECIPES = ["relevance + trellis", "relevance 128 + product of 8", "relevance 128 + residual of 8"]


def whole_search(recipe: Recipe) -> Recipe:
    """The recipe's code, by direction in whatever class."""

    def make(*place: object) -> Code | None:
        code = recipe(*place)  # type: ignore[arg-type]
        return None if code is None else Directional.fit(quantizer_of(code))

    return make


def ways(name: str, learned: bool) -> dict[str, Recipe]:
    """The recipe as it is, and with what may be added."""
    plain = code_recipes._FIXED[name]
    found = {"as it is": plain, "lengths": code_recipes.stretched(plain)}
    found["directions too"] = code_recipes.stretched(whole_search(plain))
    if learned and name in code_recipes.LEARNABLE:
        found["learned"] = code_learned.trained(code_recipes.FIXED[name])
    return found


def worth(cell: Cell, name: str, recipe: Recipe) -> float:
    """MRR over all parts."""
    return statistics.mean(float(cell.on_fit_split(name, recipe, part).mean()) for part in range(FOLDS))


def divided(corpus: str, division: int) -> Case:
    """The corpus, its fit queries in parts drawn with that seed."""
    case = Case(corpus)
    order = np.random.default_rng(division).permutation(case.view.fit.num_queries)
    case.parts = np.array_split(order, FOLDS)
    return case


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--corpora", nargs="+", default=["T1", "T3"])
    parser.add_argument("--sides", nargs="+", default=["documents", "queries"])
    parser.add_argument("--classes", nargs="+", default=["C"])
    parser.add_argument("--budgets", nargs="+", type=int, default=[16, 32, 64])
    parser.add_argument("--divisions", type=int, default=1)
    parser.add_argument("--recipes", nargs="+", choices=list(code_recipes.FIXED), default=RECIPES, metavar="NAME")
    parser.add_argument("--learned", action="store_true")
    given = parser.parse_args()
    gains: dict[tuple, list[float]] = {}
    for corpus in given.corpora:
        for division in range(given.divisions):
            case = divided(corpus, division)
            for code_class in given.classes:
                for side in given.sides:
                    for bits in given.budgets:
                        cell = Cell(case, side, code_class, bits)
                        for name in given.recipes:
                            compare(cell, name, given.learned, gains)
                        case.forget()
    print("\nmean over corpora and divisions of what is added to the recipe as it is")
    for (side, code_class, bits, name, way), values in gains.items():
        error = statistics.stdev(values) / math.sqrt(len(values)) if len(values) > 1 else math.nan
        print(
            f"  {side:10}{code_class:2}{bits:4}  {name:32}{way:16}{statistics.mean(values):+.3f} ({error:.3f}, {len(values)})"
        )


def compare(cell: Cell, name: str, learned: bool, gains: dict[tuple, list[float]]) -> None:
    """One recipe in one place, every way."""
    found = {way: worth(cell, f"{name}, {way}", recipe) for way, recipe in ways(name, learned).items()}
    begin = found.pop("as it is")
    if not math.isfinite(begin):
        return
    if cell.side == "queries":
        del found["lengths"]
    for way, value in found.items():
        gains.setdefault((cell.side, cell.code_class, cell.bits, name, way), []).append(value - begin)
    added = ", ".join(f"{way} {value - begin:+.3f}" for way, value in found.items())
    place = f"{cell.case.name} {cell.side} {cell.code_class} {cell.bits}"
    print(f"{place:24}{name:32}{begin:.3f}; {added}", flush=True)


if __name__ == "__main__":
    main()
