"""MappedRankCode: a rank code whose encoder searches along the directions of relevance (class A)."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import numpy as np

from rdjax.checks import whole
from rdjax.codes.arrays import fit_vectors
from rdjax.codes.query_model import QueryModel
from rdjax.codes.rank import RankCode, RankingCode
from rdjax.codes.rank_designed import DesignedRankCode
from rdjax.codes.relevance_map import RelevanceMap, fit_relevance_map
from rdjax.codes.transform import coefficient_blocks
from rdjax.codes.wrapped import Wrapped
from rdjax.trees import register_dataclass


@partial(register_dataclass, data_fields=["code", "asked", "shown"], meta_fields=[])
@dataclass(frozen=True)
class MappedRankCode(Wrapped):
    """Rankings of a corpus whose queries and documents are both seen in units of the noise between them.

    Where a query's noise differs by direction, inner products of raw vectors are not the likeliest ranking, and those
    of these coefficients come nearer to it: so such a code may rank better than uncompressed search does.

    Args:
      code: a rank code for coefficients.
      asked: from queries to coefficients.
      shown: from documents to theirs.
    """

    code: RankingCode
    asked: RelevanceMap
    shown: RelevanceMap

    @classmethod
    def fit(
        cls,
        documents: Any,
        codewords: int,
        model: QueryModel,
        *,
        k: int = 512,
        draws: int = 16,
        temperature: float = 1.0,
        seed: int = 0,
    ) -> "MappedRankCode":
        """Rankings designed for simulated queries; from N codewords on the top document and what follows.

        Args:
          documents: the corpus [N, D].
          codewords: L; as `DesignedRankCode` (1 to 65,536) below N, as `RankCode` from N on.
          model: of the queries.
          k: directions, at most; fewer where the documents do not span so many.
          draws: queries simulated for each document.
          temperature: of the posterior; 1 if the model is true, more where real queries lie farther off.
          seed: of the simulation and the rankings to start from.

        Raises:
          InputError: as the maps, `DesignedRankCode` and `RankCode` do.
        """
        array, codewords = fit_vectors(documents), whole(codewords, "the number of codewords")
        k = max(1, min(whole(k, "the number of directions"), array.shape[1], len(array) - 1))
        asked, shown = (fit_relevance_map(model, array, k, side=side) for side in ("queries", "documents"))
        mapped = lambda chart, rows: np.concatenate([*coefficient_blocks(chart, rows)])
        places = mapped(shown, array)
        if codewords >= len(array):
            return cls(RankCode.fit(places, codewords, temperature=temperature), asked, shown)
        queries = mapped(asked, model.simulate(array, draws, seed=seed))
        code = DesignedRankCode.fit(places, codewords, queries, temperature=temperature, seed=seed)
        return cls(code, asked, shown)

    @property
    def name(self) -> str:
        """E.g. "relevance 512 + 256 designed rankings"."""
        return f"{self.asked.label} + {self.code.name}"

    @property
    def dimension(self) -> int:
        """D."""
        return self.asked.mean.shape[0]

    @property
    def encoder_bytes(self) -> int:
        """The inner code's, with the documents' coefficients for the corpus, and the queries' map."""
        return self.code.encoder_bytes + self.asked.encoder_bytes

    def _encode(self, vectors: jax.Array) -> jax.Array:
        return self.code._encode(self.asked.apply(vectors))

    def _decode(self, symbols: jax.Array) -> jax.Array:
        return self.asked.invert(self.code._decode(symbols))

    def _scores(self, symbols: jax.Array, vectors: jax.Array) -> jax.Array:
        return self.code._scores(symbols, self.shown.apply(vectors))
