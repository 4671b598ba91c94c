"""One retrieval cell: draw the paper's mixture, send queries through a code, rank, and take the mean of the metric.

    Z ~ N(0, I_d),   X_m = A_m Z + eta_m,   eta_m ~ N(0, sigma_m^2 I_D),   A_m' A_m = I,   m = 1 .. M,
    E[A_m' eta_m eta_l' A_l] = c sigma_m sigma_l I   for m != l, c the correlation, 0 in the paper

Documents are N intents, a query is (X_1, ..., X_M) for one of them. Inner products with a document A_m Z' see a query
only through A_m' X_m = Z + sigma_m W_m, W_m standard normal, so that is what is drawn, and D enters by formula: in the
entropies, and in the bits that the paper's quantizer spends on the D - d coordinates without signal. Scores are

    s_m(c, n) = <c_m, Z_n> - w |Z_n|^2 / 2,   fused: sum_m s_m / tau_m,

w = 1 (likelihood) or 0 (inner product). Source: paper, section 7.1; theory notes, sections 4 and 7.
"""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rdjax.retrieval import calibrate_temperatures, counts_from_scores, parse_metric
from rdjax.retrieval.scores import inner_products
from rdjax.sweep import axis_checks as value
from rdjax.sweep.grid import SEED, Axis, Grid, Values
from rdjax.sweep.mixture_known import (
    CALIBRATED,
    CODES,
    TEMPERATURES,
    WEIGHT_OF_NORM,
    known,
    refuse_impossible_correlations,
    refuse_large_arrays,
    refuse_negative_entropies,
    refuse_overflow,
)

Parameters = Mapping[str, jax.Array]


class Draw(NamedTuple):
    """Intents Z [N, d], the relevant one of each query [Q], W [M, Q, d]; places within cells of a code [M, Q, d]."""

    intents: jax.Array
    relevant: jax.Array
    noises: jax.Array
    places: jax.Array


