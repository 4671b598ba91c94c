"""What a differential entropy read by nearest neighbors is worth: closed forms, and laws without a density."""

import numpy as np
import pytest

from rdjax.checks import InputError
from rdjax.information import calibrate_entropy

pytestmark = pytest.mark.float64_only  # on the host


def exponential_entropy(scale):
    return np.log2(np.e * scale)


def test_reads_a_law_that_is_not_gaussian(rng):
    x = rng.exponential(4.0, (2000, 1))
    found = calibrate_entropy(x)
    assert found.trusted
    assert float(found.estimate) == pytest.approx(exponential_entropy(4.0), abs=0.1)
    assert float(found.known) == pytest.approx(np.log2(x.std() * np.sqrt(2 * np.pi * np.e)))
    assert found.message.startswith("on Gaussian data like these (2,000 rows, 1 column)")


def test_scaling_adds_the_logarithm_for_each_dimension(rng):
    x = rng.standard_normal((400, 3)) @ rng.standard_normal((3, 3))
    one, eight = calibrate_entropy(x), calibrate_entropy(8 * x)
    for name in ("estimate", "known", "read"):
        assert float(getattr(eight, name) - getattr(one, name)) == pytest.approx(9, abs=1e-6)
    assert float(eight.miss) == pytest.approx(float(one.miss), rel=1e-6)  # and so with trust
    assert one.trusted


def test_columns_keep_their_own_deviations(rng):
    """Shrunk in their own units, the narrowest would be taken for far wider; balls are too wide for it, which shows."""
    x = rng.standard_normal((400, 3)) * [1000.0, 1.0, 0.001]
    found = calibrate_entropy(x)
    assert float(found.known) == pytest.approx(1.5 * np.log2(2 * np.pi * np.e) + np.log2(x.std(axis=0)).sum(), abs=0.05)
    assert not found.trusted
    assert float(found.read) == pytest.approx(float(found.estimate), abs=0.5)


def test_far_from_the_origin_there_is_a_density_as_well(rng):
    x = rng.standard_normal((400, 3))
    near, far = calibrate_entropy(x), calibrate_entropy(x + 5000)
    for name in ("estimate", "known", "read"):
        assert float(getattr(far, name)) == pytest.approx(float(getattr(near, name)), abs=1e-6)


def test_too_few_rows_are_withheld(rng):
    found = calibrate_entropy(rng.standard_normal((60, 200)) / 3)
    assert not found.trusted
    assert "withheld" in found.message
    assert abs(float(found.read - found.known)) > 0.2 * abs(float(found.known))


@pytest.mark.parametrize("kind", [np.int8, np.uint8, np.int64])
def test_whole_numbers_are_read_as_real_ones(rng, kind):
    """Gaussian data that stand for them are not whole, and may lie beyond what the kind holds."""
    x = rng.permuted(np.tile(np.arange(100, dtype=kind), (2, 1)), axis=1).T
    one, other = calibrate_entropy(x), calibrate_entropy(x.astype(np.float64))
    assert float(one.read) == float(other.read)
    assert one.trusted


def test_same_seed_same_result(rng):
    x = rng.standard_normal((50, 2))
    one, again, other = (calibrate_entropy(x, seed=seed) for seed in (3, 3, 4))
    assert one.read == again.read != other.read


def on_a_circle(rng):
    x = rng.standard_normal((100, 5))
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float16)


def on_a_cap(rng):
    """As embeddings are that have much in common."""
    x = 0.1 * rng.standard_normal((100, 5)) + [1, 0, 0, 0, 0]
    return (x / np.linalg.norm(x, axis=1, keepdims=True)).astype(np.float16)


def with_a_constant(rng):
    return np.c_[rng.standard_normal((100, 2)), np.full(100, 7.0)]


def in_a_plane(rng):
    x = rng.standard_normal((100, 2))
    return np.c_[x, x.sum(axis=1)]


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (on_a_circle, "all rows have one length"),
        (on_a_cap, "all rows have one length"),
        (with_a_constant, "1 of 3 columns are constant"),
        (in_a_plane, "lie in 2 of 3 dimensions"),
        (lambda rng: rng.integers(0, 3, (100, 2)).astype(float), "distance 0"),
        (lambda rng: np.zeros(5), "[n, columns]"),
        (lambda rng: rng.standard_normal((4, 2)), "at least 5"),
        (lambda rng: np.array([[np.nan], [1], [2], [3], [4]]), "NaN"),
    ],
)
def test_what_has_no_density_is_refused(make, words, rng):
    with pytest.raises(InputError) as error:
        calibrate_entropy(make(rng))
    assert words in str(error.value)
