"""A small dual encoder: two towers over given features, one inner product, one temperature, as CLIP has it."""

import math
from functools import partial
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax
from flax import nnx
from jax import lax
from jax.typing import ArrayLike, DTypeLike

from rdjax.checks import numeric_matrix, require, whole
from rdjax.descent import falling_adam
from rdjax.nn.critics import Network, require_size
from rdjax.retrieval import contrastive_loss

CLIP = 0.07  # the temperature that CLIP begins with (Radford et al. 2021, section 2.5)


class DualEncoder(nnx.Module):
    """Queries and documents to unit vectors of one space; their inner products over the temperature are logits.

    Args:
      query_size, document_size: of the features.
      dimension: d, of the space.
      hidden: sizes of the hidden layers of both towers; none: two linear maps.
      temperature: to begin with.
      learned: whether the temperature is trained; False: it stays as given.
      rngs: params.
      dtype: of the parameters.

    Raises:
      InputError: sizes below 1, a temperature that is not above 0.
    """

    def __init__(
        self,
        query_size: int,
        document_size: int,
        *,
        dimension: int = 64,
        hidden: tuple[int, ...] = (128,),
        temperature: float = CLIP,
        learned: bool = True,
        rngs: nnx.Rngs,
        dtype: DTypeLike = jnp.float32,
    ):
        require(temperature > 0, f"the temperature is {temperature}; it must be above 0.")
        self.query_tower = Network((query_size, *hidden, dimension), rngs=rngs, dtype=dtype)
        self.document_tower = Network((document_size, *hidden, dimension), rngs=rngs, dtype=dtype)
        log_temperature = jnp.asarray(math.log(temperature), dtype)
        self.log_temperature = (nnx.Param if learned else nnx.Variable)(log_temperature)

    @property
    def temperature(self) -> jax.Array:
        """tau."""
        return jnp.exp(self.log_temperature[...])

    def embed_queries(self, features: ArrayLike) -> jax.Array:
        """Features [n, D] to unit vectors [n, d]; InputError if they are of another size."""
        require_size(features, self.query_tower.input_size, "the query tower")
        return _unit(self.query_tower(jnp.asarray(features)))

    def embed_documents(self, features: ArrayLike) -> jax.Array:
        """Features [n, E] to unit vectors [n, d]; InputError if they are of another size."""
        require_size(features, self.document_tower.input_size, "the document tower")
        return _unit(self.document_tower(jnp.asarray(features)))

    def __call__(self, queries: ArrayLike, documents: ArrayLike) -> jax.Array:
        """Features [n, D] and [m, E] to cosines [n, m]; divide by `temperature` for logits."""
        x, y = self.embed_queries(queries), self.embed_documents(documents)
        return jnp.matmul(x, y.T, precision=lax.Precision.HIGHEST)


def fit_dual_encoder(
    model: DualEncoder,
    queries: ArrayLike,
    documents: ArrayLike,
    *,
    optimizer: optax.GradientTransformation | None = None,
    steps: int = 1000,
    batch: int = 128,
    seed: int = 0,
) -> tuple[DualEncoder, jax.Array]:
    """Contrastive training on pairs: row i of one belongs to row i of the other.

    Args:
      model: to begin with; it is left as it is.
      queries, documents: features [n, D] and [n, E].
      optimizer: of Optax; None: AdamW, rate 1e-3 falling to 0, weight decay 1e-2.
      steps, batch: the batch is n where that is less.
      seed: of the batches; the same seed and machine give the same result.

    Returns:
      the trained model, and the loss of each step in nats [steps].

    Raises:
      InputError: features that are no finite matrices of as many rows, or not of the model's sizes.
    """
    sides = np.asarray(queries), np.asarray(documents)
    for side, name in zip(sides, ("the queries", "the documents"), strict=True):
        numeric_matrix(side, name)
    size = len(sides[0])
    require(size == len(sides[1]), f"there are {size} queries and {len(sides[1])} documents; row i is a pair.")
    batch, steps = min(whole(batch, "batch", 2), size), whole(steps, "steps")
    parts: Any = nnx.split(model, nnx.Param, ...)
    graph, parameters, rest = parts
    dtype = parameters["query_tower"]["layers"][0]["kernel"][...].dtype
    data = tuple(jnp.asarray(side, dtype) for side in sides)
    rng, each = np.random.default_rng(seed), size // batch
    orders = [rng.permutation(size)[: each * batch].reshape(each, batch) for _ in range(-(-steps // each))]
    rows = np.concatenate(orders)[:steps].astype(np.int32)
    optimizer = falling_adam(1e-3, steps, weight_decay=1e-2) if optimizer is None else optimizer
    trained, losses = _train(graph, optimizer, parameters, rest, data, jnp.asarray(rows))
    return nnx.merge(graph, trained, rest), losses


@partial(jax.jit, static_argnums=(0, 1))
def _train(graph: Any, optimizer: Any, parameters: Any, rest: Any, data: Any, rows: jax.Array) -> tuple[Any, jax.Array]:
    def loss(parameters: Any, row: jax.Array) -> jax.Array:
        model = nnx.merge(graph, parameters, rest)
        return contrastive_loss(model(data[0][row], data[1][row])[None], model.temperature[None])

    def step(state: Any, row: jax.Array) -> tuple[Any, jax.Array]:
        parameters, memory = state
        value, slopes = jax.value_and_grad(loss)(parameters, row)
        moves, memory = optimizer.update(slopes, memory, parameters)
        return (optax.apply_updates(parameters, moves), memory), value

    (parameters, _), losses = lax.scan(step, (parameters, optimizer.init(parameters)), rows)
    return parameters, losses


def _unit(vectors: jax.Array) -> jax.Array:
    """Vectors [..., d] of length 1; 0, with gradient 0, where there is no direction."""
    largest = lax.stop_gradient(jnp.max(jnp.abs(vectors), axis=-1, keepdims=True))
    long = largest > 1e-12
    scaled = vectors / jnp.where(long, largest, 1)  # whose squares neither overflow nor vanish
    square = jnp.sum(scaled**2, axis=-1, keepdims=True)
    return jnp.where(long, scaled / jnp.sqrt(jnp.where(long, square, 1)), 0)
