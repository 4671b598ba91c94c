"""Splits, folds and pools of a corpus: nothing lost, nothing twice, nothing copied that need not be."""

import tracemalloc

import numpy as np
import pytest

from rdjax.checks import InputError
from rdjax.data import Corpus, folds, pool_documents, split_queries
from tests.corpora import large_map

pytestmark = pytest.mark.float64_only


@pytest.fixture
def large(tmp_path):
    return large_map(tmp_path)


def marked(num_queries):
    """A corpus whose query i can be recognized: its vector is (i + 1, 1)."""
    vectors = np.stack([np.arange(num_queries) + 1.0, np.ones(num_queries)], axis=1)
    return Corpus(documents={"v": np.eye(2)}, queries={"v": vectors}, relevant=np.arange(num_queries) % 2)


@pytest.mark.parametrize(
    ("count", "share", "size"), [(10, 0.5, 5), (7, 0.3, 2), (2, 0.01, 1), (2, 0.99, 1), (101, 0.9, 91)]
)
def test_split_queries_parts_are_disjoint_and_together_whole(count, share, size):
    corpus = marked(count)
    fit, test = split_queries(corpus, 3, share)
    assert (fit.num_queries, test.num_queries) == (size, count - size)
    assert fit.documents is test.documents is corpus.documents
    numbers = np.concatenate([part.queries["v"][:, 0] for part in (fit, test)])
    assert sorted(numbers) == list(range(1, count + 1))
    for part in (fit, test):
        np.testing.assert_array_equal(part.relevant, (part.queries["v"][:, 0] - 1) % 2)


def test_split_queries_follows_the_seed():
    corpus = marked(50)
    first, again, other = (split_queries(corpus, seed)[0].queries["v"] for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, again)
    assert not np.array_equal(first, other)


@pytest.mark.parametrize(("count", "share", "message"), [(1, 0.5, "one query"), (5, 0, "share"), (5, 1, "share")])
def test_split_queries_refuses(count, share, message):
    with pytest.raises(InputError, match=message):
        split_queries(marked(count), 0, share)


@pytest.mark.parametrize(("size", "count"), [(10, 5), (11, 3), (4, 4), (2, 2)])
def test_folds_test_every_query_once_and_never_fit_on_it(size, count):
    parts = folds(marked(size), count, seed=4)
    assert len(parts) == count
    assert sorted(np.concatenate([test for _, test in parts])) == list(range(size))
    for fit, test in parts:
        assert sorted([*fit, *test]) == list(range(size))
        assert abs(len(test) - size / count) < 1
    for (fit, _), (again, _) in zip(parts, folds(marked(size), count, seed=4), strict=True):
        np.testing.assert_array_equal(fit, again)


@pytest.mark.parametrize(("size", "count"), [(5, 1), (5, 6), (1, 2)])
def test_folds_refuses(size, count):
    with pytest.raises(InputError, match="folds"):
        folds(marked(size), count, seed=0)


def repeated(times):
    """Queries of which the k-th different one is asked times[k] times, shuffled."""
    numbers = np.random.default_rng(0).permutation(np.repeat(np.arange(1.0, len(times) + 1), times))
    documents = {"v": np.eye(2, dtype=np.float32)}
    return Corpus(documents, {"v": np.stack([numbers, numbers], axis=1)}, relevant=numbers.astype(int) % 2)


@pytest.mark.parametrize("seed", range(5))
def test_equal_queries_stay_on_one_side(seed):
    times = [1, 7, 2, 2, 30, 1, 1, 4, 5, 3]
    corpus = repeated(times)
    fit, test = split_queries(corpus, seed)
    sides = [set(part.queries["v"][:, 0].tolist()) for part in (fit, test)]
    assert not sides[0] & sides[1]
    assert all(sides)
    assert fit.num_queries + test.num_queries == sum(times)
    for outside, inside in folds(corpus, 4, seed):
        asked = corpus.queries["v"][:, 0]
        assert not set(asked[outside]) & set(asked[inside])
        assert sorted([*outside, *inside]) == list(range(sum(times)))


def test_queries_that_are_all_equal_are_split_all_the_same():
    fit, test = split_queries(repeated([9]), 0)
    assert (fit.num_queries, test.num_queries) == (4, 5)
    with pytest.raises(InputError, match="of 2 different queries"):
        folds(repeated([5, 5]), 3, 0)


def small(rows, texts, relevant, **more):
    """Documents from two short lists of numbers, one per modality; queries do not matter."""
    documents = {
        "image": np.array([[r, 1] for r in rows], np.float32),
        "text": np.array([[t, 1] for t in texts], float),
    }
    queries = {"image": np.ones((len(relevant), 2)), "text": np.ones((len(relevant), 2))}
    return Corpus(documents=documents, queries=queries, relevant=relevant, **more)


def contents(corpus, index):
    return tuple(tuple(corpus.documents[name][index].tolist()) for name in ("image", "text"))


def test_pool_adds_what_is_missing_and_renumbers():
    audited = small([1, 2, 3], [1, 1, 1], [0], notes=("one",), ids=["x", "y", "z"])
    fit = small([3, 2, 9], [1, 5, 1], [0, 1, 2], notes=("two", "one"), ids=["z'", "p", "q"], prior=[0.5, 0.25, 0.25])
    pool = pool_documents(audited, fit)
    # fit's document 0 is audited document 2; 1 agrees in one modality only, 2 in none
    assert pool.num_documents == 5
    assert pool.relevant.tolist() == [2, 3, 4]
    assert [contents(pool, i) for i in pool.relevant] == [contents(fit, i) for i in fit.relevant]
    assert [contents(pool, i) for i in range(3)] == [contents(audited, i) for i in range(3)]
    assert pool.ids == ("x", "y", "z", "p", "q")
    assert pool.prior.tolist() == [0, 0, 0.5, 0.25, 0.25]
    assert pool.notes == ("one", "two")
    assert all(pool.queries[name] is array for name, array in fit.queries.items())


