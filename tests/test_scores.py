"""Scores, fusion and streamed counts against NumPy, with duplicates, padding, memory maps and every tile size."""

import os
import socket
import subprocess
import sys
from pathlib import Path

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax.sharding import Mesh

from rdjax import checks
from rdjax.checks import InputError
from rdjax.numerics import floating
from rdjax.retrieval import count_above, counts_from_scores, fuse, modality_scores, parse_metric, top_document
from rdjax.retrieval import scores as scores_module
from rdjax.retrieval.scores import inner_products, working
from tests.flags import USERS


def integers(rng, rows, dimension=12):
    """Vectors of small integers: every inner product is exact in any precision and any order, and ties abound."""
    return rng.integers(-2, 3, (rows, dimension))


def brute(scores, relevant):
    listed = relevant.reshape(len(relevant), -1)
    own = np.take_along_axis(scores, np.maximum(listed, 0), axis=1)[..., None]
    above, tied = (scores[:, None] > own).sum(-1), (scores[:, None] == own).sum(-1)
    return (np.where(listed >= 0, counts, 0).reshape(relevant.shape) for counts in (above, tied))


def test_modality_scores_and_fusion_agree(rng, dtype, tolerance):
    queries = {name: rng.normal(size=(4, d)).astype(dtype) for name, d in (("image", 5), ("text", 3))}
    documents = {name: rng.normal(size=(6, d)).astype(dtype) for name, d in (("image", 5), ("text", 3))}
    scores = np.asarray(modality_scores(dict(reversed(queries.items())), documents))
    assert scores.shape == (2, 4, 6)
    assert scores.dtype == dtype
    np.testing.assert_allclose(scores[1], queries["text"] @ documents["text"].T, atol=10 * tolerance)
    side = np.asarray(fuse(documents)).T
    fused = np.asarray(fuse(queries, np.array([0.25, 4.0], dtype))) @ side
    np.testing.assert_allclose(fused, scores[0] / 0.25 + scores[1] / 4, rtol=50 * tolerance, atol=50 * tolerance)
    alone = np.asarray(fuse(queries, np.array([0.5, np.inf], dtype))) @ side
    np.testing.assert_allclose(alone, scores[0] / 0.5, rtol=50 * tolerance, atol=50 * tolerance)


@pytest.mark.parametrize("stored", [np.float16, np.int8, np.float32])
def test_stored_types_are_widened(stored, rng):
    scores = modality_scores({"a": integers(rng, 3).astype(stored)}, {"a": integers(rng, 5).astype(stored)})
    assert scores.dtype == jnp.float32
    assert fuse({"a": integers(rng, 3).astype(stored)}).dtype == jnp.float32


@pytest.mark.parametrize("stored", [np.int32, np.int64, np.uint64, np.float64])
@pytest.mark.parametrize("put", [np.asarray, jnp.asarray, np.ndarray.tolist])
def test_what_float32_does_not_hold_has_the_default_precision_as_everywhere(stored, put, rng):
    array = put(np.abs(integers(rng, 3)).astype(stored))
    assert working(array).dtype == floating(array).dtype == jnp.result_type(float)


def test_working_numbers_have_a_firm_precision_and_are_real():
    firm = jax.make_jaxpr(working)(2.0).out_avals
    assert [(aval.dtype, aval.weak_type) for aval in firm] == [(jnp.result_type(float), False)]
    for array, kind in (([1j], "complex128"), (np.array(["a"]), "<U1"), ([None], "object")):
        with pytest.raises(InputError, match=f"there are {kind} values; give real numbers"):
            working(array)


def test_fusion_is_differentiable_in_the_temperatures(dtype):
    features = {"a": np.ones((2, 3), dtype), "b": np.ones((2, 1), dtype)}
    gradient = jax.jit(jax.grad(lambda tau: jnp.sum(fuse(features, tau))))(np.array([0.5, 2.0], dtype))
    np.testing.assert_allclose(gradient, [-6 / 0.25, -2 / 4])


