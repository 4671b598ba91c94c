"""Problems with known calibrated temperatures: NumPy and SciPy, independent of the library."""

import numpy as np
import scipy.optimize
from scipy.special import logsumexp


def task(rng, modalities=2, queries=60, documents=15, noise=(1.0, 2.0, 3.0)):
    """Scores that favor the relevant document, less and less by modality."""
    relevant = rng.integers(0, documents, queries)
    scores = rng.normal(size=(modalities, queries, documents)) * np.reshape(noise[:modalities], (-1, 1, 1))
    scores += np.eye(documents)[relevant] * 2
    return scores / 10, relevant


def truth(beta, scores, relevant, prior=None):
    """Cross-entropy in bits and its gradient in nats, float64 NumPy; several relevant documents count evenly."""
    size = scores.shape[-1]
    prior = np.full(size, 1 / size) if prior is None else prior
    with np.errstate(divide="ignore"):
        logits = np.tensordot(beta, scores, 1) + np.log(prior)
    law = np.exp(logits - logsumexp(logits, axis=1, keepdims=True))
    listed = relevant if relevant.ndim == 2 else relevant[:, None]
    target = (np.arange(size) == listed[..., None]).sum(1)
    target = target / target.sum(1, keepdims=True)
    nats = np.mean(logsumexp(logits, axis=1) - np.sum(np.where(target > 0, target * logits, 0), axis=1))
    return nats / np.log(2), np.sum((law - target) * scores, axis=2).mean(1)


def best(scores, relevant, prior=None):
    """The minimum over beta >= 0 by scipy, from the origin, polished."""
    scale = np.ptp(scores, axis=2).max(1)
    scaled = scores / scale[:, None, None]

    def objective(beta):
        bits, gradient = truth(beta, scaled, relevant, prior)
        return bits * np.log(2), gradient

    bounds = [(0, None)] * len(scores)
    method = {"jac": True, "method": "L-BFGS-B", "options": {"ftol": 1e-16, "gtol": 1e-13, "maxiter": 2000}}
    found = scipy.optimize.minimize(objective, np.ones(len(scores)), bounds=bounds, **method)
    return found.x / scale, found.fun / np.log(2)
