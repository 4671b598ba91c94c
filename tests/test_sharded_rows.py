"""Rows over eight devices: the answers of one, with sums over devices and nothing else between them."""

import re
from functools import partial

import jax
import numpy as np
import pytest
from jax.sharding import AxisType, Mesh, NamedSharding, PartitionSpec

from rdjax.checks import InputError
from rdjax.codes.rank import RankCode
from rdjax.limits import queries, ranking_rate, rankings_code, relevance, relevance_certificate
from rdjax.limits.relevance import relevance_bounds
from rdjax.rate_distortion import blahut_arimoto, capacity, interior_point, newton
from rdjax.rate_distortion.problem import pose, slopes_in_nats
from rdjax.retrieval import count_above, top_document
from rdjax.retrieval.beside import Beside
from rdjax.retrieval.tiles import default_device

pytestmark = pytest.mark.float64_only
MESH = Mesh(np.array(jax.devices()).reshape(4, 2), ("hosts", "devices"))
ROWS, ROWS_ALONE = PartitionSpec(("hosts", "devices")), PartitionSpec("rows")


def sharded(array, mesh=MESH, spec=ROWS):
    return jax.device_put(array, NamedSharding(mesh, spec))


def transfers(compiled):
    """What goes between devices: name and number of entries of each."""
    found = re.findall(r"= (.*?) (all-\w+|reduce-scatter|collective-\w+)(?:-start)?\(", compiled.as_text())
    sizes = lambda shapes: [
        np.prod([int(n) for n in dims.split(",") if n]) for dims in re.findall(r"\[([\d,]*)\]", shapes)
    ]
    return [(name, int(size)) for shapes, name in found for size in sizes(shapes)]


@pytest.fixture
def problem(rng):
    return rng.dirichlet(np.ones(48)), rng.random((48, 24))


def test_the_interior_point_only_sums_over_devices(problem, monkeypatch):
    """The smaller problem on some columns, too: no more than a matrix M x M is ever sent, and no rows are."""
    monkeypatch.setattr(newton, "WORTH_REDUCING", 8)
    split = pose(*map(sharded, problem))
    slope = slopes_in_nats(6.0, split)
    compiled = newton.points.lower(split, slope, 1e-9, 39).compile()  # 39: traced here, with what is patched
    assert {name for name, _ in transfers(compiled)} == {"all-reduce"}
    assert max(size for _, size in transfers(compiled)) == 24 * 24
    arguments = compiled.memory_analysis().argument_size_in_bytes
    assert arguments < (48 * 24 / 8 + 200) * 8  # of a device
    one, many = (newton.points(posed, slope, 1e-9, 39) for posed in (pose(*problem), split))
    assert many.status == 0
    assert abs(float(one.lagrangian - many.lagrangian)) <= float(one.gap + many.gap)
    assert many.output.sharding.is_fully_replicated


@pytest.mark.parametrize("kind", ["Auto", "Explicit"])
def test_solvers_take_shards_of_both_kinds_of_meshes(kind, problem):
    mesh = jax.make_mesh((8,), ("rows",), axis_types=(AxisType[kind],))
    split = [sharded(array, mesh, PartitionSpec("rows")) for array in problem]
    one, many = (blahut_arimoto(*arrays, 6.0) for arrays in (problem, split))
    assert many.status == 0
    assert abs(float(one.lagrangian - many.lagrangian)) <= float(one.gap + many.gap)


@pytest.mark.parametrize("name", ["capacity", "count_above", "top_document", "rank code"])
def test_rows_of_a_mesh_as_jax_makes_it_give_what_they_give_in_one_place(name, rng):
    """`jax.make_mesh` has Explicit axes, over which contractions and gathers are errors of JAX."""
    shared = partial(sharded, mesh=jax.make_mesh((8,), ("rows",), axis_types=(AxisType.Explicit,)), spec=ROWS_ALONE)
    queries, documents = rng.standard_normal((8, 4)), rng.standard_normal((104, 4))
    if name == "capacity":
        channel = rng.dirichlet(np.ones(6), 8)
        one, many = (capacity(array) for array in (channel, shared(channel)))
        assert many.status == 0
        found = one.rate, many.rate
    elif name == "rank code":
        code = RankCode.fit(documents, 3 * 104)
        symbols = code.encode(queries)
        found = [code.scores(*pair) for pair in ((symbols, documents), (shared(symbols), shared(documents)))]
    else:
        relevant = (rng.integers(0, 104, 8),) if name == "count_above" else ()
        call = partial(count_above if name == "count_above" else top_document, document_block=48)
        parts = call(queries, {"a": documents[:, :1], "b": documents[:, 1:]}, *relevant)
        found = parts, call(*map(shared, (queries, documents, *relevant)))
        split = {"a": shared(documents[:, :1]), "b": shared(documents[:, 1:])}
        np.testing.assert_array_equal(parts, call(shared(queries), split, *map(shared, relevant)))
    np.testing.assert_allclose(*found, rtol=1e-6, atol=1e-9)


