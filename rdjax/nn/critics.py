"""Critics: f(x, y) for every x of one batch with every y of another, as Flax modules.

A critic maps x [N, D] and y [M, E] to scores [N, M] in nats, scores[i, j] = f(x_i, y_j), which the bounds of
`rdjax.information.variational` read; x or y of another size raises InputError. Parameters are float32 unless `dtype`
says otherwise. What each costs, for N pairs scored all against all: separable and bilinear N networks and one product
of matrices, concatenated N^2 networks.
"""

import itertools
import math
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx
from jax import lax
from jax.typing import ArrayLike, DTypeLike

from rdjax.checks import is_concrete, require, whole

Activation = Callable[[jax.Array], jax.Array]
#: Numbers at the widest hidden layer of a concatenated critic that are held at once.
BLOCK = 2**24


class Network(nnx.Module):
    """Dense layers of the given sizes, with an activation between them: [..., sizes[0]] to [..., sizes[-1]].

    Args:
      sizes: of the input, of each layer, of the output; two at least.
      rngs: of Flax; where the parameters begin.
      activation: between layers.
      dtype: of the parameters.

    Kernels begin uniform with variance 2 / fan-in (1 / fan-in for the last), biases at 0; all kernels are one draw,
    since compiling a random draw for each shape takes longer than the training of a small critic.
    """

    def __init__(
        self, sizes: Sequence[int], *, rngs: nnx.Rngs, activation: Activation = nnx.gelu, dtype: DTypeLike = jnp.float32
    ):
        for size in sizes:
            whole(size, "the size of a layer")
        require(
            len(sizes) >= 2, f"a network has sizes {tuple(sizes)}; it needs one for its input and one for its output."
        )
        shapes = list(itertools.pairwise(sizes))
        ends = list(itertools.accumulate(a * b for a, b in shapes))
        drawn: Any = jax.random.uniform(rngs.params(), (ends[-1],), dtype, -1.0, 1.0)
        if is_concrete(drawn):
            drawn = np.asarray(drawn)
        layers = []
        for (a, b), end in zip(shapes, ends, strict=True):
            width = math.sqrt((3 if end == ends[-1] else 6) / a)
            kernel = jnp.asarray(width * drawn[end - a * b : end].reshape(a, b), dtype)
            bias = jnp.asarray(np.zeros(b, dtype))
            given: dict[str, Any] = {"kernel_init": partial(_given, kernel), "bias_init": partial(_given, bias)}
            layers.append(nnx.Linear(a, b, param_dtype=dtype, rngs=rngs, **given))
        self.layers = nnx.List(layers)
        self.activation = activation

    @property
    def input_size(self) -> int:
        """sizes[0]."""
        return int(self.layers[0].kernel.shape[0])

    def __call__(self, inputs: jax.Array) -> jax.Array:
        """Inputs [..., sizes[0]] to outputs [..., sizes[-1]]; InputError if they are of another size."""
        require_size(inputs, self.input_size, "the network")
        for layer in self.layers[:-1]:
            inputs = self.activation(layer(inputs))
        return self.layers[-1](inputs)


def require_size(x: ArrayLike, size: int, what: str) -> None:
    """Refuse vectors that are not [..., size]."""
    shape = jnp.shape(x)
    require(
        shape[-1:] == (size,), f"{what} is for {size} components and was given shape {shape}; it must be [..., {size}]."
    )


def _given(kernel: jax.Array, *_: Any) -> jax.Array:
    return kernel


def _require_sizes(x: jax.Array, x_size: int, y: jax.Array, y_size: int) -> None:
    for side, name, size in ((x, "x", x_size), (y, "y", y_size)):
        require_size(side, size, f"the critic, of {name},")
        shape = jnp.shape(side)
        require(len(shape) == 2, f"{name} has shape {shape}; a critic scores all pairs of rows, [n, {size}].")


class BilinearCritic(nnx.Module):
    """f(x, y) = x' W y + a(x) + b(y), with a and b quadratic: all that jointly Gaussian x and y need, and no more.

    For Gaussian pairs the log-density ratio is of this form, so that every bound can reach I; for others this is the
    best Gaussian account of them. It starts at f = 0. Vectors are divided by sqrt(D / 2) and sqrt(E / 2) where those
    exceed 1, so that a step of the optimizer moves the scores about as much in any dimension: without, NWJ and MINE run
    away at 20 and more correlated coordinates.

    Args:
      x_size, y_size: D and E.
      dtype: of the parameters.
    """

    def __init__(self, x_size: int, y_size: int, *, dtype: DTypeLike = jnp.float32):
        D, E = whole(x_size, "x_size"), whole(y_size, "y_size")
        zeros = lambda *shape: nnx.Param(jnp.asarray(np.zeros(shape, dtype)))
        self.cross = zeros(D, E)
        self.x_square, self.x_slope = zeros(D, D), zeros(D)
        self.y_square, self.y_slope = zeros(E, E), zeros(E)
        self.offset = zeros()

    def __call__(self, x: jax.Array, y: jax.Array) -> jax.Array:
        """x [N, D], y [M, E] to scores [N, M], nats."""
        _require_sizes(x, self.x_slope.shape[0], y, self.y_slope.shape[0])
        x, y = (side * min(1.0, math.sqrt(2 / side.shape[1])) for side in (x, y))
        alone_x = jnp.sum((x @ self.x_square[...] + self.x_slope[...][None, :]) * x, axis=1)
        alone_y = jnp.sum((y @ self.y_square[...] + self.y_slope[...][None, :]) * y, axis=1)
        return (x @ self.cross[...]) @ y.T + alone_x[:, None] + (alone_y + self.offset[...])[None, :]


