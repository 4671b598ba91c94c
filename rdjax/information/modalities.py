"""What modalities hold, what they share, and what only one of them knows: the quantities the paper builds on, in bits.

H_m = H(X_m), I_mn = I(X_m; X_n), and of a given law the relevance that is unique to a modality,

    H(Y | X_-m):  what no code of the other modalities can tell of the relevant document Y.

That last one is the price of a modality (cut-set bound, theory notes, section 3.3 M2); the skew coefficient that the
paper prices imbalance by is here as printed, and is not a bound of anything (theory notes, section 3.1). Entropies of
continuous modalities are differential: they change with the unit of measurement, by d log2 a for x -> a x in d
dimensions, and with them every ratio and difference of entropies; mutual information does not.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import combinations
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from rdjax import checks
from rdjax.information.calibration import calibrate_estimator
from rdjax.information.contingency import contingency_table, mutual_information_from_counts
from rdjax.information.counts import entropy_from_counts
from rdjax.information.discrete import conditional_entropy, entropy, mutual_information
from rdjax.information.entropy_calibration import calibrate_entropy
from rdjax.information.neighbors import ksg
from rdjax.information.rows import check_observations
from rdjax.numerics import floating
from rdjax.trees import register_dataclass

UNIT_CAVEAT = (
    "entropies of continuous modalities depend on the unit of measurement, and so do their ratios and differences; "
    "mutual information does not."
)


@partial(register_dataclass, data_fields=["entropies", "information"], meta_fields=["continuous", "withheld"])
@dataclass(frozen=True)
class Modalities:
    """Entropies of M modalities and the mutual information of every two.

    Args:
      entropies: H_m [M], bits; differential where `continuous`; NaN where withheld.
      information: I(X_m; X_n) [M, M], bits, symmetric, 0 on the diagonal; NaN where withheld.
      continuous: whether entropies depend on the unit (`UNIT_CAVEAT`).
      withheld: ((m,), reason) of modalities and ((m, n), reason) of pairs whose estimate is not to be believed; what is
        summed from one is NaN.
    """

    entropies: jax.Array
    information: jax.Array
    continuous: bool
    withheld: tuple[tuple[tuple[int, ...], str], ...]

    @property
    def cross_information(self) -> jax.Array:
        """I_cross = sum_{m != n} I(X_m; X_n) over ordered pairs, bits, as the paper has it: every pair counts twice."""
        return jnp.sum(self.information)

    @property
    def redundancy_as_printed(self) -> jax.Array:
        """I_cross / sum_m H_m: from 0 to M - 1 for symbols, so above 1 for three copies of one modality."""
        return self.cross_information / self._total

    @property
    def redundancy(self) -> jax.Array:
        """I_cross / ((M - 1) sum_m H_m), in [0, 1] for symbols; 1 for copies, 0 where no two share anything."""
        return self.redundancy_as_printed / (self._several - 1)

    @property
    def skew_as_printed(self) -> jax.Array:
        """kappa = (1 - redundancy as printed) / (M - 1), equation (6): from 1 / (M - 1) down to 1 / (M - 1) - 1."""
        return (1 - self.redundancy_as_printed) / (self._several - 1)

    @property
    def imbalance(self) -> jax.Array:
        """Delta H = sum_m |H_m - mean H|, bits."""
        off = self.entropies - jnp.mean(self.entropies)
        return jnp.sum(jnp.sign(off) * off)  # of |0| this has the gradient 0, `jnp.abs` has 1

    @property
    def message(self) -> str:
        """What to keep in mind, a sentence or more; empty where there is nothing."""
        caveat = [UNIT_CAVEAT] if self.continuous else []
        return " ".join(caveat + [f"modality {' and '.join(map(str, who))}: {why}" for who, why in self.withheld])

    @property
    def _several(self) -> int:
        checks.require(len(self.entropies) > 1, "there is one modality; redundancy and skew are of two or more.")
        return len(self.entropies)

    @property
    def _total(self) -> jax.Array:
        total = jnp.sum(self.entropies)
        if checks.is_concrete(total):
            checks.require(
                float(total) != 0, "the entropies sum to 0 bits; nothing can be said as a share of them (no data vary)."
            )
        return total


def modalities_of_law(joint: ArrayLike) -> Modalities:
    """Exact, of a given joint law of discrete modalities.

    Args:
      joint: p [K_1, ..., K_M].

    Returns:
      `Modalities`, differentiable in the law as `discrete` is.

    Raises:
      InputError: no law.
    """
    count = np.ndim(joint)
    checks.require(count > 0, "the joint law is a number; give one axis for each modality.")
    checks.law(np.ravel(joint) if checks.is_concrete(joint) else joint, "the law", rounded=True)
    alone, shared = _of_law(floating(joint))
    return Modalities(alone, shared, False, ())


@jax.jit
def _of_law(law: jax.Array) -> tuple[jax.Array, jax.Array]:
    marginal = lambda *kept: jnp.sum(law, axis=tuple(axis for axis in range(law.ndim) if axis not in kept))
    alone = [entropy(marginal(m)) for m in range(law.ndim)]
    return _tables(alone, [mutual_information(marginal(*pair)) for pair in combinations(range(law.ndim), 2)])


def unique_relevance(joint: ArrayLike) -> jax.Array:
    """H(Y | X_-m) of every modality m: bits that only it can tell of Y, and so must.

    Whatever the code, I(X_m; C | X_-m) >= H(Y | X_-m) - phi(1 - D), with phi the most that a ranking of mean distortion
    D leaves open of Y (cut-set): the information a modality has to send. 0 where the others determine Y.

    Args:
      joint: p [K_1, ..., K_M, K_Y].

    Returns:
      bits [M].

    Raises:
      InputError: no law, fewer than two axes.

    Source: theory notes, section 3.3 (M2).
    """
    count = np.ndim(joint) - 1
    checks.require(count > 0, f"the joint law has shape {np.shape(joint)}; it must be [K_1, ..., K_M, K_Y].")
    checks.law(np.ravel(joint) if checks.is_concrete(joint) else joint, "the joint law", rounded=True)
    return _unique(floating(joint))


@jax.jit
def _unique(law: jax.Array) -> jax.Array:
    price = lambda m: conditional_entropy(jnp.sum(law, axis=m).reshape(-1, law.shape[-1]))
    return jnp.stack([price(m) for m in range(law.ndim - 1)])


def modalities_of_symbols(symbols: ArrayLike, sizes: tuple[int, ...], method: str = "miller_madow") -> Modalities:
    """Estimated from observed symbols.

    Args:
      symbols: int [M, n], modality by modality, numbered from 0.
      sizes: how many symbols each has [M].
      method: of `entropy_from_counts`, used for every entropy.

    Returns:
      `Modalities`; a corrected estimate of information may be a little below 0.

    Raises:
      InputError: another number of axes or sizes, a symbol out of range, an unknown method.
    """
    shape = np.shape(symbols)
    checks.require(len(shape) == 2, f"the symbols have shape {shape}; they must be [M, n], one row for each modality.")
    sizes = checks.whole_tuple(sizes, "sizes", "a size")
    checks.require(len(sizes) == shape[0], f"there are {shape[0]} modalities and {len(sizes)} sizes; give one each.")
    rows = np.asarray(symbols) if checks.is_concrete(symbols) else jnp.asarray(symbols)
    table = lambda *which: contingency_table(*(rows[m] for m in which), sizes=tuple(sizes[m] for m in which))
    alone = [entropy_from_counts(table(m), method, symbols=size) for m, size in enumerate(sizes)]
    pairs = [
        mutual_information_from_counts(table(m, n), method, symbols=(sizes[m], sizes[n]))
        for m, n in combinations(range(shape[0]), 2)
    ]
    values, shared = _tables(alone, pairs)
    return Modalities(values, shared, False, ())


def modalities_of_samples(samples: Mapping[str, ArrayLike], *, neighbors: int = 3, seed: int = 0) -> Modalities:
    """Estimated from vectors by nearest neighbors; what calibration on look-alike data does not bear out is withheld.

    Runs on the host: each modality and each pair is read on the data and on several look-alikes.

    Args:
      samples: name -> [n, d_m]; row i of all is one observation.
      neighbors: k of Kozachenko-Leonenko and of KSG.
      seed: of the look-alike data.

    Returns:
      `Modalities`, continuous.

    Raises:
      InputError: no modality, rows that differ in number or are too few, NaN, neighbors that are no whole number.
    """
    checks.require(len(samples) > 0, "there are no modalities; give at least one, name -> [n, d].")
    check_observations(samples, least=max(4, checks.whole(neighbors, "neighbors") + 2))
    arrays = list(samples.values())
    withheld: dict[tuple[int, ...], str] = {}

    def believed(members: tuple[int, ...]) -> float:
        """Of one the entropy, of two what they share; NaN, and why, where it is not to be believed."""
        found, why = calibrated_reading([arrays[m] for m in members], neighbors, seed)
        if found is None:
            withheld[members] = why
        return float("nan") if found is None else float(found.estimate)

    alone = [believed((m,)) for m in range(len(arrays))]
    pairs = [believed(pair) for pair in combinations(range(len(arrays)), 2)]
    values, shared = _tables(alone, pairs)
    return Modalities(values, shared, True, tuple(withheld.items()))


def calibrated_reading(arrays: Sequence[ArrayLike], neighbors: int = 3, seed: int = 0) -> tuple[Any, str]:
    """`EntropyCalibration` of one array, `EstimatorCalibration` of two, by Euclidean neighbors; or None, and why."""
    checks.whole(neighbors, "neighbors")  # a mistake, not what the data cannot show
    try:
        if len(arrays) == 1:
            found: Any = calibrate_entropy(*arrays, neighbors=neighbors, seed=seed)
        else:
            found = calibrate_estimator(partial(ksg, neighbors=neighbors, norm="euclidean"), *arrays, seed=seed)
    except checks.InputError as error:
        return None, f"withheld: {error}"
    return (found, "") if found.trusted else (None, found.message)


@jax.jit
def _tables(alone: Sequence[ArrayLike], pairs: Sequence[ArrayLike]) -> tuple[jax.Array, jax.Array]:
    """The values of each [M]; and of every two [M, M], given above the diagonal, and their mirror."""
    values = jnp.stack(alone)
    above = jnp.zeros((len(alone), len(alone)), values.dtype)
    if pairs:
        above = above.at[np.triu_indices(len(alone), 1)].set(jnp.stack(pairs).astype(values.dtype))
    return values, above + above.T
