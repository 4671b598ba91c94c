"""Every public name says what it is, of which shapes, in which units, what it refuses, and where it is from."""

import importlib
import inspect

import jax
import pytest
from jax.typing import ArrayLike

from rdjax.checks import require
from tests import docstrings

pytestmark = pytest.mark.float64_only
FOLDERS = [
    "data",
    "information",
    "rate_distortion",
    "retrieval",
    "limits",
    "codes",
    "nn",
    "audit",
    "paper",
    "sweep",
    "report",
]


def public():
    """(where, object, its class or None) of every public function, class and method."""
    for folder in FOLDERS:
        package = importlib.import_module(f"rdjax.{folder}")
        for name in package.__all__:
            thing = getattr(package, name)
            if callable(thing):
                yield f"{folder}.{name}", thing, None
            for part, member in list(vars(thing).items()) if inspect.isclass(thing) else ():
                member = getattr(member, "__func__", member)
                if not part.startswith("_") and inspect.isfunction(member):
                    yield f"{folder}.{name}.{part}", member, thing


def test_every_public_name_says_what_a_stranger_has_to_know():
    found = [f"{where}: {words}" for where, thing, owner in public() for words in docstrings.complaints(thing, owner)]
    assert not found, "\n".join(found)


@pytest.mark.parametrize("folder", FOLDERS)
def test_public_names_are_all_there_once_and_in_order(folder):
    package = importlib.import_module(f"rdjax.{folder}")
    names = package.__all__
    assert len(set(names)) == len(names)
    assert all(hasattr(package, name) for name in names)
    if folder not in ("data", "codes"):  # those are in reading order, and say so
        assert list(names) == sorted(names, key=lambda name: (not name.isupper(), name[0].islower(), name))


def rate(law: ArrayLike, slope: float) -> jax.Array:
    """A bound on what a code must spend: R <= s.

    Args:
      law: what is sent.
      slope:
      power: of nothing.

    Returns:

    """
    require(slope > 0, "no.")
    return law


def test_what_is_left_unsaid_is_found(monkeypatch):
    monkeypatch.setattr(rate, "__module__", "rdjax.limits.bound")  # a file whose head says nothing of these
    assert set(docstrings.complaints(rate)) == {
        "it has an empty section or entry",
        "it does not say what slope is",
        "it does not say the shape of law",
        "it describes power, which it does not take",
        "it does not say bits or nats",
        "it does not say what it refuses",
        "it displays a formula without its source",
    }
    rate.__doc__ = "Empty words."
    assert "its first line says less than four words" in set(docstrings.complaints(rate))
