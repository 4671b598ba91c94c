"""The house rules that a machine can hold: floors, sizes, names, light imports, the README's commands."""

import ast
import pathlib
import re
import subprocess
import sys
import tomllib

import pytest

import rdjax

pytestmark = pytest.mark.float64_only
ROOT = pathlib.Path(__file__).parent.parent
FILES = sorted((ROOT / "rdjax").rglob("*.py"))


def test_floors():
    """import-linter: a file imports from floors below its own."""
    script = "from importlinter.cli import lint_imports; import sys; sys.exit(lint_imports(no_cache=True))"
    done = subprocess.run([sys.executable, "-c", script], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr


def test_every_file_is_in_the_list_of_its_folder():
    """Where a folder has one in pyproject.toml; what stands in no list may import from anywhere."""
    found = tomllib.loads((ROOT / "pyproject.toml").read_text())["tool"]["importlinter"]["contracts"]
    listed = {name.strip() for contract in found for layer in contract["layers"] for name in layer.split("|")}
    folders = {name.rsplit(".", 1)[0] for name in listed}
    for path in FILES:
        *folder, name = path.relative_to(ROOT).with_suffix("").parts
        if ".".join(folder) in folders and not name.startswith("__"):
            assert ".".join([*folder, name]) in listed, path


@pytest.mark.parametrize("path", FILES, ids=lambda p: str(p.relative_to(ROOT)))
def test_files_under_300_lines_and_functions_under_40(path):
    text = path.read_text()
    assert text.count("\n") <= 300
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.FunctionDef):
            first = node.body[0]
            documented = isinstance(first, ast.Expr) and isinstance(getattr(first, "value", None), ast.Constant)
            start = first.end_lineno if documented else node.lineno
            assert node.end_lineno - start <= 40, f"{node.name} has {node.end_lineno - start} lines"


def test_no_module_shares_its_name_with_a_function_in_it():
    allowed = {"audit", "emoji", "flickr30k"}  # named in the design
    for path in FILES:
        names = {node.name for node in ast.parse(path.read_text()).body if isinstance(node, ast.FunctionDef)}
        assert path.stem not in names - allowed, path


def test_every_public_name_is_documented():
    for path in FILES:
        tree = ast.parse(path.read_text())
        assert ast.get_docstring(tree), path
        for node in tree.body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{path}: {node.name}"


def test_what_is_cited_of_the_theory_notes_is_there():
    there = set(re.findall(r"^##+ (\d+(?:\.\d+)?)", (ROOT / "rdjax" / "paper" / "theory.md").read_text(), re.M))
    cited = 0
    for path in FILES:
        text = " ".join(path.read_text().split())
        for words in re.findall(r"[tT]heory notes, sections? ([\d.]*\d(?:,? (?:and|to) [\d.]*\d)*)", text):
            numbers = re.findall(r"\d+(?:\.\d+)?", words)
            cited += len(numbers)
            assert there.issuperset(numbers), f"{path}: section {words}"
    assert cited > 50


@pytest.mark.parametrize(
    ("statement", "absent"),
    [
        ("import rdjax", ("jax", "numpy")),
        ("import rdjax.cli", ("jax", "numpy", "matplotlib")),
        ("import rdjax.data", ("jax",)),
        ("import rdjax.retrieval, rdjax.limits", ("flax", "orbax", "optax", "matplotlib", "scipy.stats")),
    ],
)
def test_imports_stay_light(statement, absent):
    script = f"{statement}\nimport sys\nprint([name for name in {absent!r} if name in sys.modules])"
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_the_readme_gives_the_commands_that_ci_runs():
    readme = (ROOT / "README.md").read_text()
    commands = [line for line in readme.splitlines() if line.startswith("python3 -m venv .venv && ")]
    assert len(commands) == 2
    assert commands[0].endswith("rdjax audit")
    assert "-m pytest" in commands[1]
    assert 'grep -F -- "-m pytest" README.md' in (ROOT / ".ci" / "run").read_text()


def test_one_version_everywhere():
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())
    version = project["project"]["version"]
    assert rdjax.__version__ == version
    assert re.search(r"^version: (.*)$", (ROOT / "CITATION.cff").read_text(), re.M)[1] == version
    assert re.search(r"^## \[(.*?)\]", (ROOT / "CHANGELOG.md").read_text(), re.M)[1] == version
    listed = project["tool"]["hatch"]["build"]["targets"]["sdist"]["include"]
    assert all((ROOT / name).exists() for name in listed)


def test_files_that_contributing_names_are_there():
    text = (ROOT / "CONTRIBUTING.md").read_text()
    named = set(re.findall(r"`((?:rdjax|tests|benchmarks)/[\w/]+\.py)`", text))
    assert len(named) >= 10
    assert not [name for name in named if not (ROOT / name).exists()]