class SeparableCritic(nnx.Module):
    """f(x, y) = g(x)' h(y) / sqrt(d) + a(x) + b(y), with (g, a) and (h, b) the outputs of two networks.

    The cheapest for large batches: scores of N pairs, all against all, cost 2 N passes and one product of matrices.

    Args:
      x_size, y_size: D and E.
      hidden: sizes of the hidden layers of both networks.
      embedding: d, length of g and h.
      rngs: of Flax; where the parameters begin.
      activation: between layers.
      dtype: of the parameters.
    """

    def __init__(
        self,
        x_size: int,
        y_size: int,
        *,
        rngs: nnx.Rngs,
        hidden: Sequence[int] = (16, 16),
        embedding: int = 4,
        activation: Activation = nnx.gelu,
        dtype: DTypeLike = jnp.float32,
    ):
        size = whole(embedding, "embedding") + 1
        self.x_network = Network((x_size, *hidden, size), rngs=rngs, activation=activation, dtype=dtype)
        self.y_network = Network((y_size, *hidden, size), rngs=rngs, activation=activation, dtype=dtype)

    def __call__(self, x: jax.Array, y: jax.Array) -> jax.Array:
        """x [N, D], y [M, E] to scores [N, M], nats."""
        _require_sizes(x, self.x_network.input_size, y, self.y_network.input_size)
        g, h = self.x_network(x), self.y_network(y)
        scale = (g.shape[1] - 1) ** -0.5
        return (scale * g[:, :-1]) @ h[:, :-1].T + g[:, -1:] + h[:, -1][None, :]


class ConcatenatedCritic(nnx.Module):
    """f(x, y) = network([x, y]): the most general of these, and the dearest, N^2 passes for N pairs.

    The first layer is taken apart, W [x, y] = W_x x + W_y y, so that its products are with N vectors and not N^2.
    Matrices too large for `BLOCK` numbers at a hidden layer are scored in blocks of rows.

    Args:
      x_size, y_size: D and E.
      hidden: sizes of the hidden layers, one at least.
      rngs: of Flax; where the parameters begin.
      activation: between layers.
      dtype: of the parameters.
    """

    def __init__(
        self,
        x_size: int,
        y_size: int,
        *,
        rngs: nnx.Rngs,
        hidden: Sequence[int] = (16, 16),
        activation: Activation = nnx.gelu,
        dtype: DTypeLike = jnp.float32,
    ):
        require(len(hidden) >= 1, "a concatenated critic has no hidden layer; give it one at least.")
        joint = Network((x_size + y_size, *hidden, 1), rngs=rngs, activation=activation, dtype=dtype)
        self.network, self.x_size, self.widest = joint, x_size, max(hidden)

    def __call__(self, x: jax.Array, y: jax.Array) -> jax.Array:
        """x [N, D], y [M, E] to scores [N, M], nats."""
        _require_sizes(x, self.x_size, y, self.network.input_size - self.x_size)
        first, *later = self.network.layers
        kernel = first.kernel[...]
        x_part = x @ kernel[: self.x_size]
        y_part = y @ kernel[self.x_size :] + jnp.asarray(first.bias)[None, :]

        def rows(x_part: jax.Array) -> jax.Array:
            both = (x_part[:, None, :] + y_part[None, :, :]).reshape(-1, x_part.shape[1])
            for layer in later:
                both = layer(self.network.activation(both))
            return both.reshape(len(x_part), len(y_part))

        height = max(1, BLOCK // (len(y_part) * self.widest))
        if height >= len(x_part):
            return rows(x_part)
        return lax.map(lambda row: rows(row[None, :])[0], x_part, batch_size=height)


class SumCritic(nnx.Module):
    """f = the sum of the scores of its terms, e.g. a `BilinearCritic` for what is Gaussian and a network for the rest.

    Args:
      terms: critics of the same x and y.
    """

    def __init__(self, *terms: nnx.Module):
        require(len(terms) > 0, "a sum of critics has no terms; give it one at least.")
        self.terms = nnx.List(terms)

    def __call__(self, x: jax.Array, y: jax.Array) -> jax.Array:
        """x [N, D], y [M, E] to scores [N, M], nats."""
        return sum(term(x, y) for term in self.terms)
