"""What a benchmark's figures come from, as one digest: its own file, and every file that that one imports or starts.

Followed through rdjax as well, so that a stored result outlives changes to packages that the benchmark never meets; a
benchmark that starts or installs rdjax as a whole has all of it. Files that are no Python are not looked at.
"""

import ast
import hashlib
import pathlib
import re
from collections.abc import Iterator


def sources(start: pathlib.Path, root: pathlib.Path, whole: bool = False) -> str:
    """SHA-256 of the names and contents of all files.

    Args:
      start: the benchmark; modules of its folder are found there.
      root: the checkout, where packages are found.
      whole: whether all of rdjax is among them, however it is reached.
    """
    waiting, found = [start, *(root.glob("rdjax/**/*.py") if whole else ())], set()
    while waiting:
        path = waiting.pop()
        if path not in found and path.is_file():
            found.add(path)
            waiting += _needed(path, start.parent, root)
    total = hashlib.sha256()
    for path in sorted(found):
        place = path.relative_to(root if path.is_relative_to(root) else start.parent).as_posix()
        total.update(f"{place} {len(path.read_bytes())}\n".encode() + path.read_bytes())
    return total.hexdigest()


def _needed(path: pathlib.Path, here: pathlib.Path, root: pathlib.Path) -> Iterator[pathlib.Path]:
    """Files that a file may import or start, and more names that are of none."""
    tree = ast.parse(path.read_text())
    for module in _modules(tree):
        parts = module.split(".")
        yield here / f"{module}.py"
        yield root.joinpath(*parts).with_suffix(".py")
        yield from (root.joinpath(*parts[:count], "__init__.py") for count in range(1, len(parts) + 1))
    on_first_use = path.name == "__init__.py" and path.parent.parent != root and "import_module" in path.read_text()
    yield from path.parent.glob("*.py") if on_first_use else ()


def _modules(tree: ast.Module) -> Iterator[str]:
    """Modules that are imported, anywhere in a file, or started as scripts."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import | ast.ImportFrom):
            above = getattr(node, "module", None)
            yield from ([above] if above else [])
            yield from (f"{above}.{one.name}" if above else one.name for one in node.names)
        elif isinstance(node, ast.Constant) and isinstance(node.value, str) and re.fullmatch(r"\w+\.py", node.value):
            yield node.value.removesuffix(".py")
