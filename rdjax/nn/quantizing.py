"""Quantizers inside a model, and what their symbols cost: Flax modules over `rdjax.codes.relaxed`."""

from typing import Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax.typing import ArrayLike, DTypeLike

from rdjax.checks import is_concrete, numbers, require, whole
from rdjax.codes import Code
from rdjax.codes.arrays import fit_vectors
from rdjax.codes.relaxed import cell_bits, nearest_word, noisy, rounded
from rdjax.nn.coded import code_of_steps, code_of_words
from rdjax.nn.critics import require_size

KINDS = ("scalar", "product", "residual")


class Quantized(NamedTuple):
    """Decoded values [..., D]; symbols: of a scalar quantizer floats [..., D], else words int [..., B, S]; shares of
    words [..., B, S, K], of a scalar quantizer [..., D, 0]."""

    values: jax.Array
    symbols: jax.Array
    shares: jax.Array


class Quantizer(nnx.Module):
    """Vectors to what a decoder gets of them, with gradients: steps or words are learned.

    scalar: every component to a multiple of its step, without bound; its bits are those of an `EntropyModel`.
    product: every block of D / B components to one of 2^bits words. residual: S words, added up, of the whole vector.
    Called with `key` a scalar quantizer adds noise in place of rounding; all others, and all without, are
    straight-through: the hard value, a soft gradient.

    Args:
      size: D.
      kind: scalar, product or residual.
      bits: of a word, 1 to 12; B * S * bits in all.
      parts: B of a product, S of a residual quantizer.
      step: of a scalar quantizer, to begin with, or one for each component; above 0, as softness. None: 1.
      scale: of words, their standard deviation to begin with, of each stage half that of the one before. None: 1. Words
        far larger than what is coded never come to be the nearest: unit vectors have components of 1 / sqrt(D).
        `quantizer.words[...] = fitted.codebooks` begins with the words of a `ProductQuantizer` of these coordinates.
      softness: of words, see `nearest_word`; relative to the mean square of the words.
      rngs: params, for the words to begin with, which are normal.
      dtype: of words, and of what steps come to; steps are learned as logarithms in float32 at least, as in half
        precision a step of learning is lost. (It is Flax's `param_dtype`.)

    Raises:
      InputError: an unknown kind, sizes out of range, blocks that do not divide D, a step of words or a scale of steps.
    """

    def __init__(
        self,
        size: int,
        *,
        kind: str = "scalar",
        bits: int = 8,
        parts: int = 1,
        step: ArrayLike | None = None,
        scale: float | None = None,
        softness: float = 0.1,
        rngs: nnx.Rngs,
        dtype: DTypeLike = jnp.float32,
    ):
        require(kind in KINDS, f"the kind is {kind!r}; it must be one of {', '.join(KINDS)}.")
        whole(size, "the size")
        whole(parts, "parts")
        numbers(softness, "the softness", 0, ends=False)
        self.kind, self.softness, self.size, self.dtype = kind, softness, size, jnp.dtype(dtype)
        spare, other = ("scale", scale) if kind == "scalar" else ("step", step)
        require(other is None, f"a {kind} quantizer has no {spare}; leave it out.")
        if kind == "scalar":
            step = 1.0 if step is None else step
            numbers(step, "the step", 0, ends=False)
            steps = jnp.asarray(step, jnp.promote_types(dtype, jnp.float32))
            good = steps.shape in ((), (size,))
            require(good, f"the step has shape {steps.shape}; give one number, or {size} of them.")
            self.log_step = nnx.Param(jnp.broadcast_to(jnp.log(steps), size))
            return
        require(1 <= whole(bits, "bits") <= 12, f"a word has {bits} bits; it must have 1 to 12.")
        require(
            kind == "residual" or size % parts == 0, f"{parts} blocks do not divide {size} components; choose others."
        )
        scale = 1.0 if scale is None else scale
        numbers(scale, "the scale", 0, ends=False)
        blocks, stages = (parts, 1) if kind == "product" else (1, parts)
        drawn: Any = jax.random.normal(rngs.params(), (blocks, stages, 2**bits, size // blocks), dtype)
        spread = jnp.asarray(scale, dtype) * 0.5 ** jnp.arange(stages, dtype=dtype)
        self.words = nnx.Param(drawn * spread[None, :, None, None])

    def __call__(self, x: ArrayLike, *, key: jax.Array | None = None) -> Quantized:
        """Vectors [..., D] to `Quantized`; InputError if they are of another size, or not finite."""
        require_size(x, self.size, "the quantizer")
        numbers(x, "what is quantized")
        x = jnp.asarray(x)
        x = x if jnp.issubdtype(x.dtype, jnp.floating) else x.astype(jnp.float32)
        if self.kind == "scalar":
            step = jnp.exp(self.log_step[...]).astype(self.dtype)
            symbols = rounded(x, step) if key is None else noisy(x, step, key)
            numbers(symbols, "what is quantized, in steps,")
            decoded = (symbols * jnp.broadcast_to(step, x.shape)).astype(jnp.result_type(x, step))
            return Quantized(decoded, symbols, jnp.zeros((*x.shape, 0), x.dtype))
        words = self.words[...]
        softness = self.softness * jax.lax.stop_gradient(jnp.mean(jnp.sum(words**2, axis=-1), axis=-1))
        softness = jnp.maximum(softness, jnp.finfo(softness.dtype).tiny)  # words may all be 0
        parts = x.reshape(*x.shape[:-1], words.shape[0], words.shape[-1])
        blocks = [self._stages(parts[..., b, :], words[b], softness[b]) for b in range(words.shape[0])]
        values, words_told, shares = (list(column) for column in zip(*blocks, strict=True))
        return Quantized(jnp.concatenate(values, axis=-1), jnp.stack(words_told, axis=-2), jnp.stack(shares, axis=-3))

    def to_code(self, vectors: ArrayLike) -> Code:
        """The code that this quantizer is now: its symbols and values, in bytes (`to_bytes`, `save_code`, `export`).

        Words become a `ProductQuantizer`; steps an `EntropyCodedScalar`, whose law is how often `vectors` met each
        multiple, with one to spare on either side: what is farther out is cut off.

        Args:
          vectors: [n, D], such as will be coded; finite.

        Returns:
          an `EntropyCodedScalar` or a `ProductQuantizer`; float32 at least.

        Raises:
          InputError: vectors of another size, not finite or traced; a step so small that a component takes 2^13 a side.
        """
        own = self.log_step[...] if self.kind == "scalar" else self.words[...]
        require(is_concrete(own), "a code is made on the host, so call `to_code` outside jit, grad and vmap.")
        vectors = fit_vectors(vectors)
        require_size(vectors, self.size, "the quantizer")
        if self.kind != "scalar":
            return code_of_words(np.asarray(own), vectors)
        step = np.asarray(jnp.exp(own).astype(self.dtype), np.float64)
        return code_of_steps(step, np.asarray(self(vectors).symbols), vectors)

    def _stages(self, x: jax.Array, words: jax.Array, softness: jax.Array) -> tuple[jax.Array, jax.Array, jax.Array]:
        """The sum of one word of each stage, every stage of what the ones before leave."""
        total, numbers, shares = jnp.zeros_like(x), [], []
        for stage, soft in zip(words, softness, strict=True):
            found = nearest_word(x - total, stage, soft)
            total = total + found.words
            numbers.append(found.numbers)
            shares.append(found.shares)
        return total, jnp.stack(numbers, axis=-1), jnp.stack(shares, axis=-2)


class EntropyModel(nnx.Module):
    """Bits that symbols cost, by a mixture of logistic laws for every component, learned with the rest.

    For the steps of a scalar `Quantizer`: numbers of words, of the other kinds, have no order, and cost what they hold.

    Args:
      size: k components.
      laws: C in each mixture.
      rngs: params, for the means to begin with.
      dtype: of the parameters.

    Raises:
      InputError: sizes below 1.
    """

    def __init__(self, size: int, *, laws: int = 3, rngs: nnx.Rngs, dtype: DTypeLike = jnp.float32):
        shape = (whole(size, "the size"), whole(laws, "laws"))
        self.logits = nnx.Param(jnp.zeros(shape, dtype))
        self.means = nnx.Param(jax.random.normal(rngs.params(), shape, dtype))
        self.log_scales = nnx.Param(jnp.zeros(shape, dtype))

    def __call__(self, symbols: ArrayLike) -> jax.Array:
        """Symbols [..., k], whole or noisy, to bits per item [...]; of a quantizer its `symbols`, and not its `values`.

        InputError if they are of another size, or not finite.
        """
        require(not isinstance(symbols, Quantized), "the entropy model was given all of `Quantized`; give its symbols.")
        require_size(symbols, self.logits.shape[0], "the entropy model")
        numbers(symbols, "what the entropy model was given")
        weights = jax.nn.softmax(self.logits[...], axis=-1)
        bits = cell_bits(symbols, weights, self.means[...], jnp.exp(self.log_scales[...]))
        return jnp.sum(bits, axis=-1)
