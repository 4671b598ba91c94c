"""Codes for those who serve without JAX: NumPy tables with a page that decodes them.

A transform's inverse is affine, x ~ offset + c rows, so <x, y> = <offset, y> + <c, rows y>: whoever serves may keep the
coefficients c alone and map the other side's vector y once.
"""

import re
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np

from rdjax.checks import InputError
from rdjax.codes.binary import SignBits, SignBitsRescored
from rdjax.codes.code import Code
from rdjax.codes.directional import Directional
from rdjax.codes.entropy_coded import EntropyCodedScalar
from rdjax.codes.exported_rankings import ranking_recipe
from rdjax.codes.integer import Int8
from rdjax.codes.learned import LearnedCode
from rdjax.codes.lengths import Renormalized
from rdjax.codes.product import ProductQuantizer
from rdjax.codes.randomized import DitheredScalar, UniformInCell
from rdjax.codes.recoded import EntropyCoded
from rdjax.codes.relevance_map import RelevanceMap
from rdjax.codes.scalar import ScalarQuantizer
from rdjax.codes.streams import narrowest
from rdjax.codes.transformed import Transformed
from rdjax.codes.trellis import TrellisCode
from rdjax.codes.truncation import Truncation
from rdjax.codes.wrapped import Weighted, Wrapped

Tables = dict[str, np.ndarray]
SYMBOLS, PAGE = "symbols", "README.md"
PRODUCTS = "Scores are inner products with the other side's vectors as they are: `vectors @ query`."
STAGES = (
    "These are the vectors that stand for the items; this code ranks in stages of its own, see its `scores` in rdjax."
)
SCORES_ALONE = "They are made for those products alone, and are no copies: their distances and cosines say nothing."
RANKED = "Row i of `rankings` numbers the documents as item i ranks them, from 0, best first."
_SIGNED = ", written by rdjax."


def code_tables(code: Code, symbols: Any) -> Tables:
    """What `readme` decodes from: the symbols, and what the code has fitted, by name.

    Args:
      code: any code that it knows (see `readme`).
      symbols: int [n, L], what it encoded.
    """
    symbols = np.asarray(code._host(symbols))
    return {SYMBOLS: narrowest(symbols), **_recipe(code, len(symbols))[0]}


def readme(code: Code, tables: Tables, stream: str = "") -> str:
    """A page that says what the tables are and decodes them in plain NumPy.

    Args:
      code: the code.
      tables: `code_tables` of it.
      stream: the name of the file that the symbols are of, if any.

    Raises:
      InputError: if it is a code that this does not know how to explain.
    """
    rows = "\n".join(f"| {name}.npy | {list(table.shape)} | {table.dtype} |" for name, table in tables.items())
    loads = [f'{name} = np.load("{name}.npy")' for name in tables]
    lines = "\n".join(["import numpy as np", "", *loads, *_recipe(code, len(tables[SYMBOLS]))[1]])
    return (
        f"# {code.name}\n\n{len(tables[SYMBOLS]):,} items of {code.dimension} dimensions{_SIGNED}\n\n"
        f"| file | shape | numbers |\n|---|---|---|\n{rows}\n\n"
        f"Row i of symbols.npy is item i{f' of {stream}' if stream else ''}. To decode, in this folder:\n\n"
        f"```python\n{lines}\n```\n\n"
        f"{_how_to_rank(code)}\n"
    )


def _how_to_rank(code: Code) -> str:
    if code.searches_corpus:
        return RANKED
    if not code.inner_products:
        return STAGES
    while isinstance(code, Wrapped):
        code = code.code
    mapped = isinstance(code, Transformed) and isinstance(code.transform, RelevanceMap)
    return f"{PRODUCTS} {SCORES_ALONE}" if mapped else PRODUCTS


def listed_tables(page: str) -> list[str] | None:
    """The file names of the tables that a page of `readme` is about; None, if it is no such page."""
    ours = re.match(rf"# .*\n\n[\d,]+ items of \d+ dimensions{re.escape(_SIGNED)}\n", page)
    return re.findall(r"^\| (\w+\.npy) \|", page, re.M) if ours else None


def listed_stream(page: str) -> str:
    """The name of the file that the symbols of such a page are of; "" if it names none."""
    found = re.search(r"^Row i of symbols\.npy is item i of (.+)\. To decode, in this folder:$", page, re.M)
    return found[1] if found else ""


