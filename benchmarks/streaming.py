"""Regret of temperatures on a stream, against the best fixed ones in hindsight, beside the bound that is proved.

    python benchmarks/streaming.py

Two modalities, 8 queries a block over 32 documents that are new in every block; a query is its document's unit vector
in 16 dimensions plus N(0, sigma_m^2 I), so that tau_m = sigma_m^2 is right. Stationary: sigma = (.3, .6). Switching:
swapped in the middle. Drifting: from one to the other along half a cosine. Adversarial: each block the opposite of the
last. Temperatures start infinite and may fall to .05. Regret is in bits a query, summed over blocks, mean of 2 streams;
"root" is sqrt(2 M sum |g|^2), the bound that counts no curvature; "each" the regret against the best of each half.
The last columns are MRR over a window of 64 blocks' half-life at the end: online, and with the best fixed temperatures.
Regret below 0: what follows a drift costs less than anything fixed.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import time

import jax
import jax.numpy as jnp
import numpy as np

from rdjax.numerics import to_bits
from rdjax.retrieval import (
    calibrate_temperatures,
    follow_stream,
    forgetful_mean,
    mean_reciprocal_rank,
    online_temperatures,
)

QUERIES, DOCUMENTS, DIM = 8, 32, 16
KINDS = ("stationary", "switching", "drifting", "adversarial")
LENGTHS = tuple(2**k for k in range(6, 13))
SEEDS = 2
COLDEST = np.array([0.05, 0.05])


def noise_path(kind, blocks):
    """sigma [T, 2]."""
    time_passed = np.arange(blocks) / blocks
    share = {"switching": time_passed >= 0.5, "drifting": (1 - np.cos(np.pi * time_passed)) / 2}.get(kind, 0.0)
    share = np.broadcast_to(share, blocks)[:, None]
    return (1 - share) * (0.3, 0.6) + share * (0.6, 0.3)


def draw(kind, blocks, seed):
    """Scores [T, 2, Q, N] and relevant [T, Q]."""
    rng = np.random.default_rng([seed, blocks])
    relevant = rng.integers(0, DOCUMENTS, (blocks, QUERIES))
    scores = np.empty((blocks, 2, QUERIES, DOCUMENTS), np.float32)
    for t, sigmas in enumerate(noise_path(kind, blocks)):
        items = rng.standard_normal((2, DOCUMENTS, DIM))
        items /= np.linalg.norm(items, axis=-1, keepdims=True)
        asked = items[:, relevant[t]] + sigmas[:, None, None] * rng.standard_normal((2, QUERIES, DIM))
        scores[t] = asked @ np.swapaxes(items, 1, 2)
    if kind == "adversarial":
        scores *= np.where(np.arange(blocks) % 2, -1, 1)[:, None, None, None]
    return scores, relevant


@jax.jit
def root_bound(scores, relevant, temperatures):
    """sqrt(2 M sum_t |g_t|^2) in bits, g_t in units of the box."""

    def loss(beta, block, wanted):
        law = jax.nn.log_softmax(jnp.tensordot(beta, block, 1), axis=-1)
        return -jnp.mean(jnp.take_along_axis(law, wanted[:, None], axis=-1))

    gradients = jax.vmap(jax.grad(loss))(1 / temperatures, scores, relevant) / COLDEST[None, :]
    return to_bits(jnp.sqrt(2 * gradients.shape[1] * jnp.sum(gradients**2)))


def pooled(scores):
    return np.moveaxis(scores, 0, 1).reshape(2, -1, DOCUMENTS)


def hindsight(scores, relevant):
    """The least total cost, bits, of fixed temperatures, and those."""
    found = calibrate_temperatures(pooled(scores), relevant.ravel())
    return len(scores) * float(found.cross_entropy), found.temperatures


@jax.jit
def window(scores, relevant, temperatures):
    """MRR at the end of a stream, forgetting by half every 64 blocks."""
    fused = jnp.einsum("tm,tmqn->tqn", 1 / temperatures, scores)
    return forgetful_mean(jax.vmap(mean_reciprocal_rank)(fused, relevant), 64.0)[0][-1]


def run(kind, blocks, seed):
    scores, relevant = draw(kind, blocks, seed)
    found = jax.jit(follow_stream)(online_temperatures(COLDEST), scores, relevant)
    cost, best = hindsight(scores, relevant)
    half = blocks // 2
    each = sum(hindsight(scores[part], relevant[part])[0] for part in (slice(half), slice(half, None)))
    total = float(np.sum(np.asarray(found.losses, np.float64)))
    fixed = window(scores, relevant, jnp.broadcast_to(best, found.temperatures.shape))
    quality = (float(window(scores, relevant, found.temperatures)), float(fixed))
    bounds = (float(found.regret_bound[-1]), float(root_bound(scores, relevant, found.temperatures)))
    assert total - cost <= bounds[0] <= bounds[1] * (1 + 1e-4)
    return (total - cost, *bounds, total - each, *quality)


def main():
    start = time.perf_counter()
    for kind in KINDS:
        print(f"\n{kind}")
        print(
            f"{'T':>6} {'regret':>8} {'bound':>8} {'root':>8} {'each':>8} {'regret / sqrt T':>16}   MRR online, fixed"
        )
        regrets = []
        for blocks in LENGTHS:
            mean = np.mean([run(kind, blocks, seed) for seed in range(SEEDS)], axis=0)
            regrets.append(mean[0])
            print(
                f"{blocks:>6} {mean[0]:>8.2f} {mean[1]:>8.1f} {mean[2]:>8.1f} {mean[3]:>8.1f} "
                f"{mean[0] / blocks**0.5:>16.3f}   {mean[4]:.3f}  {mean[5]:.3f}",
                flush=True,
            )
        if min(regrets) > 0:
            print(f"slope of ln regret in ln T: {np.polyfit(np.log(LENGTHS), np.log(regrets), 1)[0]:.2f}")
    print(f"\n{time.perf_counter() - start:.0f} s in all")


if __name__ == "__main__":
    main()