def test_pool_matches_brute_force(rng):
    """Small integers, so that rows repeat often, in both corpora and between them."""
    for trial in range(20):
        audited = small(rng.integers(4, size=7), rng.integers(2, size=7), [0])
        fit = small(rng.integers(4, size=6), rng.integers(2, size=6), rng.integers(6, size=9))
        known = {contents(audited, i) for i in range(7)}
        new = [i for i in range(6) if contents(fit, i) not in known]
        pool = pool_documents(audited, fit)
        assert pool.num_documents == 7 + len(new), trial
        assert [contents(pool, i) for i in pool.relevant] == [contents(fit, i) for i in fit.relevant]
        assert [contents(pool, 7 + j) for j in range(len(new))] == [contents(fit, i) for i in new]


def test_pool_of_the_same_documents_copies_nothing():
    audited = small([1, 2, 2], [1, 1, 1], [0])
    fit, test = split_queries(small([1, 2, 2], [1, 1, 1], [0, 1, 2, 2]), 0)
    assert pool_documents(test, fit).documents is test.documents  # the same arrays
    pool = pool_documents(audited, fit)  # equal arrays
    assert pool.documents is audited.documents
    np.testing.assert_array_equal(pool.relevant, fit.relevant)


def test_pool_of_a_part_of_the_documents_copies_nothing():
    audited, fit = small([1, 2, 3], [1, 1, 1], [0]), small([3, 1], [1, 1], [[0, 1], [1, -1]])
    pool = pool_documents(audited, fit)
    assert pool.documents is audited.documents
    assert pool.relevant.tolist() == [[2, 0], [0, -1]]


def test_pool_pairs_copies_in_order_and_never_names_one_twice():
    audited = small([1, 1, 2], [1, 1, 1], [0])
    fit = small([1, 1, 1, 5], [1, 1, 1, 1], [[0, 1, 2, 3]], grades=[[1, 2, 4, 3]], prior=[0.1, 0.2, 0.3, 0.4])
    pool = pool_documents(audited, fit)
    assert pool.relevant.tolist() == [[0, 1, -1, 3]]
    assert pool.grades.tolist() == [[1, 4, 0, 3]]  # the third copy joined the second, and its better grade stays
    np.testing.assert_allclose(pool.prior, [0.1, 0.5, 0, 0.4])


def test_pool_compares_values_not_bytes():
    audited = Corpus(documents={"v": np.array([[0.5, -0.0], [1, 2]], np.float16)}, queries={"v": np.ones((1, 2))})
    fit = Corpus(
        documents={"v": np.array([[1, 2], [0.5, 0.0], [0.1, 1]])}, queries={"v": np.ones((1, 2))}, relevant=[1]
    )
    pool = pool_documents(audited, fit)
    assert pool.relevant.tolist() == [0]
    assert pool.documents["v"].dtype == np.float64  # 0.1 must not be rounded to join
    assert pool.documents["v"].tolist() == [[0.5, 0], [1, 2], [0.1, 1]]


def test_pool_without_judgments_and_with_ids_that_collide():
    pool = pool_documents(small([1, 2], [1, 1], [0], ids=["a", "b"]), small([1, 7], [1, 1], [0], ids=["b", "a"]))
    assert pool.ids is None
    audited = small([1, 2], [1, 1], [0])
    fit = Corpus(documents=small([8, 9], [1, 1], [0]).documents, queries=audited.queries)
    assert pool_documents(audited, fit).relevant is None


def test_pool_of_a_memory_map_stays_out_of_memory(large):
    audited = Corpus(documents={"v": large}, queries={"v": np.ones((1, 256))}, relevant=[0])
    fit = Corpus(documents={"v": np.full((2, 256), 3, np.float32)}, queries={"v": np.ones((1, 256))}, relevant=[1])
    tracemalloc.start()
    pool = pool_documents(audited, fit)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < large.nbytes / 2
    assert pool.relevant.tolist() == [65537]
    np.testing.assert_array_equal(pool.documents["v"][[0, 65535, 65537], 0], [1, 1, 3])


def test_pool_refuses_another_space(monkeypatch):
    audited = small([1, 2], [1, 1], [0])
    other = Corpus(documents={"image": np.eye(2)}, queries={"image": np.eye(2)})
    with pytest.raises(InputError, match="modalities image, text and the one to fit on image"):
        pool_documents(audited, other)
    wide = Corpus(
        documents={n: np.eye(3) for n in ("image", "text")}, queries={n: np.eye(3) for n in ("image", "text")}
    )
    with pytest.raises(InputError, match="modality 'image' has 2 columns in the audited corpus and 3"):
        pool_documents(audited, wide)


def test_pool_says_when_the_disk_is_too_small(large, monkeypatch):
    monkeypatch.setattr("shutil.disk_usage", lambda folder: type("Usage", (), {"free": 1000}))
    audited = Corpus(documents={"v": large}, queries={"v": np.ones((1, 256))})
    fit = Corpus(documents={"v": np.full((2, 256), 3)}, queries={"v": np.ones((1, 256))})
    with pytest.raises(InputError, match=r"0\.1 GB .* set TMPDIR to a larger folder"):
        pool_documents(audited, fit)
