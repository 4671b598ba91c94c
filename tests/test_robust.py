"""Spoiled numbers in every public function are refused in a sentence: a short form of benchmarks/robust.py."""

import inspect
import math
from typing import Any

import jax
import ml_dtypes
import numpy as np
import pytest

from rdjax import codes, rate_distortion, retrieval
from tests.docstrings import _is_array, parameters
from tests.spoiled import BFLOAT16, NAN, arrays_of, complaint, narrow, outcome, replaced, values_of
from tests.test_public_names import public

PACKAGES = ("codes", "data", "information", "limits", "nn", "rate_distortion", "retrieval")
NOT_HERE = {
    "information.modalities_of_samples": "minutes; its parts are here",
    "codes.load_code": "bytes: tests of hostile files and benchmarks/hostile.py",
    "codes.save_code": "takes a code",
    "nn.fit_critic": "trains; data are checked in test_fit_critic",
    "nn.fit_dual_encoder": "trains; data are checked in test_dual_encoder",
    "nn.small_committee": "takes sizes",
}
#: Methods that take arrays, or anything, and why none of their calls is spoiled; of a class' name, all of them.
METHODS_NOT_HERE = {
    "codes.Code": "abstract: its methods are called of every kind, which a test asks",
    "codes.FixedLengthCode": "abstract, likewise",
    "codes.Code.require_corpus": "called by `scores`",
    "codes.EntropyCodedScalar.of_table": "takes the cells that `fit` designs, which are ours",
    "codes.LearnedCode": "trains for seconds; its data are checked in test_learned, and the code it wraps is here",
    "codes.RelevanceMap": "methods of every transform, on coefficients that codes have checked; traced",
    "data.Corpus.take_queries": "takes indices and slices, as NumPy does",
    "limits.Bound": "keeps what is known of a number, infinity too; built by functions that are here",
    "nn.Committee": "a layer: inputs come from a user's own model, traced, and NaN passes on to its loss",
    "nn.CriticFit": "what `fit_critic` gives; its data are checked in test_fit_critic",
    "nn.DualEncoder": "a layer, likewise",
    "nn.RankingMetric": "has state, which a refused call leaves alone: tested in test_nn_modules",
}
#: Of every kind of code; what it inherits and what it has of its own.
OF_CODES = ("fit", "encode", "decode", "scores", "to_bytes", "rate", "pack")
MODULES = {"rate_distortion.sources": rate_distortion.sources, "retrieval.weights": retrieval.weights}
FROM_NUMBERS = {  # of these modules: they take numbers, no arrays, or sources that were made before
    *("binary", "uniform", "zipf", "erasure", "laplacian", "gaussian", "random", "product", "disguised"),
    *("dcg_at", "recall_at", "precision_at", "rank_biased"),
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
NO_BFLOAT16 = (  # one of each check there is; benchmarks/robust.py asks it of all
    *("retrieval.posterior", "limits.indirect_rate", "rate_distortion.capacity"),
    *("information.shrunk_covariance", "codes.Int8.fit", "data.Corpus", "nn.NormalScores.fit"),
)
NO_TREES = ("limits.answer_error", "limits.fit_decay", "rate_distortion.cyclic", "data.Corpus", "codes.Int8.to_bytes")
VALUES = [0.0, -0.0, 1.0, np.nan, np.inf, -np.inf, 1e-30, 1e30, -1.0]


@pytest.fixture(scope="module")
def calls():
    """They fit codes, which whoever only collects tests need not wait for."""
    from tests.public_calls import CALLS

    assert {name.split(".")[0] for name in CALLS} == set(PACKAGES)
    return CALLS


@pytest.mark.parametrize("package", PACKAGES)
def test_a_nan_is_refused_in_a_sentence(package, calls):
    """By every function and at every argument, before anything is compiled: neither NaN nor a number is an answer."""
    wrong = []
    for name, (function, args, kwargs) in calls.items():
        for path, array in arrays_of(args, kwargs) if name.startswith(f"{package}.") else ():
            for what, other in values_of(array):
                if what in NAN:
                    said = complaint(function, *replaced(args, kwargs, path, other), refused=True)
                    wrong += [f"{name}{jax.tree_util.keystr(path)} {what}: {said}"] if said else []
    assert not wrong, "\n".join(wrong)


@pytest.mark.float64_only
def test_a_number_for_nan_is_a_complaint():
    """The test above can fail: on means that leave NaN out, on NaN, and on what is no sentence."""
    spoiled = (np.array([np.nan, 1.0]),)
    assert complaint(np.nanmean, spoiled, {}) is None
    assert complaint(np.nanmean, spoiled, {}, refused=True).startswith("it takes NaN")
    assert complaint(np.mean, spoiled, {}, refused=True) == "NaN"
    assert complaint(math.fsum, ("x",), {}, refused=True).startswith("TypeError")


@pytest.mark.float64_only
@pytest.mark.parametrize("name", NO_BFLOAT16)
def test_where_bfloat16_is_refused_the_sentence_says_what_to_give(name, calls):
    function, args, kwargs = calls[name]
    less, _ = narrow(args, kwargs, ml_dtypes.bfloat16)
    said = outcome(function, *less)
    assert isinstance(said, str)
    assert BFLOAT16.search(said), said


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


@pytest.mark.float64_only
def test_every_public_method_of_arrays_is_tried(calls):
    """Constructors of dataclasses are not among them: they keep what functions computed, and check nothing."""
    tried, left = {name.rstrip("'") for name in calls}, set()
    for where, thing, owner in public():
        if owner is not None and where.split(".")[0] in PACKAGES:
            takes = any(_is_array(kind) or kind is Any for kind in parameters(thing).values())
            if takes and where not in tried:
                left |= {name for name in (where, where.rpartition(".")[0]) if name in METHODS_NOT_HERE} or {
                    "?" + where
                }
    assert left == set(METHODS_NOT_HERE)


@pytest.mark.float64_only
def test_every_kind_of_code_is_tried_in_all_that_it_does(calls):
    kinds = [getattr(codes, name) for name in codes.__all__]
    kinds = [kind for kind in kinds if isinstance(kind, type) and issubclass(kind, codes.Code)]
    names = {kind.__name__ for kind in kinds if not inspect.isabstract(kind)} - {"LearnedCode"}
    assert len(names) >= 16
    assert not {f"codes.{name}.{act}" for name in names for act in OF_CODES} - set(calls)


@pytest.mark.float64_only
@pytest.mark.parametrize("where", MODULES)
def test_every_function_of_a_public_module_is_tried(where, calls):
    own = {n for n, f in vars(MODULES[where]).items() if inspect.isfunction(f) and f.__module__ == f"rdjax.{where}"}
    left = {name for name in own if not name.startswith("_") and f"{where.split('.')[0]}.{name}" not in calls}
    assert left == FROM_NUMBERS & own


@pytest.mark.float64_only
def test_numbers_in_what_is_no_pytree_are_looked_at(calls):
    for name in NO_TREES:
        function, args, kwargs = calls[name]
        found = outcome(function, args, kwargs)
        assert sum(numbers.size for numbers in found) > 0, name
