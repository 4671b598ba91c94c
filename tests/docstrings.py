"""What a public docstring of this house has to say, and what one leaves unsaid; read from sources and signatures.

    first line    what it is, in words or as a formula
    Args          every parameter, and the shape of an array
    Returns       bits or nats, where that is what comes out
    Raises        where its own code, or a check that it calls, refuses its input
    Source        where it displays a formula: a book, an article, the theory notes, a theorem

Said once is enough: a name in backticks, a base class or the head of the file may say it in its place.
"""

import ast
import collections.abc
import functools
import inspect
import re
import sys
import textwrap
import typing

import jax
import numpy as np

HEADING = re.compile(r"^(Args|Returns|Raises|Gradients|Source): ?(.*)$")
SHAPE = re.compile(r"\[[^\]]*\]|\bshapes?\b|\bscalar|\bnumber\b|\bfunction of\b")
REST = r"(?:\[[^\]]*\]|[^.;])*"  # of a part of a sentence
UNIT = re.compile(r"\b(bits?|nats)\b")
MEASURED = re.compile(r"(^|_)(rate|entropy|information|bits|kl|nwj|infonce|varadhan)($|_)")
SOURCE = re.compile(r"\b(1[89]|20)\d\d\b|theory notes|[Tt]heorem|paper\b|Cover and Thomas|Cauchy-Schwarz")
PUBLISHED = re.compile(r"rdjax\.(limits|rate_distortion|information|codes|nn|paper)\b")  # others are definitions
HIDDEN = ("self", "cls", "key", "args", "kwargs")


def sections(text):
    """Docstring -> {"": what stands outside all sections, "Args": ..., ...}."""
    found, now = {"": ""}, ""
    for line in text.splitlines():
        heading = HEADING.match(line)
        if heading:
            now = heading[1]
            found[now] = found.get(now, "") + heading[2] + "\n"
        else:
            now = now if not line or line.startswith(" ") or now in ("Source", "Gradients") else ""
            found[now] += line + "\n"
    return found


def entries(text):
    """The section Args -> {parameter: what is said of it}; several may stand on a line, parted by semicolons."""
    found = {}
    for block in re.split(r"\n(?=  \S)", "\n" + text):
        pieces = re.split(r"(?:^|; )(\**[a-z]\w*(?:, \**[a-z]\w*)*): ", block.strip())
        for names, said in zip(pieces[1::2], pieces[2::2], strict=True):
            found.update({name.strip(" *"): " ".join(said.split()) for name in names.split(",")})
    return found


def parameters(obj):
    """name -> annotation of what a user passes: of a class, to its __init__."""
    signature = inspect.signature(obj.__init__ if inspect.isclass(obj) else obj)
    return {
        name: parameter.annotation
        for name, parameter in signature.parameters.items()
        if name not in HIDDEN and not name.startswith("_")
    }


def named_by(obj, owner=None, depth=2):
    """Bases, what the docstring names in backticks, and what that names, as far as it is of this library."""
    yield from (base for base in getattr(obj, "__mro__", ())[1:] if base.__module__.startswith("rdjax"))
    space = {**vars(sys.modules[obj.__module__]), **vars(sys.modules[obj.__module__.rpartition(".")[0]])}
    space.update({name: getattr(owner, name) for name in dir(owner)} if owner else {})
    for name in re.findall(r"`(?:rdjax\.)?([\w.]+)`", inspect.getdoc(obj) or ""):
        head, *rest = name.split(".")
        found = functools.reduce(lambda at, part: getattr(at, part, None), rest, space.get(head))
        if callable(found) and getattr(found, "__module__", "").startswith("rdjax") and found is not obj:
            yield found
            yield from named_by(found, owner, depth - 1) if depth > 1 else ()


@functools.cache
def refuses(function, depth=0):
    """Whether its own code raises InputError, or calls a check or a private helper that does."""
    tree = ast.parse(textwrap.dedent(inspect.getsource(function)))
    called = {ast.unparse(node.func) for node in ast.walk(tree) if isinstance(node, ast.Call)}
    if called & {"require", "InputError", "checks.require", "checks.InputError"}:
        return True
    space = getattr(function, "__globals__", {})
    for name in called:
        head, _, rest = name.partition(".")
        found = getattr(space.get(head), rest, None) if rest else space.get(head)
        inner = inspect.unwrap(found) if callable(found) else None
        ours = inspect.isfunction(inner) and (inner.__module__ == "rdjax.checks" or inner.__name__.startswith("_"))
        if ours and depth < 3 and refuses(inner, depth + 1):
            return True
    return False


def _is_array(annotation):
    parts = () if typing.get_origin(annotation) is collections.abc.Callable else typing.get_args(annotation)
    return any(part in (jax.Array, np.ndarray) for part in (annotation, *parts))


def _on_parameters(obj, owner, own, near, head):
    text, taken = inspect.getdoc(obj), parameters(obj)
    prose = " ".join(sections(inspect.getdoc(one) or "")[""] for one in (obj, *near))
    others = [entries(sections(inspect.getdoc(other) or "").get("Args", "")) for other in near]
    loose = re.search(r"[Ss]calars|shapes? of|equal shapes|broadcast", text if inspect.isclass(obj) else head)
    for name, annotation in taken.items():
        what = [where[name] for where in (own, *others) if where.get(name)]
        what += re.findall(rf"(?:`{name}`|\b{name}\[){REST}", text + head)
        if owner or inspect.isclass(obj):  # short ones are one sentence with the names in it
            word = name if f"`{name}`" in prose else name.replace("_", " ").rstrip("s") + r"\w*"
            what += re.findall(rf"\b{word}\b{REST}", prose, re.IGNORECASE)
        if not what:
            yield f"it does not say what {name} is"
        elif _is_array(annotation) and not loose and not any(SHAPE.search(words) for words in what):
            yield f"it does not say the shape of {name}"
    first = entries(re.sub(r"; \w+: ", " ", sections(text).get("Args", "")))
    yield from (f"it describes {name}, which it does not take" for name in sorted({*first} - {*taken, *HIDDEN}))


def complaints(obj, owner=None):
    """Sentences on what the docstring of a public function, class, or method of `owner` leaves unsaid."""
    text, head = inspect.getdoc(obj) or "", inspect.getdoc(sys.modules[obj.__module__]) or ""
    found, near, function = sections(text), list(named_by(obj, owner)), inspect.unwrap(obj)
    own, said = entries(found.get("Args", "")), [text, head, *(inspect.getdoc(other) or "" for other in near)]
    if len(re.findall(r"\w+", text.split("\n")[0])) < 4:
        yield "its first line says less than four words"
    if not all(re.search(r"\w", words) for words in [*own.values(), *(v for k, v in found.items() if k)]):
        yield "it has an empty section or entry"
    yield from _on_parameters(obj, owner, own, near, head)
    if inspect.isfunction(function):
        if MEASURED.search(function.__name__) and not any(UNIT.search(words) for words in said):
            yield "it does not say bits or nats"
        if refuses(function) and not any(re.search(r"Raises:|[Ee]rrors (as|in)|InputError", words) for words in said):
            yield "it does not say what it refuses"
    displayed = any(line.startswith("    ") and "=" in line for line in found[""].splitlines()[1:])
    published = PUBLISHED.match(obj.__module__) and (displayed or "<=" in text.split("\n")[0])
    if published and not any(SOURCE.search(words) for words in said):
        yield "it displays a formula without its source"
