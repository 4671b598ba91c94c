"""Truth that shares no code with the library: float64 NumPy, every permutation, every law."""

import itertools
import math

import numpy as np
from scipy.optimize import brentq, isotonic_regression


def permutation_distortions(n, weights):
    """d[y, pi] = 1 - w(rank of y under pi) for all N! rankings."""
    orders = np.array(list(itertools.permutations(range(n))))  # orders[pi, y] = rank - 1 of y
    return 1 - np.asarray(weights)[orders].T


def blahut_point(prior, distortion, slope_nats, sweeps=20000, tolerance=1e-9):
    """Rate (bits), distortion and certified gap (bits) by Blahut-Arimoto started from an uneven law."""
    kernel = np.exp(-slope_nats * distortion)
    size = kernel.shape[1]
    law = 1 + 0.1 * np.sin(np.arange(size))
    law /= law.sum()
    for sweep in range(sweeps):
        ratio = (prior / (kernel @ law)) @ kernel
        if sweep % 16 == 0 and math.log(ratio.max()) - (law * ratio) @ np.log(np.maximum(ratio, 1e-300)) < tolerance:
            break
        law = law * ratio
    channel = kernel * law
    channel /= channel.sum(axis=1, keepdims=True)
    output = prior @ channel
    active = (channel > 0) & (output > 1e-300)
    rate = (
        prior[:, None]
        * np.where(active, channel * np.log2(np.where(active, channel, 1) / np.where(output > 1e-300, output, 1)), 0)
    ).sum()
    mean = (prior[:, None] * channel * distortion).sum()
    ratio = (prior / (kernel @ output)) @ kernel
    gap = (math.log(ratio.max()) - output @ np.log(np.maximum(ratio, 1e-300))) / math.log(2)
    return rate, mean, gap


def least_concave_majorant_slopes(x, y):
    """Slope of the majorant left of each point but the first, by the textbook stack."""
    hull = [0]
    for j in range(1, len(x)):
        while len(hull) > 1:
            a, b = hull[-2], hull[-1]
            if (y[b] - y[a]) * (x[j] - x[b]) > (y[j] - y[b]) * (x[b] - x[a]):
                break
            hull.pop()
        hull.append(j)
    slopes = np.empty(len(x) - 1)
    for a, b in itertools.pairwise(hull):
        slopes[a:b] = (y[b] - y[a]) / (x[b] - x[a])
    return slopes, np.array(hull)


def entropy_bits(law):
    law = np.asarray(law, np.float64)
    law = law[law > 0]
    return float(-(law * np.log2(law)).sum())


def pooled_rate(distortion, prior):
    """Theorem B for reciprocal rank in bits: SciPy's pooling inside SciPy's root finder."""
    falling = np.sort(prior)[::-1]
    worth = 1 / np.arange(1.0, len(prior) + 1)

    def law(slope):
        gibbs = np.exp(slope * (worth - 1))
        return gibbs * isotonic_regression(falling / gibbs, weights=gibbs, increasing=False).x

    if falling @ worth >= 1 - distortion:
        return 0.0  # the prior's own order is good enough
    slope = brentq(lambda s: law(s) @ worth - (1 - distortion), 0, 60, xtol=1e-12)
    return entropy_bits(prior) - entropy_bits(law(slope))