def test_counts_from_a_matrix(rng, dtype):
    scores = rng.integers(0, 4, (6, 9))
    several = np.array([[0, 3, -1], [8, -1, -1], [1, 2, 3], [4, 5, -1], [0, 8, 7], [-1, -1, -1]])
    for relevant in (several[:, 0].clip(0), several):
        for ours, theirs in zip(
            counts_from_scores(jnp.asarray(scores, dtype), relevant), brute(scores, relevant), strict=True
        ):
            np.testing.assert_array_equal(ours, theirs)
    above, tied = counts_from_scores(jnp.asarray(scores[0], dtype), 4)
    assert (int(above), int(tied)) == (np.sum(scores[0] > scores[0, 4]), np.sum(scores[0] == scores[0, 4]))


def test_nan_is_told_where_it_cannot_be_refused(dtype):
    """Counts are whole numbers, so a NaN counts against us there; metrics say NaN, of indices that are none too."""
    scores = np.array([[1.0, np.nan, 0.0], [3.0, 2.0, 1.0], [3.0, 2.0, 1.0], [3.0, 2.0, 1.0]], dtype)
    both = lambda scores, one: (counts_from_scores(scores, one), parse_metric("mrr")(scores, one))
    (above, tied), worth = jax.jit(both)(scores, np.array([0, 1, 3, -1]))
    np.testing.assert_array_equal([above[:2], tied[:2]], [[1, 1], [1, 1]])
    np.testing.assert_array_equal(worth, [np.nan, 0.5, np.nan, np.nan])
    several = jax.jit(parse_metric("recall@2"))(scores, np.array([[0, 1], [1, -1], [1, 3], [1, -2]]))
    np.testing.assert_array_equal(several, [np.nan, 1, np.nan, np.nan])


@pytest.mark.float64_only  # what is handed in is float32 and less
@pytest.mark.parametrize(("query_block", "document_block"), [(256, 10**9), (16, 100), (1, 1)])
def test_streamed_counts_equal_brute_force(query_block, document_block, rng):
    queries, documents = integers(rng, 37), integers(rng, 301)
    scores = queries @ documents.T
    several = np.where(rng.random((37, 5)) < 0.3, -1, rng.integers(0, 301, (37, 5)))
    blocks = {"query_block": query_block, "document_block": document_block}
    for relevant in (rng.integers(0, 301, 37), several):
        above, tied = count_above(queries.astype(np.float32), documents.astype(np.int8), relevant, **blocks)
        expected = tuple(brute(scores, relevant))
        np.testing.assert_array_equal(above, expected[0])
        np.testing.assert_array_equal(tied, expected[1])
        assert above.dtype == tied.dtype == np.int64
    top = top_document(queries.astype(np.float32), documents.astype(np.float16), **blocks)
    np.testing.assert_array_equal(top, scores.argmax(axis=1))


@pytest.mark.parametrize("shape", [pytest.param((2,), marks=pytest.mark.float64_only), (2, 4)])
def test_documents_shared_by_devices_count_as_on_one(shape, rng, dtype):
    mesh = Mesh(np.array(jax.devices()[: np.prod(shape)]).reshape(shape), ("rows", "columns")[: len(shape)])
    queries, relevant = rng.normal(size=(37, 19)).astype(dtype), rng.integers(0, 1001, (37, 2))
    documents = rng.normal(size=(1001, 19)).astype(dtype)
    documents[rng.integers(0, 1001, 50)] = documents[relevant[0, 0]]
    for blocks in ({}, {"query_block": 16, "document_block": 64}):
        one, many = (count_above(queries, documents, relevant, mesh=m, **blocks) for m in (None, mesh))
        np.testing.assert_array_equal(one, many)
        one, many = (top_document(queries, documents, mesh=m, **blocks) for m in (None, mesh))
        np.testing.assert_array_equal(one, many)


PROCESS = """
import sys
import jax
import numpy as np
from jax.sharding import Mesh
from rdjax.retrieval import count_above, top_document
folder, port, index = sys.argv[1:]
jax.distributed.initialize(f"127.0.0.1:{port}", 2, int(index))
mesh = Mesh(np.array(jax.devices()).reshape(2, -1), ("hosts", "devices"))
read = lambda name: np.load(f"{folder}/{name}.npy", mmap_mode="r")
pair = read("queries"), read("documents")
blocks = {"query_block": 16, "document_block": 64, "mesh": mesh}
counts = np.stack([*count_above(*pair, read("relevant"), **blocks), top_document(*pair, **blocks)])
np.save(f"{folder}/counts-{index}.npy", counts)
"""


