"""The paper's mixture: its law, and the ceilings that the theory notes computed for it."""

import numpy as np
import pytest

from rdjax.checks import InputError
from rdjax.data import gaussian_mixture

pytestmark = pytest.mark.float64_only


def wide(array):
    return array.astype(np.float64)


def reciprocal_ranks(scores, relevant):
    own = scores[np.arange(len(relevant)), relevant][:, None]
    return 1 / (1 + (scores > own).sum(1))


def test_shapes_and_names():
    fit, test = gaussian_mixture(50, 20, modalities=3, intent_dim=4, dim=6)
    for corpus in (fit, test):
        assert (corpus.num_documents, corpus.num_queries) == (50, 20)
        assert corpus.modalities == ("view1", "view2", "view3")
        assert all(a.shape == (50, 6) and a.dtype == np.float32 for a in corpus.documents.values())
        assert corpus.relevant.shape == (20,)


def test_intents_are_seen_without_noise_through_orthonormal_maps():
    """X_m X_m' = Z Z' for every m, whatever the map; and Z ~ N(0, I)."""
    _, test = gaussian_mixture(400, 10)
    grams = [wide(a) @ wide(a).T for a in test.documents.values()]
    np.testing.assert_allclose(grams[0], grams[1], atol=1e-4)
    eigenvalues = np.linalg.eigvalsh(grams[0])[::-1]
    assert eigenvalues[31] > 100
    assert eigenvalues[32] < 1e-3  # 32 dimensions, no more
    squares = np.diag(grams[0])  # chi-squared with 32 degrees of freedom: mean 32, variance 64
    assert abs(squares.mean() - 32) < 4 * np.sqrt(64 / 400)
    assert 40 < squares.var() < 95
    assert not np.allclose(test.documents["view1"], test.documents["view2"], atol=0.1)  # two maps


@pytest.mark.parametrize(
    ("options", "sigmas"),
    [({}, (2.5**0.5, 2.5**0.5)), ({"noise": (0.5, 3)}, (0.5, 3.0)), ({"noise": np.array([0.5, 3])}, (0.5, 3.0))],
)
def test_noise_of_queries(options, sigmas):
    _, test = gaussian_mixture(100, 2000, **options)
    for sigma, (name, queries) in zip(sigmas, test.queries.items(), strict=True):
        noise = wide(queries) - wide(test.documents[name][test.relevant])
        assert abs(noise.mean()) < 4 * sigma / np.sqrt(noise.size)
        np.testing.assert_allclose(noise.std(), sigma, rtol=4 / np.sqrt(2 * noise.size))
        covariance = np.cov(noise.T)
        np.testing.assert_allclose(covariance, sigma**2 * np.eye(64), atol=6 * sigma**2 / np.sqrt(2000))


def test_no_noise_at_all():
    _, test = gaussian_mixture(20, 7, noise=(0.0, 0.0))
    for name, queries in test.queries.items():
        np.testing.assert_array_equal(queries, test.documents[name][test.relevant])


def test_pairs_have_noise_of_their_own():
    _, intents = gaussian_mixture(500, 800)
    _, pairs = gaussian_mixture(500, 800, documents="pairs")
    np.testing.assert_array_equal(pairs.relevant, intents.relevant)
    for name, array in pairs.documents.items():
        noise = wide(array) - wide(intents.documents[name])
        np.testing.assert_allclose(noise.var(), 2.5, rtol=0.03)
        query_noise = wide(pairs.queries[name]) - wide(intents.documents[name][pairs.relevant])
        correlation = np.mean(noise[pairs.relevant] * query_noise) / 2.5
        assert abs(correlation) < 4 / np.sqrt(query_noise.size)


def test_fit_and_test_share_the_maps_and_nothing_else():
    fit, test = gaussian_mixture(100, 50)
    _, _, basis = np.linalg.svd(wide(fit.documents["view1"]), full_matrices=False)
    outside = wide(test.documents["view1"]) @ (np.eye(64) - basis[:32].T @ basis[:32])
    assert np.abs(outside).max() < 1e-4
    assert not {row.tobytes() for row in fit.documents["view1"]} & {row.tobytes() for row in test.documents["view1"]}
    assert not np.array_equal(fit.relevant, test.relevant)