@dataclass(frozen=True)
class MixtureCells:
    """Cells of kind "retrieval", specialized to a grid, so that no more is compiled than it asks for.

    Args:
      codes: which there are.
      calibrates: whether temperatures are fitted in some cells.
      modalities: the most that a cell has.
      sharing: how many cells share a draw.
    """

    codes: tuple[str, ...] = CODES
    calibrates: bool = True
    modalities: int = 1
    sharing: int = 1
    name: ClassVar[str] = "retrieval"
    precision: ClassVar[str] = "float32"
    axes: ClassVar[tuple[Axis, ...]] = (
        Axis("documents", value.whole_from(2, value.INDEXED), (1000,), static=True),
        Axis("queries", value.whole_from(1, value.INDEXED), (256,), static=True),
        Axis("modalities", value.whole_from(1, 2**12), (2,), static=True),
        Axis("intent_dim", value.whole_from(1, value.INDEXED), (32,), static=True),
        Axis("metric", value.metric, ("mrr",), static=True, drawn=False),
        Axis("dim", value.whole_from(1), (64,)),
        Axis("noise", value.noise),
        Axis("correlation", value.correlation, (0.0,)),
        Axis(SEED, value.seed, (0,)),
        Axis("code", value.one_of(*CODES), ("none",), drawn=False),
        Axis("rate", value.positive, (64.0,), drawn=False),
        Axis("temperatures", value.one_of(*TEMPERATURES), ("uniform",), drawn=False),
        Axis("scores", value.one_of(*WEIGHT_OF_NORM), ("likelihood",), drawn=False),
    )
    columns: ClassVar[dict[str, str]] = {
        "bits": "sent for each query, rate / M for each modality; inf without a code; by entropy for the scalar codes",
        "ceiling": "theorem: no code at these bits, averaged over a stream of queries, has a higher mean (Theorem A)",
        "blind_ceiling": "model: nor has a code made without the documents, averaged over corpora, for Gaussian "
        "intents and noise (Theorem D)",
        "quality": "measured: mean of the metric over the queries of the cell, ties at their expectation",
        "standard_error": "of `quality` over the queries, given the documents; nan for one query, which tells none",
        "temperature_M": "of modality M, as used; inf leaves it out",
    }

    def specialized(self, grid: Grid) -> "MixtureCells":
        """The same, compiling only what the grid asks for."""
        calibrates = CALIBRATED in grid.values["temperatures"]
        return MixtureCells(grid.values["code"], calibrates, max(grid.values["modalities"]), grid.sharing)

    def check(self, grid: Grid, precision: str) -> None:
        """Noise for every modality that can be so correlated, an intent that fits, entropies that rules can take.

        And arrays that there can be, with numbers that the precision can hold.
        """
        refuse_large_arrays(grid)
        refuse_impossible_correlations(grid)
        refuse_negative_entropies(grid)
        refuse_overflow(grid, precision)

    def shared(self, shape: Values) -> tuple[()]:
        """Nothing."""
        return ()

    def known(self, values: Values) -> tuple[dict[str, np.ndarray], dict[str, float]]:
        """See `mixture_known`; no temperature for modalities that only other cells have."""
        parameters, columns = known(tuple((name, values[name]) for name in values if name != SEED))
        code = np.array(self.codes.index(values["code"]), np.int32)
        unused = {f"temperature_{m + 1}": math.nan for m in range(values["modalities"], self.modalities)}
        return {**parameters, "code": code}, {**columns, **unused}

    def draw(self, shape: Values, key: jax.Array) -> tuple[Draw, ...]:
        """What is ranked and, where the grid calibrates, what is fitted on before it: other documents and queries.

        In the precision of jit: what is drawn is standard, and no value of an axis without `drawn` changes it.
        """
        fit, test = jax.random.split(key)
        return tuple(self._draw(shape, one) for one in ([fit, test] if self.calibrates else [test]))

    def cell(self, shape: Values, shared: Any, drawn: tuple[Draw, ...], parameters: Parameters) -> dict[str, Any]:
        """quality, its standard error and, NaN unless they are fitted here, the temperatures of one cell.

        Args:
          shape: documents N, queries Q, modalities M, intent_dim d, metric.
          shared: nothing.
          drawn: from `draw`.
          parameters: noise [M, M]; step, inverse [M], up to a factor; code, fitted, norm: scalars (`mixture_known`).
        """
        inverse, ranked = parameters["inverse"], drawn[-1]
        if self.calibrates:
            fit = lambda: self._calibrated(drawn[0], parameters).astype(inverse.dtype)
            inverse = lax.cond(parameters["fitted"] > 0, fit, lambda: inverse)
        fused = jnp.tensordot(inverse, self._sent(ranked, parameters), 1, precision=lax.Precision.HIGHEST)
        lengths = jnp.sum(ranked.intents**2, axis=1) * (parameters["norm"] * jnp.sum(inverse) / 2)
        scores = inner_products(fused, ranked.intents) - lengths[None, :]
        above, tied = counts_from_scores(scores, ranked.relevant)
        worth = parse_metric(shape["metric"]).per_query(above, tied, size=shape["documents"])
        queries = shape["queries"]
        found = jnp.where(parameters["fitted"] > 0, 1 / inverse, jnp.nan)
        temperatures = jnp.full(self.modalities, jnp.nan, inverse.dtype).at[: len(inverse)].set(found)
        return {
            "quality": jnp.mean(worth),
            "standard_error": jnp.std(worth, ddof=1) / math.sqrt(queries) if queries > 1 else jnp.nan * worth[0],
            **{f"temperature_{m + 1}": temperatures[m] for m in range(self.modalities)},
        }

    def work(self, shape: Values) -> float:
        """Products of scores, a dozen for each modality if any are calibrated, and the share of a draw."""
        documents, queries, dim = shape["documents"], shape["queries"], shape["intent_dim"]
        passes = 1 + (12.0 * shape["modalities"] if self.calibrates else 0)
        drawn = 40.0 * dim * (documents + shape["modalities"] * queries) * (2 if self.calibrates else 1)
        return drawn / self.sharing + passes * queries * documents * (2 * dim + 10)

    def _draw(self, shape: Values, key: jax.Array) -> Draw:
        documents, queries, dim = shape["documents"], shape["queries"], shape["intent_dim"]
        for_intents, for_relevant, for_noise, for_code = jax.random.split(key, 4)
        sizes = (shape["modalities"], queries, dim)
        return Draw(
            jax.random.normal(for_intents, (documents, dim)),
            jax.random.randint(for_relevant, (queries,), 0, documents, jnp.int32),
            jax.random.normal(for_noise, sizes),
            jax.random.uniform(for_code, sizes, minval=-0.5, maxval=0.5) if "paper" in self.codes else jnp.zeros(()),
        )

    def _sent(self, drawn: Draw, parameters: Parameters) -> jax.Array:
        """What of the queries arrives [M, Q, d]."""
        step = parameters["step"][:, None, None]
        noises = jnp.tensordot(parameters["noise"], drawn.noises, 1, precision=lax.Precision.HIGHEST)
        views = drawn.intents[drawn.relevant][None] + noises
        levels = lambda: step * jnp.round(views / step)
        ways = {
            "none": lambda: views,
            "gaussian": lambda: views,  # its noise is in them
            "scalar": levels,
            "paper": lambda: levels() + step * drawn.places,  # somewhere in the cell
        }
        return lax.switch(parameters["code"], [ways[name] for name in self.codes])

    def _calibrated(self, drawn: Draw, parameters: Parameters) -> jax.Array:
        """1 / tau of the least cross-entropy on other documents and queries of the same law, sent alike."""
        lengths = parameters["norm"] * jnp.sum(drawn.intents**2, axis=1) / 2
        products = lambda queries: inner_products(queries, drawn.intents) - lengths[None, :]
        scores = jax.vmap(products)(self._sent(drawn, parameters))
        return 1 / calibrate_temperatures(scores, drawn.relevant).temperatures