@pytest.mark.float64_only
def test_documents_shared_by_two_processes_count_as_in_one(rng, tmp_path):
    arrays = {
        "queries": rng.normal(size=(37, 19)).astype(np.float32),
        "documents": rng.normal(size=(2001, 19)).astype(np.float16),
        "relevant": rng.integers(0, 2001, 37),
    }
    for name, array in arrays.items():
        np.save(tmp_path / f"{name}.npy", array)
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parent.parent)}
    both = [
        subprocess.Popen(
            [sys.executable, "-c", PROCESS, str(tmp_path), str(port), str(index)],
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            text=True,
        )
        for index in range(2)
    ]
    errors = [process.communicate(timeout=120)[1] for process in both]
    assert [process.returncode for process in both] == [0, 0], errors
    counts = count_above(*arrays.values(), query_block=16, document_block=64)
    alone = np.stack([*counts, top_document(arrays["queries"], arrays["documents"], document_block=64)])
    for index in range(2):
        np.testing.assert_array_equal(np.load(tmp_path / f"counts-{index}.npy"), alone)


@pytest.mark.parametrize("dimension", [33, 384])
def test_identical_documents_tie_wherever_they_stand(dimension, rng, dtype):
    """With inexact scores: copies of the relevant document, scattered over the tiles, tie with it bit for bit."""
    queries, documents = rng.normal(size=(50, dimension)), rng.normal(size=(1500, dimension))
    relevant = rng.integers(0, 1500, 50)
    for document in relevant:
        documents[rng.integers(0, 1500, 4)] = documents[document]
    kinds = np.unique(documents, axis=0, return_inverse=True, return_counts=True)
    copies = kinds[2][kinds[1].ravel()[relevant]]
    assert copies.max() > 3
    for blocks in ((256, 4096), (16, 128), (8, 64)):
        above, tied = count_above(
            queries.astype(dtype),
            documents.astype(dtype),
            relevant,
            query_block=blocks[0],
            document_block=blocks[1],
        )
        np.testing.assert_array_equal(tied, copies)
        scores = queries @ documents.T
        margin = scores - np.take_along_axis(scores, relevant[:, None], axis=1)
        sure = (margin > 1e-3).sum(1), (margin > -1e-3).sum(1) - copies  # a score may be off by rounding, no more
        assert ((sure[0] <= above) & (above <= sure[1])).all()


def test_a_relevant_document_is_never_above_itself(rng, dtype):
    queries, documents = rng.normal(size=(64, 17)).astype(dtype), rng.normal(size=(200, 17)).astype(dtype)
    above, tied = count_above(queries, documents, np.arange(64))
    assert (tied == 1).all()
    above, tied = count_above(queries * 0, documents, np.arange(64))
    assert (above == 0).all()
    assert (tied == 200).all()


class Watched:
    """A memory map that notes how many rows each read takes."""

    def __init__(self, array):
        self.array, self.shape, self.dtype, self.read = array, array.shape, array.dtype, []

    def __len__(self):
        return len(self.array)

    def __getitem__(self, which):
        rows = self.array[which]
        self.read.append(len(rows))
        return rows


@pytest.mark.float64_only  # what is handed in is float32 and less
def test_memory_maps_and_several_modalities_are_read_in_tiles(rng, tmp_path):
    parts = {name: integers(rng, 500, d).astype(np.float16) for name, d in (("image", 6), ("text", 4))}
    maps = {}
    for name, part in parts.items():
        np.save(tmp_path / f"{name}.npy", part)
        maps[name] = Watched(np.load(tmp_path / f"{name}.npy", mmap_mode="r"))
    queries, relevant = integers(rng, 20, 10).astype(np.float32), rng.integers(0, 500, 20)
    above, tied = count_above(queries, maps, relevant, document_block=64)
    assert 0 < max(maps["image"].read) == max(maps["text"].read) <= 64
    assert sum(maps["image"].read) < 600  # once in tiles, and the relevant ones
    expected = tuple(brute(queries @ np.concatenate(list(parts.values()), axis=1).T, relevant))
    np.testing.assert_array_equal(above, expected[0])
    np.testing.assert_array_equal(tied, expected[1])


