"""One array of vectors from a file of its own: .npy, or .safetensors with one matrix in it."""

import os
from pathlib import Path

import numpy as np

from rdjax.checks import numeric_matrix, require
from rdjax.data.keys import BF16, SIDES, canonical
from rdjax.data.reading import read_npy
from rdjax.data.stored import from_bfloat16
from rdjax.data.tensors import open_tensors

FILES = (".npy", ".safetensors")


def is_one_array(path: str | os.PathLike[str]) -> bool:
    """Whether a file is for `load_vectors`: .npy, or .safetensors without keys of both documents and queries.

    Raises:
      InputError: a .safetensors file that is not there or damaged.
    """
    kind = Path(path).suffix
    if kind != ".safetensors":
        return kind in FILES
    sides = {str(canonical(key)).partition(".")[0] for key in open_tensors(str(path))}
    return not sides >= set(SIDES)


def load_vectors(path: str | os.PathLike[str]) -> np.ndarray:
    """The vectors [n, D] of a .npy or .safetensors file as a read-only memory map, or float32 if they are bfloat16.

    Args:
      path: of the file; a .safetensors file holds one array of two dimensions and no other of that kind. bfloat16 in a
        .npy file is called NAME.bf16.npy.

    Raises:
      InputError: a missing or damaged file, objects, anything that is not a matrix of finite numbers, or several
        matrices.
    """
    where, kind = str(path), Path(path).suffix
    require(kind in FILES, f"{where} is no array file; give .npy or .safetensors.")
    array, key = (read_npy(where), Path(path).stem) if kind == ".npy" else _only_matrix(where)
    if key.endswith(BF16):
        array = from_bfloat16(array, where)
    numeric_matrix(array, where)
    return array


def _only_matrix(path: str) -> tuple[np.ndarray, str]:
    """The one matrix of the file, in place, and its key."""
    tensors = open_tensors(path)
    matrices = {key: tensor for key, tensor in tensors.items() if len(tensor.shape) == 2}
    named = ", ".join(list(matrices)[:5]) or "none"
    require(len(matrices) == 1, f"{path} holds {len(matrices)} matrices ({named}); save the one to use alone.")
    key, tensor = matrices.popitem()
    return tensor.read(), key
