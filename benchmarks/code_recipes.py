"""Our recipes: from (material, side, class, bits) to a code of rdjax, or None where it cannot be fitted at that budget.

The benchmark chooses among the recipes of a table by cross-validation on the fit queries, once for every corpus, side,
class and budget, and looks at the chosen one's test figure once. What is fixed in length, what is mean length and what
searches the corpus are three tables, never ranked together. A recipe that is a fair candidate goes into its table. What
several recipes, budgets or sides share (transforms, simulated queries, codes that do not depend on the side) goes
through `material.once`, so that it is fitted once. `code_learned` trains the best of them.
"""

import math
from collections.abc import Callable, Iterator

import numpy as np
from code_corpora import Material

from rdjax.checks import InputError
from rdjax.codes import (
    Code,
    Directional,
    EntropyCodedScalar,
    MappedRankCode,
    RankCode,
    Renormalized,
    ScalarQuantizer,
    SignBits,
    TrellisCode,
    simulated_documents,
    turned_at_random,
)
from rdjax.codes.product import ProductQuantizer
from rdjax.codes.query_model import QueryModel
from rdjax.codes.rank_designed import DesignedRankCode
from rdjax.codes.relevance_map import SIDES, RelevanceMap, fit_relevance_map
from rdjax.codes.trellis import equal_shares
from rdjax.retrieval import calibrate_temperatures

STEPS = 10  # of k-means for residual stages
DIRECTIONS = 512  # of a relevance map, at most
RANK_DRAWS = 16  # queries simulated for each document, for rankings designed for them

Recipe = Callable[[Material, str, str, float], Code | None]


def stretched(recipe: Recipe) -> Recipe:
    """The recipe's code; of documents, with the lengths given back that those have which it may see."""

    def make(material: Material, side: str, code_class: str, bits: float) -> Code | None:
        code = recipe(material, side, code_class, bits)
        return code if code is None or side == "queries" else Renormalized.fit(code, material.seen)

    return make


def directed(recipe: Recipe) -> Recipe:
    """The recipe's code; of class C, which codes what it was not fitted on, with an encoder that looks for directions."""

    def make(material: Material, side: str, code_class: str, bits: float) -> Code | None:
        code = recipe(material, side, code_class, bits)
        return code if code is None or code_class == "B" else Directional.fit(code)

    return make


def pca_scalar(law: str) -> Recipe:
    """Lloyd-Max per principal component, whole bits by marginal return."""

    def make(material: Material, side: str, code_class: str, bits: float) -> Code | None:
        if bits > 8 * material.principal.k:
            return None
        fit = lambda: ScalarQuantizer.fit(material.vectors, int(bits), transform=material.principal, law=law)
        return material.once(("scalar", law, int(bits)), fit)

    return make


def pca_signs(material: Material, side: str, code_class: str, bits: float) -> Code | None:
    """One bit for each of the first principal components."""
    if bits > material.principal.k:
        return None
    return material.once(
        ("signs", bits), lambda: SignBits.fit(material.vectors, int(bits), transform=material.principal)
    )


def turned_signs(material: Material, side: str, code_class: str, bits: float) -> Code | None:
    """One bit for each of the first principal components, turned at random so that all have the same to say."""
    if bits > material.principal.k:
        return None
    make = lambda: turned_at_random(material.principal.take(int(bits)))
    return material.once(("turned signs", bits), lambda: SignBits.fit(material.vectors, int(bits), transform=make()))


def pca_product(k: int, width: int, blocks: int | None, turns: int = 0) -> Recipe:
    """Codebooks of `width` bits on the first k principal components: a product, or with one block residual stages."""

    def make(material: Material, side: str, code_class: str, bits: float) -> Code | None:
        if k > material.principal.k or 2**width > len(material.vectors) or bits > width * k:
            return None
        fit = lambda: ProductQuantizer.fit(
            material.vectors,
            int(bits),
            transform=material.principal.take(k),
            width=width,
            blocks=blocks,
            turns=turns,
        )
        return material.once(("product", k, width, blocks, turns, int(bits)), fit)

    return make


def pca_entropy_coded(material: Material, side: str, code_class: str, bits: float) -> Code | None:
    """One step for all principal components, entropy-coded."""
    if bits > 5 * material.principal.k:
        return None
    fit = lambda: EntropyCodedScalar.fit(material.vectors, bits, transform=material.principal)
    return material.once(("entropy-coded scalar", bits), lambda: if_it_can(fit))


