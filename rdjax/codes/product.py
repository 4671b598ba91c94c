"""Product and residual quantizers: codebooks of vectors for blocks of coefficients, one stage after another."""

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax.typing import ArrayLike

from rdjax.checks import require, whole
from rdjax.codes.arrays import fit_vectors
from rdjax.codes.blocks import Bits, Blocks, from_blocks, lay_out, to_blocks
from rdjax.codes.blockwise import encoded_in_blocks
from rdjax.codes.code import FixedLengthCode
from rdjax.codes.nearest_words import comparable
from rdjax.codes.residual import fit_stages, search, words_of
from rdjax.codes.transform import Transform, coefficient_blocks, fit_transform
from rdjax.codes.transformed import Transformed, tiles
from rdjax.codes.turning import turned_to_product
from rdjax.trees import register_dataclass

POINTS = 128  # vectors per word that codebooks are fitted on, at most
MOST_BEAM = 1 << 12


@partial(
    register_dataclass,
    data_fields=["transform", "codebooks"],
    meta_fields=["blocks", "table", "beam"],
)
@dataclass(frozen=True)
class ProductQuantizer(Transformed, FixedLengthCode):
    """Every block of coefficients to the sum of one word of each of its codebooks.

    One stage is product quantization (Jegou, Douze, Schmid 2011): the nearest word of every block. One block of many
    stages is residual quantization (Chen, Guan, Wang 2010), several blocks of several stages are a product of these.

    Args:
      transform: gives the k coefficients.
      codebooks: words [B, S, K, d]; zeros beyond a codebook's 2^bits words and beyond a block's d_b coefficients.
      blocks: coefficients of every block [B][d_b]; one that is in none decodes to the mean.
      table: bits of every codebook [B][S].
      beam: sums that the search keeps after every stage; of no effect on one stage.
    """

    transform: Transform
    codebooks: jax.Array
    blocks: Blocks
    table: Bits
    beam: int

    @classmethod
    def fit(
        cls,
        vectors: Any,
        bits: int | Sequence[int],
        *,
        k: int | None = None,
        transform: str | Transform = "pca",
        modalities: Sequence[int] | None = None,
        width: int = 8,
        blocks: int | None = None,
        grouping: str = "dealt",
        beam: int = 8,
        rounds: int = 0,
        turns: int = 0,
        steps: int = 25,
        points: int = POINTS,
        seed: int = 0,
    ) -> "ProductQuantizer":
        """Fit the transform, lay out blocks and bits, then the codebooks of every block.

        The transform sees all vectors. The codebooks see a sample without replacement of `points` vectors per word of
        the largest codebook (32,768 at 8 bits), which is read in blocks; beyond that more vectors change little.

        Args:
          vectors: [n, D]; those that are coded, simulated ones, or both.
          bits: in all, per item; or of every modality [M] (see `allocation` for rules).
          k: coefficients; None for as many as there are.
          transform: "pca", "coordinates" or "rotation", or one that is already fitted.
          modalities: coefficients of each [M], side by side in the transform; None for one modality.
          width: bits of a codebook at most, 1 to 12.
          blocks: of every modality at most; None for one of every codebook (a product), 1 for residual stages only.
          grouping: of coefficients into blocks, "dealt" or "contiguous"; see `blocks.lay_out`.
          beam: of the search where there are stages, 1 to 4,096.
          rounds: of joint refinement where there are stages. Four take 4% off the error of the vectors of the fit, and
            add 1% to that of others at 80 vectors per word: for corpora that are fitted on and coded whole.
          turns: rounds of turning the coefficients of one modality towards the codebooks (OPQ); 0 leaves them.
          steps: of k-means at most, after the 18 of its start that grows.
          points: vectors per word to fit codebooks on, at most.
          seed: of the rotation, the sample and k-means.

        Raises:
          InputError: if the budget, k, or the modalities do not fit the vectors or each other, or an option is out of
            range.
        """
        array = fit_vectors(vectors)
        beam, rounds, turns = _checked(beam, rounds, turns, points, steps)
        fitted = fit_transform(transform, array, k, seed=seed)
        shares = [*bits] if isinstance(bits, Iterable) else [bits]
        sizes = [fitted.k] if modalities is None else [*modalities]
        variances = np.asarray(fitted.variances, np.float64)
        members, table = lay_out(variances, sizes, shares, width=width, blocks=blocks, grouping=grouping)
        words = np.where(np.array(table) > 0, 1 << np.array(table), 0)
        sample = _sample(array, points * int(words.max()), seed)
        coefficients = _coefficients(fitted, sample)
        if turns:
            fitted, members = turned_to_product(fitted, coefficients, members, table, turns=turns, beam=beam, seed=seed)
            coefficients = _coefficients(fitted, sample)
        columns = to_blocks(coefficients, members)
        codebooks = fit_stages(columns, words, beam=beam, rounds=rounds, steps=steps, seed=seed)
        return cls(fitted, codebooks, members, table, beam)

    @property
    def name(self) -> str:
        """E.g. "PCA 64 + product 8 x 8 bits", "residual 4 x 8 bits", "PCA 64 + product 2 x residual 4 x 8 bits"."""
        num_blocks, stages = len(self.table), len(self.table[0])
        parts = [f"product {num_blocks} x"] if num_blocks > 1 or stages == 1 else []
        parts += [f"residual {stages} x"] if stages > 1 else []
        widths = set(self.widths)
        size = (
            f"{widths.pop()} bits" if len(widths) == 1 else f"{min(widths)} to {max(widths)} bits, {self.bits} in all"
        )
        kind = " ".join([*parts, size])
        return self._named(kind)

    @property
    def widths(self) -> tuple[int, ...]:
        """Bits of every symbol [B S], block by block."""
        return tuple(width for row in self.table for width in row)

    @property
    def encoder_bytes(self) -> int:
        """Transform and words; padding is not counted."""
        words = sum(
            len(block) * sum(1 << width for width in row if width)
            for block, row in zip(self.blocks, self.table, strict=True)
        )
        return self.transform.encoder_bytes + 4 * words

    def encode(self, vectors: ArrayLike) -> jax.Array:
        """Symbols of each vector, as in `Code.encode`; many vectors block by block, so that none are copied whole."""
        return encoded_in_blocks(self, vectors)

    def _encode(self, vectors: jax.Array) -> jax.Array:
        return self._searched(vectors, self.transform.apply)  # a tile's coefficients are used while they are near

    def _quantize(self, coefficients: jax.Array) -> jax.Array:
        return self._searched(coefficients, lambda rows: rows)

    def _searched(self, rows: jax.Array, analyzed: Callable[[jax.Array], jax.Array]) -> jax.Array:
        """Symbols of rows whose coefficients are `analyzed`, tile by tile."""
        compared = comparable(self.codebooks, 1 << jnp.array(self.table, jnp.int32))

        def tile(some: jax.Array) -> jax.Array:
            return search(self.codebooks, compared, to_blocks(analyzed(some).T, self.blocks), self.beam)

        symbols = jax.lax.map(tile, tiles(rows))  # [tiles, B, S, t]
        return jnp.moveaxis(symbols, 3, 1).reshape(-1, self.num_symbols)[: len(rows)]

    def _dequantize(self, symbols: jax.Array) -> jax.Array:
        def tile(rows: jax.Array) -> jax.Array:
            points = words_of(self.codebooks, rows.T.reshape(*self.codebooks.shape[:2], -1))
            return from_blocks(points, self.blocks, self.transform.k).T

        return jax.lax.map(tile, tiles(symbols)).reshape(-1, self.transform.k)[: len(symbols)]


def _checked(beam: int, rounds: int, turns: int, points: int, steps: int) -> tuple[int, int, int]:
    """Beam, rounds and turns as whole numbers that they can be; points and steps are asked as well."""
    require(whole(beam, "the beam") <= MOST_BEAM, f"the beam is {beam}; it must be at most {MOST_BEAM:,}.")
    whole(points, "the number of vectors per word")
    whole(steps, "the number of steps", least=0)
    return int(beam), whole(rounds, "the number of rounds", least=0), whole(turns, "the number of turns", least=0)


def _sample(array: np.ndarray, most: int, seed: int) -> np.ndarray:
    """Rows drawn without replacement, in their order; all where there are no more."""
    if len(array) <= most:
        return array
    return array[np.sort(np.random.default_rng(seed).choice(len(array), most, replace=False))]


def _coefficients(transform: Transform, vectors: np.ndarray) -> np.ndarray:
    """[k, n], on the host."""
    return np.concatenate([*coefficient_blocks(transform, vectors)]).T
