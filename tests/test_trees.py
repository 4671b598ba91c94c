"""Pytrees of different classes are different structures, whatever their fields."""

import importlib
import itertools
import pathlib
import pkgutil
from dataclasses import dataclass
from functools import partial

import jax
import jax.numpy as jnp
import pytest

import rdjax
from rdjax.trees import register_dataclass

register = partial(register_dataclass, data_fields=["a"], meta_fields=["m"])


@register
@dataclass(frozen=True)
class Plus:
    a: jax.Array
    m: str


@register
@dataclass(frozen=True)
class Minus:
    a: jax.Array
    m: str


@pytest.mark.float64_only
def test_equal_fields_do_not_make_equal_structures():
    """JAX's own registration calls these two equal, and a compiled function may then take one for the other."""
    one, other = jax.tree.structure(Plus(1.0, "x")), jax.tree.structure(Minus(1.0, "x"))
    assert one != other
    assert one == jax.tree.structure(Plus(2.0, "x"))
    assert hash(one) == hash(jax.tree.structure(Plus(2.0, "x")))
    assert one != jax.tree.structure(Plus(1.0, "y"))


def test_they_trace_and_come_back(dtype):
    found = jax.jit(lambda node: jax.tree.map(jnp.cos, node))(Plus(jnp.zeros(2, dtype), "x"))
    assert isinstance(found, Plus)
    assert found.m == "x"
    assert jax.tree_util.tree_leaves_with_path(found)[0][0][0] == jax.tree_util.GetAttrKey("a")
    gradient = jax.grad(lambda node: jnp.sum(node.a**2))(Plus(jnp.ones(2, dtype), "x"))
    assert gradient.a.tolist() == [2.0, 2.0]


@pytest.mark.float64_only
def test_every_field_is_registered_once():
    with pytest.raises(TypeError, match="registered"):
        register_dataclass(Plus, ["a"], [])


@pytest.mark.float64_only
def test_no_module_registers_in_another_way():
    root = pathlib.Path(rdjax.__file__).parent
    for path in root.rglob("*.py"):
        assert path.name == "trees.py" or "tree_util.register" not in path.read_text(), path


@pytest.mark.float64_only
def test_all_registered_classes_differ():
    """With every field the number 0, by pairs."""
    modules = [
        importlib.import_module(m.name)
        for m in pkgutil.walk_packages(rdjax.__path__, "rdjax.")
        if "__main__" not in m.name
    ]
    classes = {
        kind
        for module in modules
        for kind in vars(module).values()
        if isinstance(kind, type) and kind.__module__.startswith("rdjax.") and hasattr(kind, "__dataclass_fields__")
    }
    structures = []
    for kind in sorted(classes, key=lambda k: (k.__module__, k.__qualname__)):
        blank = object.__new__(kind)
        for name in kind.__dataclass_fields__:
            object.__setattr__(blank, name, 0)
        structure = jax.tree.structure(blank)
        if structure != jax.tree.structure(0):  # else it is no pytree
            structures.append((kind, structure))
    assert len(structures) > 40
    for (one, a), (other, b) in itertools.combinations(structures, 2):
        assert a != b, (one, other)
