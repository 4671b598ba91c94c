"""Frozen dataclasses as pytrees whose structures tell their classes apart.

`jax.tree_util.register_dataclass` of JAX 0.10 does not: structures of two classes with equal static fields compare
equal (with different hashes), so that now and then a compiled function runs the program of the other class. Seen here:
the decoder of one quantizer run for another, in one process of six. So the class is part of the structure.
"""

import dataclasses
from collections.abc import Sequence
from typing import Any, TypeVar

import jax

Class = TypeVar("Class", bound=type)


def register_dataclass(
    nodetype: Class, data_fields: Sequence[str] | None = None, meta_fields: Sequence[str] = ()
) -> Class:
    """Make a dataclass a pytree; to be used as a decorator above `@dataclass`.

    Args:
      nodetype: the dataclass.
      data_fields: arrays and pytrees, which are traced; None: all fields but `meta_fields`.
      meta_fields: static: hashable, compared by value, part of the structure.

    Returns:
      the class itself.

    Raises:
      TypeError: the two do not name every field once.
    """
    names = [field.name for field in dataclasses.fields(nodetype) if field.init]
    meta = tuple(meta_fields)
    data = tuple(name for name in names if name not in meta) if data_fields is None else tuple(data_fields)
    if sorted(data + meta) != sorted(names):
        raise TypeError(f"{nodetype.__name__} has the fields {names}, but {[*data, *meta]} are registered.")

    def flatten(node: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        return tuple(getattr(node, name) for name in data), (nodetype, *(getattr(node, name) for name in meta))

    def flatten_with_keys(node: Any) -> tuple[tuple[Any, ...], tuple[Any, ...]]:
        children, structure = flatten(node)
        return tuple(zip(map(jax.tree_util.GetAttrKey, data), children, strict=True)), structure

    def unflatten(structure: tuple[Any, ...], children: Any) -> Any:
        return nodetype(**dict(zip(meta, structure[1:], strict=True)), **dict(zip(data, children, strict=True)))

    jax.tree_util.register_pytree_with_keys(nodetype, flatten_with_keys, unflatten, flatten)
    return nodetype
