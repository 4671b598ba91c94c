"""Encoders that look for the direction of a vector: its length is told by no ranking of inner products."""

from dataclasses import dataclass, replace
from functools import partial
from typing import Any, cast

import jax
import jax.numpy as jnp
from jax import lax
from jax.typing import ArrayLike

from rdjax.checks import require
from rdjax.codes.blockwise import encoded_in_blocks
from rdjax.codes.code import Code
from rdjax.codes.lengths import Renormalized, stretched
from rdjax.codes.transformed import Transformed
from rdjax.codes.wrapped import Wrapped, require_code
from rdjax.trees import register_dataclass

ROUNDING = 1e-5  # of cosines; what a search gains is a thousand times as much
GAINS = (1.0, 0.8, 1.25, 1.6, 2.0)  # the first is the inner code's own choice, kept where no other is better


@partial(register_dataclass, data_fields=["code"], meta_fields=[])
@dataclass(frozen=True)
class Directional(Wrapped):
    """A code whose encoder says what points most nearly where a vector does, and not what is nearest to it:

        encode(x) = argmax over s_g of cos(h(c), h(w(s_g))),   s_g = quantize(g c),   g in `GAINS`

    with c the coefficients of x by the code's transform, w(s) those that symbols s stand for, and h what gives them
    their direction (`Transform.heading`): on a `RelevanceMap` themselves, else what they decode to, mean included. A
    decoded query ranks alike whatever its length, and so do documents that are given one length again (`Renormalized`
    around this). For fixed words w the largest cosine with c is at the least of |g c - w| over all g: so each gain is
    a search that the inner code has already. No bit is spent on it, and the decoder is the inner one; searches take
    five times as long. It is worth most where coefficients are shorter than those that words were fitted on: of
    vectors that the fit has not seen less lies in the directions that it found.

    Args:
      code: of fixed length, that codes coefficients of a transform and ranks by inner products.

    Source: gain and shape, Gersho and Gray 1992, section 12.10.
    """

    code: Code

    @classmethod
    def fit(cls, code: Code) -> "Directional":
        """Nothing is fitted: the encoder looks for directions with the words there are.

        Args:
          code: as above.

        Raises:
          InputError: a code that is none of these.
        """
        require_code(code)
        require(
            has_directions(code),
            f"{code.name} is no code of fixed length on a transform that ranks by inner products; its encoder cannot "
            f"look for directions.",
        )
        return cls(code)

    @property
    def name(self) -> str:
        """E.g. "relevance 128 + residual 2 x 8 bits, by direction"."""
        return f"{self.code.name}, by direction"

    def encode(self, vectors: ArrayLike) -> jax.Array:
        """As `Code.encode`; many vectors block by block."""
        return encoded_in_blocks(self, vectors)

    def _shared(self) -> "Directional":
        return Directional(self.code._shared())

    def _encode(self, vectors: jax.Array) -> jax.Array:
        code = cast(Transformed, self.code)  # `fit` asks for one
        coefficients = code._analyzed(vectors)
        aim = code.transform.heading(coefficients)

        def tried(gain: jax.Array) -> tuple[jax.Array, jax.Array]:
            symbols = code._quantize(gain * coefficients)
            return symbols, likeness(aim, code.transform.heading(code._dequantize(symbols)))

        symbols, alike = lax.map(tried, jnp.asarray(GAINS, coefficients.dtype))
        return jnp.take_along_axis(symbols, best_gain(alike)[None, :, None], axis=0)[0]


def likeness(points: jax.Array, words: jax.Array) -> jax.Array:
    """|point| times the cosine of the point and its word, both [n, k]; 0 for a word of zeros."""
    return jnp.sum(points * stretched(words, 1.0, 0.0), axis=1)


def best_gain(alike: jax.Array) -> jax.Array:
    """Number [n] of the gain of the largest likeness [G, n]: the first, if no other is better by more than rounding."""
    first = alike[0] + ROUNDING * jnp.abs(alike[0])
    return jnp.argmax(jnp.concatenate([first[None], alike[1:]]), axis=0)


def has_directions(code: Any) -> bool:
    """Whether an encoder of this code can look for directions."""
    return isinstance(code, Transformed) and code.bits is not None and code.inner_products


def quantizer_of(code: Code) -> Code:
    """What is inside of `Directional` and `Renormalized`: what coefficients are coded by."""
    return quantizer_of(code.code) if isinstance(code, Directional | Renormalized) else code


def around(code: Code, quantizer: Code) -> Code:
    """The code with another quantizer in it."""
    if isinstance(code, Directional | Renormalized):
        return replace(code, code=around(code.code, quantizer))
    return quantizer