def _recipe(code: Code, count: int) -> tuple[Tables, list[str]]:
    """(tables, lines of Python that make `vectors`, or `rankings`, of them and of `symbols` of so many items)."""
    if isinstance(code, EntropyCoded | LearnedCode | Directional):
        return _recipe(code.code, count)
    if code.searches_corpus:
        return ranking_recipe(code.code if isinstance(code, Weighted) else code)  # rankings have no vectors to weight
    if isinstance(code, Weighted):
        tables, lines = _recipe(code.code, count)
        return {**tables, "weights": np.asarray(code.weights)}, [*lines, "vectors = vectors * weights"]
    if isinstance(code, Renormalized):
        tables, lines = _recipe(code.code, count)
        stretch = [
            "lengths = np.linalg.norm(vectors, axis=1, keepdims=True)",
            "vectors = vectors * np.hypot(floor, gain * lengths) / np.where(lengths > 0, lengths, 1)",
        ]
        return {**tables, "floor": np.asarray(code.floor), "gain": np.asarray(code.gain)}, [*lines, *stretch]
    if isinstance(code, SignBitsRescored):
        line = f"vectors = (symbols[:, {code.dimension}:].astype(int) - 127) * scale"
        return {"scale": np.asarray(code.levels.scale)}, [f"{line}  # the first {code.dimension} are sign bits"]
    if isinstance(code, Int8):
        return {"scale": np.asarray(code.scale)}, ["vectors = (symbols.astype(int) - 127) * scale"]
    if not isinstance(code, Transformed):
        raise InputError(f"{code.name} has no recipe in plain NumPy; decode it with rdjax.")
    tables, lines = _coefficients(code, count)
    rows, offset = affine_inverse(code.transform)
    return {**tables, "rows": rows, "offset": offset}, [*lines, "vectors = c @ rows + offset"]


def _coefficients(code: Code, count: int) -> tuple[Tables, list[str]]:
    """The same for `c`, the coefficients that a transform's inverse takes."""
    if isinstance(code, ScalarQuantizer | EntropyCodedScalar):
        line = "c = np.take_along_axis(levels, symbols.T.astype(int), axis=1).T"
        return {"levels": np.asarray(code.levels)}, [line]
    if isinstance(code, DitheredScalar | UniformInCell):
        sign = "-" if isinstance(code, DitheredScalar) else "+"
        tables = {"lowest": np.asarray(code.lowest), "step": np.asarray(code.step)}
        tables["draws"] = np.asarray(code._draws(count))  # by item: row i belongs to row i of the symbols
        return tables, [f"c = (symbols.astype(int) + lowest {sign} draws) * step"]
    if isinstance(code, ProductQuantizer):
        return {"codebooks": np.asarray(code.codebooks), "members": block_members(code)}, [
            "c = np.zeros((len(symbols), len(rows)), codebooks.dtype)",
            "for b, (block, places) in enumerate(zip(codebooks, members)):  # of coefficients; -1 is none",
            "    for s, words in enumerate(block):",
            "        c[:, places[places >= 0]] += words[symbols[:, b * len(block) + s]][:, places >= 0]",
        ]
    if isinstance(code, TrellisCode):
        parts, mask = -(-code.window // code.width), (1 << code.window) - 1
        lines = [
            f"ring = sum(np.roll(symbols.astype(int), j, axis=1) << {code.width} * j for j in range({parts})) & {mask}",
            "c = words[ring].reshape(len(symbols), -1) * spread",
        ]
        return {"words": np.asarray(code.words), "spread": np.asarray(code.spread)}, lines
    if isinstance(code, SignBits):
        return {"scale": np.asarray(code.scale)}, ["c = np.where(symbols == 1, scale, -scale)"]
    if isinstance(code, Truncation):
        whole = {"float16": "uint16", "float32": "int32"}[code.store]
        return {}, [f"c = symbols.astype(np.{whole}).view(np.{code.store}).astype(np.{np.dtype(code.dtype)})"]
    raise InputError(f"{code.name} has no recipe in plain NumPy; decode it with rdjax.")


def block_members(code: ProductQuantizer) -> np.ndarray:
    """The coefficients of every block, int32 [B, d], -1 beyond its own."""
    d = code.codebooks.shape[3]
    return np.array([[*block, *[-1] * (d - len(block))] for block in code.blocks], np.int32)


def affine_inverse(transform: Any) -> tuple[np.ndarray, np.ndarray]:
    """(rows [k, D], offset [D]) of a transform: invert(c) = c rows + offset."""
    basis = jnp.eye(transform.k, dtype=transform.mean.dtype)
    # Differences invert(c) - invert(0) would lose the rows' digits where the mean is large.
    offset, rows = jax.jvp(transform.invert, (jnp.zeros_like(basis),), (basis,))
    return np.asarray(rows), np.asarray(offset)[0]
