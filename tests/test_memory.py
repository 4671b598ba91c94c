"""Memory budgets of an audit: sizes that fit, refusals that say what would, and results that do not depend on them."""

import numpy as np
import pytest

from rdjax.audit.frontier import count_coded
from rdjax.audit.memory import LEAST, Sizes, sizes_within
from rdjax.checks import InputError
from rdjax.codes import SignBitsRescored
from rdjax.data import Corpus
from rdjax.data.machine import byte_size

pytestmark = pytest.mark.float64_only


def corpus(rng, documents=40, queries=30, dimension=8):
    vectors = rng.normal(size=(documents + queries, dimension)).astype(np.float32)
    relevant = rng.integers(0, documents, queries)
    return Corpus(documents={"a": vectors[:documents]}, queries={"a": vectors[documents:]}, relevant=relevant)


@pytest.mark.parametrize(("text", "size"), [("8GB", 8e9), ("500 MB", 5e8), ("1.5GiB", 1.5 * 2**30), ("64", 64.0)])
def test_sizes_in_words(text, size):
    assert byte_size(text, "the memory") == size


@pytest.mark.parametrize("text", ["", "GB", "8 gigabytes", "-1GB", "1.2.3GB", "8GBGB", "inf", "nanGB"])
def test_what_is_no_size_is_refused(text):
    with pytest.raises(InputError, match="write a size such as 500MB or 8GB"):
        byte_size(text, "the memory")


def test_less_memory_means_less_at_a_time_until_it_is_refused(rng):
    mine = corpus(rng)
    assert sizes_within(None, mine, None) == sizes_within(1e12, mine, mine) == Sizes()
    found, refused = [], []
    for budget in np.arange(0.1e9, 6e9, 0.02e9):
        try:
            found.append(sizes_within(budget, mine, None))
        except InputError as error:
            refused.append(str(error))
    held = [sizes.workers * sizes.scores for sizes in found]
    assert refused
    assert held == sorted(held)
    assert (found[0].workers, found[-1]) == (1, Sizes())
    assert held[0] < held[len(held) // 8] < held[-1]
    assert min(sizes.scores for sizes in found) >= LEAST
    least = float(refused[-1].split("takes ")[1].split(" GB")[0]) * 1e9
    assert sizes_within(1.01 * least, mine, None).scores >= LEAST
    with pytest.raises(InputError, match="at least"):
        sizes_within(0.99 * least, mine, None)


@pytest.mark.parametrize(("modalities", "judged", "copies"), [(2, True, 3), (1, True, 0), (2, False, 0)])
def test_each_fold_holds_vectors_of_its_own_temperatures_once_more(modalities, judged, copies):
    """399 queries are cross-fitted in four folds, 400 are split: three copies of 80 MB more, but for a query."""
    least = []
    for queries in (399, 400):
        rows = np.ones((20_000, 1000 // modalities), np.float32)
        names = [f"m{m}" for m in range(modalities)]
        documents, asked = dict.fromkeys(names, rows), dict.fromkeys(names, rows[:queries])
        mine = Corpus(documents, asked, relevant=np.arange(queries) if judged else None)
        with pytest.raises(InputError) as caught:
            sizes_within(1.0, mine, None)
        least.append(float(str(caught.value).split("takes ")[1].split(" GB")[0]))
    assert least[0] - least[1] == pytest.approx(copies * 0.0816, abs=0.02)


def test_without_a_budget_what_the_machine_has_is_one(rng, monkeypatch):
    mine = corpus(rng)
    for size in (1.05e9, 1.2e9, 1e12):
        monkeypatch.setattr("rdjax.data.machine.memory", lambda size=size: size)
        assert sizes_within(None, mine, None) == sizes_within(size, mine, None)
    assert sizes_within(None, mine, None) == Sizes()
    monkeypatch.setattr("rdjax.data.machine.memory", lambda: 0.9e9)
    with pytest.warns(UserWarning, match=r"^this audit may take 1\.02 GB of memory, and there are 900 MB$"):
        assert sizes_within(None, mine, None) == Sizes(1, LEAST)


def test_counts_do_not_depend_on_how_many_scores_are_held(rng):
    mine = corpus(rng)
    queries, documents = mine.queries["a"], mine.documents["a"]
    code = SignBitsRescored.fit(documents, 8)
    assert not code.inner_products
    symbols = code.encode(documents)
    counts = [
        np.stack(count_coded(code, symbols, "documents", (queries, documents), mine, scores))
        for scores in (2**24, 300, 1)
    ]
    np.testing.assert_array_equal(counts[0], counts[1])
    np.testing.assert_array_equal(counts[0], counts[2])