def if_it_can(fit: Callable[[], Code]) -> Code | None:
    """The code, or None where the vectors vary in too few directions for so many bits."""
    try:
        return fit()
    except InputError:
        return None


def query_model(material: Material) -> QueryModel:
    """How a query differs from the document it wants, from the fit queries."""
    return material.once("model", lambda: QueryModel.fit(material.queries, material.wanted, blocks=material.blocks))


def relevance(material: Material, side: str) -> RelevanceMap:
    """The map fitted to relevance, all directions that are of use; recipes take the first k."""
    model = query_model(material)
    most = min(DIRECTIONS, material.vectors.shape[1], len(material.seen) - 1)
    return material.once(("map", side), lambda: fit_relevance_map(model, material.seen, most, side=side))


def examples(material: Material, side: str) -> np.ndarray:
    """What a supervised code is fitted on, ours and the peers' behind our map.

    Documents it may see, and for class C, which codes others, as many drawn like them; or queries simulated for those
    that it may see, and the fit queries.
    """
    if side == "documents" and material.code_class == "C":
        more = lambda: simulated_documents(material.seen, material.simulated // 2).astype(np.float32)
        return material.once("documents like those", lambda: np.concatenate([material.seen, more()]))
    if side == "documents":
        return material.seen
    draws = max(1, material.simulated // len(material.seen))
    simulate = lambda: np.concatenate(
        [query_model(material).simulate(material.seen, draws).astype(np.float32), material.queries]
    )
    return material.once("simulated", simulate)


def relevance_scalar(material: Material, side: str, code_class: str, bits: float) -> Code | None:
    """Lloyd-Max along the directions of relevance."""
    chart = relevance(material, side)
    if bits > 8 * chart.k:
        return None
    return ScalarQuantizer.fit(examples(material, side), int(bits), transform=chart)


def relevance_entropy_coded(material: Material, side: str, code_class: str, bits: float) -> Code | None:
    """Cells of one price of a bit for the first directions of relevance, two for every bit, entropy-coded."""
    chart = relevance(material, side)
    if bits > 5 * chart.k:
        return None
    few = chart.take(min(chart.k, 2 * round(bits)))
    return if_it_can(lambda: EntropyCodedScalar.fit(examples(material, side), bits, transform=few))


def relevance_product(k: int, width: int, blocks: int | None) -> Recipe:
    """Codebooks of `width` bits on the first k directions of relevance: a product, or with one block residual stages.

    Where the very vectors of the fit are coded (documents, class B), stages are refined together.
    """

    def make(material: Material, side: str, code_class: str, bits: float) -> Code | None:
        chart, vectors = relevance(material, side), examples(material, side)
        if k > chart.k or 2**width > len(vectors) or bits > width * k:
            return None
        rounds = 4 if (side, code_class) == ("documents", "B") else 0
        fit = lambda: ProductQuantizer.fit(
            vectors,
            int(bits),
            transform=chart.take(k),
            width=width,
            blocks=blocks,
            rounds=rounds,
            steps=STEPS if blocks else 25,
        )
        return material.once(("relevance product", side, k, width, blocks, int(bits)), fit)

    return make


def relevance_trellis(material: Material, side: str, code_class: str, bits: float) -> Code | None:
    """Equal bits for the first directions of relevance in a trellis: its encoder holds little more than the map."""
    chart = relevance(material, side)
    k, spent = equal_shares(chart.signal, int(bits))
    fit = lambda: TrellisCode.fit(examples(material, side), spent, transform=chart.take(k))
    return material.once(("relevance trellis", side, int(bits)), fit)


def relevance_signs(material: Material, side: str, code_class: str, bits: float) -> Code | None:
    """One bit for each of the first directions of relevance, as codebooks of two words, which can be trained."""
    return relevance_product(int(bits), 1, None)(material, side, code_class, bits)


def relevance_residual(k: int, sides: tuple[str, ...] = SIDES, most: float = math.inf) -> Recipe:
    """Residual stages of 8 bits, eight in a block at most: more cost more to fit and to search than they gain.

    Of queries 128 directions are enough: codes that are trained from there learn to use the others. Few bits (`most`)
    are best spent on fewer.
    """

    def make(material: Material, side: str, code_class: str, bits: float) -> Code | None:
        if side not in sides or bits > most:
            return None
        return relevance_product(k, 8, -(-int(bits) // 64))(material, side, code_class, bits)

    return make


def designed_rankings(material: Material, side: str, code_class: str, bits: float) -> Code | None:
    """Rankings designed for simulated queries, below log2 N bits; from there on the top document and the next."""
    codewords, heat = 2 ** int(bits), 1 / material.sharpness
    if codewords >= len(material.searched):
        return RankCode.fit(material.searched, codewords, temperature=heat)
    simulate = lambda: query_model(material).simulate(material.searched, RANK_DRAWS)
    queries = material.once("simulated for rankings", simulate)
    return DesignedRankCode.fit(material.searched, codewords, queries, temperature=heat)


def mapped_rankings(material: Material, side: str, code_class: str, bits: float) -> Code | None:
    """The same along the directions of relevance, the posterior calibrated on queries that the map was not fitted on."""
    heat = material.once("heat", lambda: mapped_temperature(material))
    return MappedRankCode.fit(
        material.searched, 2 ** int(bits), query_model(material), draws=RANK_DRAWS, temperature=heat
    )


def mapped_temperature(material: Material) -> float:
    """Temperature of mapped scores on every other fit query, the map fitted on the others."""
    halves = [slice(i, None, 2) for i in (0, 1)]
    model = QueryModel.fit(material.queries[halves[0]], material.wanted[halves[0]], blocks=material.blocks)
    wanted = material.wanted[halves[1]]
    own = {row.tobytes() for row in wanted}
    corpus = np.concatenate([wanted, [row for row in material.searched if row.tobytes() not in own]])
    k = min(DIRECTIONS, corpus.shape[1], len(material.searched) - 1)
    asked, shown = (fit_relevance_map(model, material.searched, k, side=side) for side in SIDES)
    scores = np.asarray(asked.apply(material.queries[halves[1]])) @ np.asarray(shown.apply(corpus)).T
    return float(calibrate_temperatures(scores[None], np.arange(len(scores))).temperatures[0])


_FIXED: dict[str, Recipe] = {
    "PCA + scalar": pca_scalar("gaussian"),
    "PCA + signs": pca_signs,
    "PCA + turned signs": turned_signs,
    "PCA 64 + product of 8": pca_product(64, 8, None),
    "PCA 128 + turned product of 4": pca_product(128, 4, None, turns=50),
    "relevance + scalar": relevance_scalar,
    "relevance + signs": relevance_signs,
    "relevance + trellis": relevance_trellis,
    "relevance 128 + product of 8": relevance_product(128, 8, None),
    "relevance 32 + residual of 4": relevance_product(32, 4, 1),
    "relevance 32 + residual of 8": relevance_residual(32, most=64),
    "relevance 128 + residual of 8": relevance_residual(128),
    "relevance 256 + residual of 8": relevance_residual(256, ("documents",)),
}
FIXED = {name: stretched(directed(recipe)) for name, recipe in _FIXED.items()}
#: Those that `LearnedCode` can train.
LEARNABLE = tuple(name for name in FIXED if name.startswith("relevance ") and not name.endswith("scalar"))
#: Of mean length; the first is one that the market has too: it stands among the peers as well, as it is there.
USUAL_MEAN: dict[str, Recipe] = {"PCA + entropy-coded scalar": pca_entropy_coded}
_MEAN: dict[str, Recipe] = {**USUAL_MEAN, "relevance + entropy-coded scalar": relevance_entropy_coded}
MEAN = {name: stretched(recipe) for name, recipe in _MEAN.items()}
RANK: dict[str, Recipe] = {"designed rankings": designed_rankings, "relevance, rankings": mapped_rankings}

#: Of a Gaussian source with equal variances: (vectors [n, d], bits) -> Code or None; `JOINT` are told many side by side.
GAUSSIAN: dict[str, Callable[[np.ndarray, float], Code | None]] = {
    "scalar": lambda vectors, bits: ScalarQuantizer.fit(vectors, int(bits)),
    "product of 8": lambda vectors, bits: ProductQuantizer.fit(vectors, int(bits), transform="coordinates"),
    "entropy-coded scalar": lambda vectors, bits: EntropyCodedScalar.fit(vectors, bits, transform="coordinates"),
    "trellis": lambda vectors, bits: TrellisCode.fit(vectors, int(bits)),
}
JOINT: dict[str, Callable[[np.ndarray, float], Code | None]] = {
    "trellis": lambda vectors, bits: TrellisCode.fit(vectors, int(bits), memory=9)
}


def supervised(material: Material, side: str) -> Iterator[tuple[str, RelevanceMap, np.ndarray]]:
    """(label, map, training vectors) of our supervised recipes, for faiss to be put behind the same ones."""
    chart, vectors = relevance(material, side), examples(material, side)
    for k in (32, 64, 128):
        if k <= chart.k:
            yield f"relevance {k}", chart.take(k), vectors