def test_streamed_counts_feed_the_metrics(rng, dtype, tolerance):
    queries, documents = integers(rng, 30), integers(rng, 80)
    several = np.stack([rng.permutation(80)[:4] for _ in range(30)])
    several[::3, 2:] = -1
    scores = jnp.asarray(queries @ documents.T, dtype)
    counts = count_above(jnp.asarray(queries, dtype), documents, several)
    for name in ("mrr", "map", "ndcg@5", "recall@10"):
        metric = parse_metric(name)
        streamed = metric.per_query(*counts, (several >= 0).astype(float))
        np.testing.assert_allclose(streamed, metric(scores, several), rtol=tolerance, err_msg=name)


@pytest.mark.float64_only
def test_emoji_corpus_uncompressed():
    """Known from an independent evaluation, ties counted against us; keyword lists repeat, so both ways differ."""
    from rdjax.data import emoji

    _, test = emoji("T1")
    alone = modality_scores(test.queries, test.documents)[test.modalities.index("text")]
    documents = {name: np.asarray(array) for name, array in test.documents.items()}
    counts = count_above(fuse(test.queries, np.ones(2)), documents, test.relevant)
    figures = [parse_metric("mrr")(alone, test.relevant, ties=rule).mean() for rule in ("pessimistic", "expected")]
    figures += [parse_metric(name).per_query(*counts, ties="pessimistic").mean() for name in ("mrr", "recall@1")]
    np.testing.assert_allclose(figures, [0.387, 0.409, 0.710, 0.590], atol=0.0006)


@pytest.mark.float64_only
def test_one_compilation_serves_all_tiles(rng):
    from rdjax.retrieval import streaming

    streaming._on.cache_clear()
    count_above(
        integers(rng, 70).astype(np.float32),
        integers(rng, 333),
        rng.integers(0, 333, 70),
        query_block=16,
        document_block=64,
    )
    assert streaming._on.cache_info().currsize == 1
    (device,) = jnp.zeros(()).devices()
    assert streaming._on(streaming._count_tiles, Mesh(np.array([device]), ("documents",)))._cache_size() == 1


@pytest.mark.float64_only
@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: modality_scores({"a": np.ones((1, 2))}, {"b": np.ones((1, 2))}), "same names"),
        (lambda: fuse({"a": np.ones((1, 2))}, [1.0, 2.0]), "one for each"),
        (lambda: fuse({"a": np.ones((1, 2))}, [0.0]), "above 0"),
        (lambda: count_above(np.ones((2, 3)), np.ones((4, 2)), np.array([0, 1])), "same dimensions"),
        (lambda: count_above(np.ones((2, 3)), np.ones((4, 3)), np.array([0, 4])), "numbered 0 to 3"),
        (lambda: count_above(np.ones((2, 3)), np.ones((4, 3)), np.array([0])), "must be"),
        (lambda: count_above(np.full((1, 1), 1e200), np.full((2, 1), 1e200), np.array([0])), "not finite"),
        (lambda: top_document(np.full((1, 1), 1e200), np.full((2, 1), 1e200)), "not finite"),
        (lambda: count_above(np.ones((2, 3)), np.ones((4, 3)), np.array([0, 1]), query_block=0), "at least 1"),
        (lambda: top_document(np.ones((2, 3)), np.broadcast_to(np.ones((1, 3)), (2**31, 3))), "takes below 21474"),
    ],
)
def test_mistakes_are_one_sentence(call, message):
    with pytest.raises(InputError, match=message):
        call()


@pytest.mark.parametrize("mesh", [None, (8,)])
@pytest.mark.parametrize(
    ("bad", "words"), [(np.nan, "document 300 has a NaN"), (np.inf, "document 300 has a NaN or an")]
)
def test_a_document_that_nobody_wants_is_refused_if_it_has_a_nan(mesh, bad, words, rng, dtype):
    devices = None if mesh is None else Mesh(np.array(jax.devices()).reshape(mesh), ("documents",))
    queries, documents = (rng.standard_normal((n, 5)).astype(dtype) for n in (40, 400))
    wanted = rng.integers(0, 100, 40)
    count_above(queries, documents, wanted, document_block=64, mesh=devices)
    documents[300, 2] = bad
    with pytest.raises(InputError, match=words):
        count_above(queries, documents, wanted, document_block=64, mesh=devices)


