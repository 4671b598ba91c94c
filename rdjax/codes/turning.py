"""Turn the coefficients of a transform: at random, or until the codebooks of a product fit them best."""

from dataclasses import replace
from functools import partial

import jax
import numpy as np

from rdjax.checks import require
from rdjax.codes.arrays import device_array
from rdjax.codes.blocks import Bits, Blocks, from_blocks, side_by_side, to_blocks
from rdjax.codes.nearest_words import padded_points
from rdjax.codes.relevance_map import RelevanceMap
from rdjax.codes.residual import fit_stages, refined, words_of
from rdjax.codes.transform import Projection, Transform, random_directions
from rdjax.numerics import matmul

_STEPS = 8  # of k-means at the start
_REFINEMENTS = 2  # of the codebooks in every turn


def turned_at_random(projection: Projection, *, seed: int = 0) -> Projection:
    """Principal components followed by a random rotation R: every coefficient has the same variance but for chance.

    For codes that give every coefficient the same bits, such as one each: unturned, those of little variance are paid
    as much as those of much. The encoder holds one basis [D, k], as before.

    Args:
      projection: uncorrelated coefficients, as principal components are; the variances are then R^2 times theirs.
      seed: of the draw.

    Raises:
      InputError: if it is no projection.

    Source: Gong and Lazebnik 2011 (their PCA-RR).
    """
    require(isinstance(projection, Projection), "only a projection can be turned; use PCA or a rotation.")
    rotation, dtype = random_directions(projection.k, projection.k, seed), projection.basis.dtype
    basis = np.asarray(projection.basis, np.float64) @ rotation
    variances = np.asarray(projection.variances, np.float64) @ rotation**2
    return Projection(
        projection.mean, device_array(basis, dtype), device_array(variances, dtype), f"turned {projection.kind}"
    )


def turned_to_product(
    transform: Transform, coefficients: np.ndarray, blocks: Blocks, table: Bits, *, turns: int, beam: int, seed: int
) -> tuple[Transform, Blocks]:
    """The transform followed by the rotation R under which a product of codebooks errs least, and its blocks.

    Minimizes |R'c - decode(encode(R'c))|^2 over R and codebooks in turn: codebooks by Lloyd steps, R = U V' of the
    singular value decomposition of sum c decoded' (orthogonal Procrustes).

    Args:
      transform: a projection or a relevance map.
      coefficients: c [k, n], what it gives for the vectors of the fit.
      blocks: of all k coefficients, where to start.
      table: bits of every codebook [B][S].
      turns: rounds; some 50 are needed where the vectors form clusters.
      beam, seed: as in `residual.fit_stages`.

    Returns:
      (the transform turned, blocks [B][d_b] side by side).

    Raises:
      InputError: if the transform is neither, or coefficients were left out.

    Source: Ge, He, Ke, Sun 2013, Optimized Product Quantization (their non-parametric form).
    """
    require(
        isinstance(transform, Projection | RelevanceMap) and sum(map(len, blocks)) == transform.k,
        "only the coefficients of a projection or of a relevance map can be turned, all together; use PCA, a rotation "
        "or a relevance map of one modality.",
    )
    assert isinstance(transform, Projection | RelevanceMap)
    order, dtype = np.concatenate([np.array(members) for members in blocks]), coefficients.dtype
    blocks = side_by_side(blocks)
    sizes = np.where(np.array(table) > 0, 1 << np.array(table), 0)
    ordered = coefficients[order]
    codebooks = fit_stages(to_blocks(ordered, blocks), sizes, beam=beam, rounds=0, steps=_STEPS, seed=seed)
    padded, weights = padded_points(ordered, np.ones(ordered.shape[1]))
    points, mass, on_device = device_array(padded, dtype), device_array(weights, dtype), device_array(sizes, np.int32)
    rotation = np.eye(len(order))
    for _ in range(turns):
        codebooks, cross = _turn(codebooks, on_device, points, mass, device_array(rotation, dtype), blocks, beam)
        left, _, right = np.linalg.svd(np.asarray(cross, np.float64))
        rotation = left @ right
    variances = np.mean((ordered.T @ rotation.astype(dtype)) ** 2, axis=0)
    return _turned(transform, np.eye(transform.k)[:, order] @ rotation, variances), blocks


def _turned(transform: Projection | RelevanceMap, rotation: np.ndarray, variances: np.ndarray) -> Transform:
    """R'c for the coefficients c [k]: what is scored stays the same."""
    dtype = transform.basis.dtype
    turn = lambda axes: device_array(np.asarray(axes, np.float64) @ rotation, dtype)
    basis, spread = turn(transform.basis), device_array(variances, dtype)
    if isinstance(transform, RelevanceMap):
        return replace(transform, basis=basis, back=turn(transform.back), variances=spread, turned=True)
    return replace(transform, basis=basis, variances=spread, kind="OPQ")


@partial(jax.jit, static_argnames=("blocks", "beam"))
def _turn(
    codebooks: jax.Array,
    sizes: jax.Array,
    coefficients: jax.Array,
    mass: jax.Array,
    rotation: jax.Array,
    blocks: Blocks,
    beam: int,
) -> tuple[jax.Array, jax.Array]:
    """Codebooks refined for coefficients turned by the rotation [k, k], and sum c decoded' [k, k]."""
    points = to_blocks(matmul(rotation.T, coefficients), blocks)
    for _ in range(_REFINEMENTS):
        codebooks, symbols = refined(codebooks, sizes, points, mass, beam)
    decoded = from_blocks(words_of(codebooks, symbols), blocks, len(coefficients))
    return codebooks, matmul(coefficients * mass[None, :], decoded.T)