def test_the_seed_decides():
    first, again, other = (gaussian_mixture(30, 10, seed=s)[1] for s in (3, 3, 4))
    np.testing.assert_array_equal(first.queries["view2"], again.queries["view2"])
    np.testing.assert_array_equal(first.relevant, again.relevant)
    assert not np.array_equal(first.queries["view2"], other.queries["view2"])


def test_queries_look_for_every_document_alike():
    _, test = gaussian_mixture(10, 5000)
    counts = np.bincount(test.relevant, minlength=10)
    assert ((counts - 500) ** 2 / 500).sum() < 33.7  # chi-squared, 9 degrees of freedom, one chance in 10,000


def test_ceilings_of_the_model():
    """Theory notes, section 7: with the likelihood, MRR .917 from both views and .615 from one (intents)."""
    found = []
    for seed in range(4):
        _, test = gaussian_mixture(1000, 1000, seed=seed)
        inner = {name: wide(test.queries[name]) @ wide(a).T for name, a in test.documents.items()}
        half = (wide(test.documents["view1"]) ** 2).sum(1) / 2
        both = reciprocal_ranks(sum(inner.values()) - 2 * half, test.relevant).mean()
        one = reciprocal_ranks(inner["view1"] - half, test.relevant).mean()
        plain = reciprocal_ranks(sum(inner.values()), test.relevant).mean()
        unit = reciprocal_ranks(sum(inner.values()) / np.sqrt(half), test.relevant).mean()
        found.append((both, one, plain, unit))
    # the first two are the notes', the others the docstring's; the mean over 4 x 1,000 queries has deviations near .005
    np.testing.assert_allclose(np.mean(found, axis=0), (0.917, 0.615, 0.80, 0.91), atol=0.02)


def test_ceiling_of_pairs():
    """Theory notes, section 7: .386 where documents are fresh noisy pairs, with the likelihood of a shared intent."""
    found = []
    for seed in range(4):
        _, intents = gaussian_mixture(1000, 1000, seed=seed)
        _, test = gaussian_mixture(1000, 1000, documents="pairs", seed=seed)
        stacked = np.concatenate([wide(a) for a in intents.documents.values()], axis=1)
        basis = np.linalg.svd(stacked, full_matrices=False)[2][:32]  # of the intents, through both maps
        query, document = (
            np.concatenate([wide(a) for a in side.values()], axis=1) @ basis.T
            for side in (test.queries, test.documents)
        )
        # each coordinate is sqrt(2) z + noise of variance 2.5: given the document, z has mean and variance below
        mean, variance = document * np.sqrt(2) / 4.5, 2.5 / 4.5
        distance = (query**2).sum(1)[:, None] - 2 * query @ (np.sqrt(2) * mean).T + 2 * (mean**2).sum(1)
        found.append(reciprocal_ranks(-distance / (2 * variance + 2.5), test.relevant).mean())
    np.testing.assert_allclose(np.mean(found), 0.386, atol=0.02)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"num_documents": 1}, "num_documents is 1; it must be a whole number, at least 2"),
        ({"num_documents": 10.0}, "num_documents is 10.0; it must be a whole number"),
        ({"num_queries": 0}, "num_queries is 0; it must be a whole number, at least 1"),
        ({"modalities": 0}, "modalities is 0"),
        ({"modalities": 2.0}, "modalities is 2.0"),
        ({"dim": 64.0}, "dim is 64.0"),
        ({"intent_dim": 65}, "the intent has 65 dimensions; it must have 1 to 64"),
        ({"intent_dim": 0}, "intent_dim is 0"),
        ({"rho": 0}, "rho is 0; it must be above 0"),
        ({"rho": -1}, "rho is -1"),
        ({"noise": (1.0,)}, "noise has 1 entries for 2 modalities"),
        ({"noise": 1.0}, r"noise has shape \(\); give one number for each modality"),
        ({"noise": (1.0, -1.0)}, "noise has an entry -1 at 1; it must be a finite number, at least 0"),
        ({"noise": (1.0, float("nan"))}, "noise has an entry nan"),
        ({"documents": "captions"}, "documents is 'captions'; choose one of intents, pairs"),
    ],
)
def test_mistakes(options, message):
    with pytest.raises(InputError, match=message):
        gaussian_mixture(**options)