def test_under_jit_the_axes_of_the_mesh_are_automatic(problem):
    """As the docstring of `interior_point` says: an Explicit mesh needs `auto_axes`, one of Auto axes nothing."""
    solve = lambda source, distortion: interior_point(source, distortion, 6.0).lagrangian
    usual, given = (jax.make_mesh((8,), ("rows",), axis_types=(AxisType[kind],)) for kind in ("Auto", "Explicit"))
    split = lambda mesh: [sharded(array, mesh, PartitionSpec("rows")) for array in problem]
    found = [jax.jit(solve)(*split(usual))]
    with jax.set_mesh(given):
        found.append(jax.jit(jax.sharding.auto_axes(solve, out_sharding=PartitionSpec()))(*split(given)))
    np.testing.assert_allclose(found, float(solve(*problem)), atol=1e-7)


def test_slopes_and_distortions_over_devices_by_shard_map(problem):
    """`check_vma=False`, as the README and `rate_distortion` say."""
    mesh = jax.make_mesh((8,), ("slopes",), axis_types=(AxisType.Auto,))
    every = PartitionSpec("slopes")
    shared = lambda function: jax.shard_map(function, mesh=mesh, in_specs=every, out_specs=every, check_vma=False)
    slopes, distortions = np.linspace(2, 9, 8), np.linspace(0.1, 0.8, 8)
    points = lambda slopes: blahut_arimoto(*problem, slopes).lagrangian
    rates = lambda distortions: ranking_rate(distortions, 1000)
    for function, values in ((points, slopes), (rates, distortions)):
        np.testing.assert_allclose(jax.jit(shared(function))(values), function(values), atol=1e-7)


def test_bad_rows_are_named_wherever_they_are(problem):
    source, distortion = problem
    wrong = distortion.copy()
    wrong[13, 5] = np.nan
    with pytest.raises(InputError, match="nan in row 13, column 5"):
        interior_point(sharded(source), sharded(wrong), 6.0)
    rows = np.full((8, 4), 0.25)
    rows[5] = 0.3
    with pytest.raises(InputError, match=r"a posterior sums to 1\.2"):
        relevance_bounds(sharded(rows), 3.0)
    with pytest.raises(InputError, match="shard their rows and nothing else"):
        relevance_bounds(sharded(np.full((8, 4), 0.25), spec=PartitionSpec("hosts", "devices")), 3.0)


def test_relevance_bounds_only_sum_over_devices(rng, monkeypatch):
    """Blocks that do not divide the rows, documents that do not divide by devices, queries that are impossible."""
    monkeypatch.setattr(relevance, "FEW", 0)  # one fit: half the compiling
    monkeypatch.setattr(relevance, "SWEEPS", 0)  # twenty sweeps
    monkeypatch.setattr(queries, "LEAST_ROWS", 5)
    posteriors, source = rng.dirichlet(np.full(10, 0.2), 136), np.r_[np.zeros(3), np.full(133, 1 / 133)]
    settings = {"source": source, "rounds": 2, "passes": 5, "memory": 160_000, "codewords": 96}
    called = {}

    def recorded(name, function):
        def call(*args, **kwargs):
            if name not in called:
                called[name] = transfers(function.lower(*args, **kwargs).compile())
            return function(*args, **kwargs)

        return call

    steps = {
        relevance_certificate: ("_block", "_append", "_ascend", "_mix", "_add_costs", "_assignments"),
        rankings_code: ("_round", "_spend_block"),
        queries: ("_rows",),
    }
    for module, names in steps.items():
        for name in names:
            monkeypatch.setattr(module, name, recorded(name, getattr(module, name)))
    many = relevance_bounds(sharded(posteriors), 9.0, **settings)
    assert all(called[name] == [] for name in ("_block", "_append", "_add_costs", "_rows"))
    for name in ("_ascend", "_mix", "_round", "_spend_block"):
        assert {kind for kind, _ in called[name]} == {"all-reduce"}
    assert {kind for kind, _ in called["_assignments"]} == {"reduce-scatter", "all-gather"}
    assert max(size for kind, size in called["_assignments"] if kind == "all-gather") == 8 * 10  # 8 rankings
    monkeypatch.undo()
    monkeypatch.setattr(relevance, "FEW", 0)
    one = relevance_bounds(posteriors, 9.0, **settings)
    for found in (one, many):
        assert found.lower <= found.upper
    shift = 9 * (one.distortion - many.distortion)
    assert many.lower <= one.upper + shift + 1e-9
    assert one.lower + shift <= many.upper + 1e-9
    assert many.certificate == pytest.approx(one.certificate + shift, abs=0.02)
    assert many.upper == pytest.approx(one.upper + shift, abs=0.02)


def test_steps_beside_each_other_stay_where_the_user_computes():
    """The default device belongs to a thread, as x64 does."""
    step = jax.jit(lambda x: x + 1)
    with jax.default_device(jax.devices()[2]), Beside(default_device()) as beside:
        made = beside.done(beside.begin(step, [(np.ones(3),)] * 3, [()] * 3))
    assert {device for array in made for device in array.devices()} == {jax.devices()[2]}
