"""Normal scores: each coordinate mapped, increasing, to a standard normal one. It keeps mutual information."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike
from scipy.special import ndtri

from rdjax.checks import is_concrete, numeric_matrix, require, whole
from rdjax.host import on_the_host
from rdjax.trees import register_dataclass

KNOTS = 512
FAR = 1e3  # quartiles of spread


@register_dataclass
@dataclass(frozen=True)
class NormalScores:
    """x_d to Phi^-1(F_d(x_d)), F_d the distribution of coordinate d in a sample, linear between its sorted values.

    I(X; Y) does not change when coordinates are mapped one to one, so what a critic reads from the scores is a bound
    for the vectors themselves. The map is one to one, to rounding, between the least and the largest value of the
    sample; outside it is constant, which can only lose information. Heavy tails, outliers and units no longer matter.
    Equal values share the mean of their scores; a constant coordinate is 0. NumPy vectors are mapped on the host, in
    float64 whatever JAX's x64 says.

    Args:
      values: increasing values of each coordinate [D, K], less its center; the last is repeated where there are fewer.
      scores: what they map to [D, K].
      center: [D], 0 but for coordinates so far from 0 that float32 could hardly tell their values apart.
    """

    values: np.ndarray | jax.Array
    scores: np.ndarray | jax.Array
    center: np.ndarray | jax.Array

    @classmethod
    @on_the_host
    def fit(cls, sample: ArrayLike, knots: int = KNOTS) -> "NormalScores":
        """From a sample [n, D], on the host.

        Args:
          sample: finite numbers.
          knots: K, how many of the sorted values to keep; at least 2.

        Raises:
          InputError: a sample that is no finite matrix.
        """
        sample = np.asarray(sample)
        numeric_matrix(sample, "the sample")
        size, knots = len(sample), whole(knots, "knots", 2)
        places = np.unique(np.round(np.linspace(0, size - 1, min(knots, size))).astype(int))
        levels = ndtri((np.arange(size) + 0.5) / size)
        values = np.empty((sample.shape[1], knots), sample.dtype if sample.dtype.kind == "f" else np.float64)
        scores, center = np.empty_like(values, np.float64), _centers(sample).astype(values.dtype)
        for d, column in enumerate(np.sort(sample, axis=0).T):
            chosen = np.unique(column[places])
            first, last = np.searchsorted(column, chosen), np.searchsorted(column, chosen, side="right")
            total = np.concatenate([[0.0], np.cumsum(levels)])
            mean = (total[last] - total[first]) / (last - first)
            pad = (0, knots - len(chosen))
            values[d], scores[d] = (
                np.pad(chosen - np.float64(center[d]), pad, mode="edge"),
                np.pad(mean, pad, mode="edge"),
            )
        return cls(values, scores.astype(values.dtype), center)

    def __call__(self, x: ArrayLike) -> jax.Array:
        """Vectors [n, D] to their scores [n, D]."""
        host = is_concrete(self.center) and not isinstance(x, jax.Array)
        given: Any = np.asarray(x) if host else jnp.asarray(x)
        require(
            given.ndim == 2 and given.shape[1] == self.values.shape[0],
            f"vectors have shape {given.shape}; they must be [n, {self.values.shape[0]}], as in the sample.",
        )
        given = given if jnp.issubdtype(given.dtype, jnp.floating) else given.astype(float)
        values, scores, center = (
            np.asarray(a) if host else jnp.asarray(a) for a in (self.values, self.scores, self.center)
        )
        if not host:
            return _interpolate(given - center[None].astype(given.dtype), values, scores)
        apart = given.astype(np.float64) - center[None]
        columns = [np.interp(*column) for column in zip(apart.T, values, scores, strict=True)]
        return jnp.asarray(np.stack(columns, axis=1).astype(jnp.promote_types(given.dtype, scores.dtype)))


def _centers(sample: np.ndarray) -> np.ndarray:
    """Medians that float32 holds exactly, float64 [D]; 0 where a coordinate is not far from 0 for its spread."""
    low, middle, high = np.quantile(np.asarray(sample, np.float64), [0.25, 0.5, 0.75], axis=0)
    far = (np.abs(middle) > FAR * (high - low)) & (np.abs(middle) < np.finfo(np.float32).max)
    return np.where(far, middle, 0).astype(np.float32).astype(np.float64)


@jax.jit
@partial(jax.vmap, in_axes=(1, 0, 0), out_axes=1)
def _interpolate(x: jax.Array, values: jax.Array, scores: jax.Array) -> jax.Array:
    """Linear between knots of which some at the end may be equal, constant outside."""
    right = jnp.clip(jnp.searchsorted(values, x, side="right"), 1, values.size - 1)
    low, high = values[right - 1], values[right]
    width = jnp.where(high > low, high - low, 1)
    share = jnp.clip((x - low) / width, 0, 1) * (high > low)
    return scores[right - 1] + share * (scores[right] - scores[right - 1])
