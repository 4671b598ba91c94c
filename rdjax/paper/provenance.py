"""Which source a result depends on: a hash of its modules and of all of rdjax that they import, however far down."""

import ast
import hashlib
from collections.abc import Iterable
from functools import lru_cache
from importlib.util import find_spec

PACKAGE = "rdjax"


def source_hash(modules: Iterable[str]) -> str:
    """SHA-256 over the source of the closure of the modules' imports within rdjax, inside functions too.

    Args:
      modules: their names, as `module.__name__` has them.

    Returns:
      hexadecimal digits; another whenever any of these files changes.
    """
    left, texts = list(modules), {}
    while left:
        name = left.pop()
        if name not in texts:
            texts[name], imported = _read(name)
            left += imported
    return hashlib.sha256("\0".join(f"{name}\0{texts[name]}" for name in sorted(texts)).encode()).hexdigest()


@lru_cache(maxsize=1024)
def _read(module: str) -> tuple[str, tuple[str, ...]]:
    """(a module's source, the modules of rdjax that it imports); nothing is executed but the packages it stands in."""
    spec = find_spec(module)
    text = spec.loader.get_source(module) if spec is not None else ""  # type: ignore[union-attr]
    names = []
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Import):
            names += [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom) and node.module is not None:
            names += [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
    own = {name for name in names if name.split(".")[0] == PACKAGE}
    return text, tuple(sorted(name for name in own if _is_module(name)))


def _is_module(name: str) -> bool:
    try:
        return find_spec(name) is not None
    except ModuleNotFoundError:  # a name of something within a module that is no package
        return False
