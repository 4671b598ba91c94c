"""Members of a batch by `jax.vmap`: as alone, on a CPU without arrays of all at once, on accelerators as one batch."""

import jax
import numpy as np
import pytest

from rdjax.rate_distortion import blahut_arimoto, capacity, implicit, interior_point, rate_at
from rdjax.rate_distortion.implicit import AT_ONCE

MEMBERS = 5
ONE_PROCESSOR = implicit.one_processor
SHAPES = {"all at once": (8, 8), "two at a time": (20, 20), "one by one": (36, 30)}
SOLVERS = {
    "blahut_arimoto": lambda source, distortion: blahut_arimoto(source, distortion, 6.0, tolerance=1e-4),
    "interior_point": lambda source, distortion: interior_point(source, distortion, np.array([2.0, 9.0])),
    "rate_at": lambda source, distortion: rate_at(source, distortion, 0.2),
}


@pytest.fixture(scope="module", autouse=True)
def one_processor():
    """As in a process of users, who have one CPU device; the tests have eight."""
    with pytest.MonkeyPatch.context() as patch:
        jax.clear_caches()  # of shapes that other files have traced
        patch.setattr(implicit, "one_processor", lambda: True)
        yield
    jax.clear_caches()


def made(shape, seed=0):
    rng = np.random.default_rng(seed)
    return rng.dirichlet(np.ones(shape[0]), MEMBERS), rng.random(shape)


def test_the_shapes_are_what_they_are_called():
    assert [min(MEMBERS, AT_ONCE // (x * m)) for x, m in SHAPES.values()] == [MEMBERS, 2, 0]


@pytest.mark.parametrize(
    ("name", "shape"),
    [
        ("interior_point", "all at once"),
        ("interior_point", "two at a time"),
        *((name, "one by one") for name in SOLVERS),
    ],
)
def test_each_is_as_alone(name, shape):
    """Whatever led there: values that belong to one distortion or slope differ by the larger gap at most."""
    sources, distortion = made(SHAPES[shape])
    together = jax.device_get(jax.vmap(SOLVERS[name], (0, None))(sources, distortion))
    assert (together.status == 0).all(), together.message
    for row, source in enumerate(sources):
        alone = jax.device_get(SOLVERS[name](source, distortion))
        gap = np.maximum(alone.gap, together.gap[row])
        assert (np.abs(alone.lagrangian - together.lagrangian[row]) <= gap).all()


def test_a_batch_of_batches():
    sources, _ = made(SHAPES["one by one"])
    distortions = np.random.default_rng(1).random((2, *SHAPES["one by one"]))
    solve = lambda source, distortion: interior_point(source, distortion, 4.0).lagrangian
    found = jax.vmap(jax.vmap(solve, (0, None)), (None, 0))(sources[:3], distortions)
    want = [[solve(source, distortion) for source in sources[:3]] for distortion in distortions]
    np.testing.assert_allclose(found, want, atol=2e-4)


@pytest.mark.float64_only
def test_derivatives_of_members_and_members_of_derivatives():
    sources, distortion = made(SHAPES["one by one"])
    spent = lambda source: interior_point(source, distortion, 6.0).rate  # its derivative takes the law's
    want = [jax.grad(spent)(source) for source in sources]
    np.testing.assert_allclose(jax.vmap(jax.grad(spent))(sources), want, rtol=1e-4)
    total = lambda sources: jax.vmap(spent)(sources).sum()
    np.testing.assert_allclose(jax.grad(total)(sources), want, rtol=1e-4)


@pytest.mark.float64_only
@pytest.mark.parametrize("shape", SHAPES.values(), ids=SHAPES)
def test_how_many_members_there_are_may_be_open(shape):
    (count,) = jax.export.symbolic_shape("count")
    some = lambda *rest: jax.ShapeDtypeStruct((count, *rest), np.float64)
    solve = jax.jit(jax.vmap(lambda source, distortion: interior_point(source, distortion, 4.0).lagrangian))
    assert "tensor<?x" in jax.export.export(solve)(some(shape[0]), some(*shape)).mlir_module()


@pytest.mark.float64_only
def test_members_that_devices_share_stay_where_they_are(monkeypatch):
    """A process with several devices gets a batch, in which each solves its own members."""
    monkeypatch.setattr(implicit, "one_processor", ONE_PROCESSOR)
    assert not ONE_PROCESSOR()
    mesh = jax.make_mesh((4,), ("member",), axis_types=(jax.sharding.AxisType.Auto,))
    rng = np.random.default_rng(3)
    given = rng.dirichlet(np.ones(37), 8), rng.random((8, 37, 30))  # a shape of its own: nothing is traced yet
    placed = jax.device_put(given, jax.sharding.NamedSharding(mesh, jax.sharding.PartitionSpec("member")))
    solve = jax.jit(jax.vmap(lambda source, distortion: blahut_arimoto(source, distortion, 4.0).lagrangian))
    assert "all-gather" not in solve.lower(*placed).compile().as_text()
    np.testing.assert_allclose(
        solve(*placed), [solve(*(part[None] for part in one))[0] for one in zip(*given, strict=True)]
    )


@pytest.mark.float64_only
def test_what_is_no_law_has_a_status_in_a_trace():
    sources, distortion = made(SHAPES["all at once"])
    found = jax.vmap(lambda source: interior_point(source, distortion, 4.0))(sources * np.array([[1, 1, -1, 1, 1]]).T)
    np.testing.assert_array_equal(found.status, [0, 0, 4, 0, 0])
    assert "a probability is" in found.message
    assert np.isnan(jax.vmap(capacity)(-np.eye(3)[None]).rate).all()


@pytest.mark.float64_only
def test_channels():
    channels = np.random.default_rng(2).dirichlet(np.ones(30), (3, 36))
    found = jax.vmap(capacity)(channels)
    np.testing.assert_allclose(found.rate, [capacity(channel).rate for channel in channels], atol=2e-6)


@pytest.mark.float64_only
def test_a_processor_holds_the_gram_matrix_of_one_member_and_an_accelerator_of_all():
    shape = SHAPES["one by one"]
    solve = jax.jit(jax.vmap(lambda source, distortion: interior_point(source, distortion, 4.0), (0, None)))
    of_all = f"{MEMBERS}x{shape[1]}x{shape[1]}"
    text = {
        platform: jax.export.export(solve, platforms=[platform])(*made(shape)).mlir_module()
        for platform in ("cpu", "cuda", "tpu")
    }
    assert f"tensor<{of_all}x" not in text["cpu"]
    assert f"tensor<{of_all}x" in text["cuda"]
    assert f"tensor<{of_all}x" in text["tpu"]