def test_a_document_whose_score_overflows_is_refused_and_a_large_one_is_not(rng, dtype):
    queries, documents = (rng.standard_normal((n, 5)).astype(dtype) for n in (4, 400))
    wanted, most = np.arange(4), np.finfo(dtype).max
    documents[300] = most / 1000
    first = np.eye(1, 5, dtype=dtype) * queries[:, :1]
    above, _ = count_above(first, documents, wanted)  # a bound of the products is beyond, they are not
    np.testing.assert_array_equal(
        above, (documents[:, 0] * first[:, :1] > (documents[:4, :1] * first[:, :1])).sum(axis=1)
    )
    with pytest.raises(InputError, match="not finite"):
        count_above(1e4 * np.abs(queries), documents, wanted)


def test_lists_of_numbers_have_all_their_digits():
    """In float32, too, where JAX keeps 24 bits of them."""
    for scores in ([[0.1, 0.10000000001]], np.array([[0.1, 0.10000000001]])):
        above, tied = counts_from_scores(scores, [0])
        assert (above.item(), tied.item()) == (1, 1)


@pytest.mark.float64_only
def test_values_on_an_accelerator_are_looked_at_where_they_are(monkeypatch):
    """With jax.numpy in NumPy's place, as there, the same is refused and the same is taken."""
    for module in (checks, scores_module):
        monkeypatch.setattr(module, "arrays_of", lambda values: jnp)
    for bad in (jnp.array([0.0, jnp.nan]), jnp.array([1.0, -1.0]), jnp.array([1j])):
        with pytest.raises(InputError, match=r"^the grades "):
            checks.numbers(bad, "the grades", 0)
    checks.numbers(jnp.ones(3, jnp.bfloat16), "the grades", 0)
    for refusing in (scores_module.checked_scores, lambda scores: counts_from_scores(scores, jnp.array([0]))):
        with pytest.raises(InputError, match=r"^the scores hold a NaN"):
            refusing(jnp.array([[0.0, jnp.nan]]))
    assert scores_module.checked_scores(jnp.array([[0.0, -jnp.inf]])).shape == (1, 2)


def test_arrays_without_names_of_modalities_are_refused():
    with pytest.raises(InputError, match=r"the queries are a ndarray; give a dict of arrays \[n, D\] by modality"):
        modality_scores(np.ones((2, 3)), {"text": np.ones((4, 3))})


@pytest.mark.parametrize("factor", [0.3, 1.5])
@pytest.mark.parametrize("several", [False, True])
def test_a_relevant_document_is_not_above_itself_where_its_score_is_computed_in_the_same_jit(
    factor, several, rng, dtype
):
    """XLA may compute a score twice, rounded differently: then half of these tied with nothing."""
    documents = rng.normal(size=(20, 4)).astype(dtype)
    pairs = rng.permuted(np.tile(np.arange(20), (64, 1)), axis=1)[:, :2]
    queries, relevant = documents[pairs[:, 0]], pairs if several else pairs[:, 0]

    def counts(queries, documents, factor):
        lengths = jnp.sum(documents**2, axis=1) * factor
        return counts_from_scores(inner_products(queries, documents) - lengths[None, :], relevant)

    wide = documents.astype(np.float64)
    scores = queries.astype(np.float64) @ wide.T - factor * (wide**2).sum(axis=1)
    own = np.take_along_axis(scores, relevant.reshape(64, -1), axis=1)
    expected = (scores[:, None, :] > own[:, :, None]).sum(axis=2).reshape(relevant.shape)
    together = jax.jit(jax.vmap(counts, (None, None, 0)), compiler_options=USERS)
    both = together(queries, documents, np.array([1.0, factor], dtype))
    alone = jax.jit(counts, compiler_options=USERS)(queries, documents, factor)
    for above, tied in (alone, [one[1] for one in both]):
        np.testing.assert_array_equal(above, expected)
        np.testing.assert_array_equal(tied, 1)


@pytest.mark.float64_only
@pytest.mark.parametrize(
    ("scores", "words"),
    [
        ([[0.1, 0.2], [0.3]], "there are lists of different lengths; give an array"),
        (np.zeros((2, 2), np.longdouble), "give real numbers, of 64 bits at most"),
        (jax.random.split(jax.random.key(0)), "give real numbers"),
    ],
)
def test_what_is_no_array_of_numbers_is_refused(scores, words):
    with pytest.raises(InputError, match=words):
        working(scores)
