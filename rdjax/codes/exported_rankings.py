"""Rank codes for those who serve without JAX: what makes a ranking of a codeword, in plain NumPy."""

import numpy as np

from rdjax.checks import InputError
from rdjax.codes.code import Code
from rdjax.codes.rank import RankCode
from rdjax.codes.rank_cells import CellRankCode
from rdjax.codes.rank_designed import DesignedRankCode
from rdjax.codes.rank_mapped import MappedRankCode

RANKINGS = "rankings = np.array([ranking(symbol) for symbol in symbols[:, 0]])"


def ranking_recipe(code: Code) -> tuple[dict[str, np.ndarray], list[str]]:
    """(tables, lines of Python that make `rankings` [n, N] of them and of `symbols`): documents, best first.

    Raises:
      InputError: a code that is none of rankings.
    """
    if isinstance(code, MappedRankCode):
        return ranking_recipe(code.code)  # whose documents are coefficients
    if isinstance(code, DesignedRankCode):
        return {"orders": np.asarray(code.orders)}, ["rankings = orders[symbols[:, 0]]"]
    if isinstance(code, RankCode):
        return {"documents": np.asarray(code.documents)}, [
            "",
            "def after(named, to):",
            "    near = np.argsort(-(documents @ to), kind='stable')",
            "    return np.concatenate([named, near[~np.isin(near, named)]])",
            "",
            "def ranking(symbol):",
            "    row, first = divmod(int(symbol), len(documents))",
            "    near = after([first], documents[first])",
            "    if row == 0:",
            "        return near",
            "    return after([first, near[1 + row]], documents[first] + documents[near[1 + row]])",
            "",
            RANKINGS,
        ]
    if isinstance(code, CellRankCode):
        names = ("documents", "cells", "places", "centers")
        return {name: np.asarray(getattr(code, name)) for name in names}, [
            "",
            "def ranking(symbol):",
            "    near = np.argsort(-(documents @ centers[symbol]), kind='stable')",
            "    inside = np.flatnonzero(cells == symbol)",
            "    return np.concatenate([inside[np.argsort(places[inside])], near[cells[near] != symbol]])",
            "",
            RANKINGS,
        ]
    raise InputError(f"{code.name} has no recipe in plain NumPy; decode it with rdjax.")
