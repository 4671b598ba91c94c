"""Our recipes: from (material, side, class, bits) to a code of rdjax, or None where it cannot be fitted at that budget.

The benchmark chooses among the recipes of a table by cross-validation on the fit queries, once for every corpus, side,
class and budget, and looks at the chosen one's test figure once. What is fixed in length, what is mean length and what
searches the corpus are three tables, never ranked together. A recipe that is a fair candidate goes into its table. What
several recipes, budgets or sides share (transforms, simulated queries, codes that do not depend on the side) goes
through `material.once`, so that it is fitted once.
"""

from collections.abc import Callable, Iterator

import numpy as np
from code_corpora import Material

from rdjax.codes import Code, EntropyCodedScalar, RankCode, ScalarQuantizer, SignBits
from rdjax.codes.product import ProductQuantizer
from rdjax.codes.query_model import QueryModel
from rdjax.codes.rank_designed import DesignedRankCode
from rdjax.codes.recoded import EntropyCoded
from rdjax.codes.relevance_map import RelevanceMap, fit_relevance_map

SIMULATED = 16_000  # queries simulated for a supervised code of queries, about
DIRECTIONS = 512  # of a relevance map, at most
RANK_DRAWS = 16  # queries simulated for each document, for rankings designed for them

Recipe = Callable[[Material, str, str, float], Code | None]


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


def pca_product(k: int, width: int, blocks: int | None) -> Recipe:
    """Codebooks of `width` bits on the first k principal components: a product, or with one block residual stages."""

    def make(material: Material, side: str, code_class: str, bits: float) -> Code | None:
        if k > material.principal.k or 2**width > len(material.vectors) or bits > width * k:
            return None
        fit = lambda: ProductQuantizer.fit(
            material.vectors, int(bits), transform=material.principal.take(k), width=width, blocks=blocks
        )
        return material.once(("product", k, width, blocks, int(bits)), fit)

    return make


def entropy_coded(recipe: Recipe, supervised: bool = False) -> Recipe:
    """A recipe of fixed length with its symbols entropy-coded, by frequencies over what it was fitted on."""

    def make(material: Material, side: str, code_class: str, bits: float) -> Code | None:
        code = recipe(material, side, code_class, int(bits))
        seen = examples(material, side) if supervised else material.vectors
        return None if code is None else EntropyCoded.fit(code, np.asarray(code.encode(seen)))

    return make


def pca_entropy_coded(material: Material, side: str, code_class: str, bits: float) -> Code | None:
    """One step for all principal components, entropy-coded."""
    if bits > 5 * material.principal.k:
        return None
    fit = lambda: EntropyCodedScalar.fit(material.vectors, bits, transform=material.principal)
    return material.once(("entropy-coded scalar", bits), fit)


def query_model(material: Material) -> QueryModel:
    """How a query differs from the document it wants, from the fit queries."""
    return material.once("model", lambda: QueryModel.fit(material.queries, material.wanted, blocks=material.blocks))


def relevance(material: Material, side: str) -> RelevanceMap:
    """The map fitted to relevance, all directions that are of use; recipes take the first k."""
    model = query_model(material)
    most = min(DIRECTIONS, material.vectors.shape[1], len(material.seen) - 1)
    return material.once(("map", side), lambda: fit_relevance_map(model, material.seen, most, side=side))


def examples(material: Material, side: str) -> np.ndarray:
    """What a supervised code is fitted on: the documents it may see, or queries simulated for them and the fit queries."""
    if side == "documents":
        return material.seen
    draws = max(1, SIMULATED // len(material.seen))
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
    """One step for all directions of relevance, entropy-coded."""
    chart = relevance(material, side)
    if bits > 5 * chart.k:
        return None
    return EntropyCodedScalar.fit(examples(material, side), bits, transform=chart)


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
            vectors, int(bits), transform=chart.take(k), width=width, blocks=blocks, rounds=rounds
        )
        return material.once(("relevance product", side, k, width, blocks, int(bits)), fit)

    return make


def designed_rankings(material: Material, side: str, code_class: str, bits: float) -> Code | None:
    """Rankings designed for simulated queries, below log2 N bits; from there on the top document and the next."""
    codewords, heat = 2 ** int(bits), 1 / material.sharpness
    if codewords >= len(material.searched):
        return RankCode.fit(material.searched, codewords, temperature=heat)
    simulate = lambda: query_model(material).simulate(material.searched, RANK_DRAWS)
    queries = material.once("simulated for rankings", simulate)
    return DesignedRankCode.fit(material.searched, codewords, queries, temperature=heat)


FIXED: dict[str, Recipe] = {
    "PCA + scalar": pca_scalar("gaussian"),
    "PCA + signs": pca_signs,
    "PCA 64 + product of 8": pca_product(64, 8, None),
    "PCA 32 + residual of 4": pca_product(32, 4, 1),
    "PCA 128 + residual of 8": pca_product(128, 8, 1),
    "relevance + scalar": relevance_scalar,
    "relevance 128 + product of 8": relevance_product(128, 8, None),
    "relevance 32 + residual of 4": relevance_product(32, 4, 1),
    "relevance 128 + residual of 8": relevance_product(128, 8, 1),
    "relevance 512 + residual of 8": relevance_product(512, 8, 1),
}
MEAN: dict[str, Recipe] = {
    "PCA + entropy-coded scalar": pca_entropy_coded,
    "PCA + scalar, entropy-coded": entropy_coded(pca_scalar("gaussian")),
    "relevance + entropy-coded scalar": relevance_entropy_coded,
    "relevance 128 + product, entropy-coded": entropy_coded(relevance_product(128, 8, None), supervised=True),
    "PCA 128 + product, entropy-coded": entropy_coded(pca_product(128, 8, None)),
}
RANK: dict[str, Recipe] = {"designed rankings": designed_rankings}

#: Recipes of mean length that the market has too: they stand among the peers as well.
USUAL_MEAN = ("PCA + entropy-coded scalar",)

#: Of a Gaussian source with equal variances: (vectors [n, d], bits) -> Code or None; in `JOINT` many queries at once.
GAUSSIAN: dict[str, Callable[[np.ndarray, float], Code | None]] = {
    "scalar": lambda vectors, bits: ScalarQuantizer.fit(vectors, int(bits)),
    "product of 8": lambda vectors, bits: ProductQuantizer.fit(vectors, int(bits), transform="coordinates"),
    "entropy-coded scalar": lambda vectors, bits: EntropyCodedScalar.fit(vectors, bits, transform="coordinates"),
}
JOINT: dict[str, Callable[[np.ndarray, float], Code | None]] = {}


def supervised(material: Material, side: str) -> Iterator[tuple[str, RelevanceMap, np.ndarray]]:
    """(label, map, training vectors) of our supervised recipes, for faiss to be put behind the same ones."""
    chart, vectors = relevance(material, side), examples(material, side)
    for k in (32, 64, 128):
        if k <= chart.k:
            yield f"relevance {k}", chart.take(k), vectors
