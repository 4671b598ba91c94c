"""Spoiled numbers in every public function are refused in a sentence: a short form of benchmarks/robust.py."""

import inspect

import jax
import numpy as np
import pytest

from tests.docstrings import _is_array, parameters
from tests.spoiled import arrays_of, complaint, replaced, values_of
from tests.test_public_names import public

PACKAGES = ("codes", "data", "information", "limits", "nn", "rate_distortion", "retrieval")
REFUSED = ("nan", "all nan")  # before anything is compiled
NOT_HERE = {
    "information.modalities_of_samples": "minutes; its parts are here",
    "codes.load_code": "bytes: tests of hostile files and benchmarks/hostile.py",
    "codes.save_code": "takes a code",
    "nn.fit_critic": "trains; data are checked in test_fit_critic",
    "nn.fit_dual_encoder": "trains; data are checked in test_dual_encoder",
    "nn.small_committee": "takes sizes",
}
CHEAP = (
    *(
        "information.binary",
        "limits.share",
        "limits.allocation",
        "limits.entropy",
        "limits.generalization",
        "limits.massart",
    ),
    *("retrieval.gaussian", "retrieval.quantized", "retrieval.printed", "retrieval.section"),
)
VALUES = [0.0, -0.0, 1.0, np.nan, np.inf, -np.inf, 1e-30, 1e30, -1.0]


@pytest.fixture(scope="module")
def calls():
    """They fit codes, which whoever only collects tests need not wait for."""
    from tests.public_calls import CALLS

    assert {name.split(".")[0] for name in CALLS} == set(PACKAGES)
    return CALLS


@pytest.mark.parametrize("package", PACKAGES)
def test_a_nan_is_never_passed_on_in_silence(package, calls):
    wrong = []
    for name, (function, args, kwargs) in calls.items():
        for path, array in arrays_of(args, kwargs) if name.startswith(f"{package}.") else ():
            for what, other in values_of(array):
                if what in REFUSED:
                    said = complaint(function, *replaced(args, kwargs, path, other))
                    wrong += [f"{name}{jax.tree_util.keystr(path)} {what}: {said}"] if said else []
    assert not wrong, "\n".join(wrong)


def test_any_numbers_give_numbers_or_a_sentence(calls, rng):
    for name, (function, args, kwargs) in calls.items():
        for path, array in arrays_of(args, kwargs) if name.startswith(CHEAP) else ():
            for _ in range(6):
                plain = rng.uniform(-10, 10, array.shape)
                other = np.where(rng.random(array.shape) < 0.5, rng.choice(VALUES, array.shape), plain)
                said = complaint(function, *replaced(args, kwargs, path, other))
                assert said is None, f"{name}{jax.tree_util.keystr(path)} {other}: {said}"


@pytest.mark.float64_only
def test_every_public_function_of_arrays_is_tried(calls):
    tried = {name.rstrip("'") for name in calls}
    for where, thing, owner in public():
        if owner is None and inspect.isfunction(inspect.unwrap(thing)) and where.split(".")[0] in PACKAGES:
            takes = any(_is_array(kind) for kind in parameters(thing).values())
            assert not takes or where in tried or where in NOT_HERE, f"{where}: add a call to tests/public_calls.py"
    assert not {name for name in NOT_HERE if name in tried}
