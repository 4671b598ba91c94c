"""Committees: critics that are trained each on its own and read as their mean."""

from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from flax import nnx

from rdjax.checks import is_concrete, require, whole
from rdjax.nn.critics import BilinearCritic, SeparableCritic, SumCritic


class Committee(nnx.Module):
    """f = the mean of its members' scores; `fit_critic` trains each member on its own loss, on the same batches.

    Critics overfit long before they have learned what the pairs can teach them, each in its own way: the mean of a few
    small ones reads more than one of any size. Members are one module whose parameters have a leading axis, so that
    they cost one program.

    Args:
      make: makes a member from the randomness it is given; members differ in their parameters only.
      members: how many.
      rngs: of Flax.
    """

    def __init__(self, make: Callable[[nnx.Rngs], nnx.Module], members: int, *, rngs: nnx.Rngs):
        made: list[Any] = [nnx.split(make(rngs), nnx.Param, ...) for _ in range(whole(members, "members"))]
        graphs, own, others = ([parts[place] for parts in made] for place in range(3))
        require(
            all(graph == graphs[0] for graph in graphs) and not jax.tree.leaves(others),
            "the members of a committee differ in more than their parameters; make them all alike.",
        )
        self.members = members
        join = lambda *leaves: jnp.asarray(np.stack(leaves)) if is_concrete(*leaves) else jnp.stack(leaves)
        self.stacked = nnx.merge(graphs[0], jax.tree.map(join, *own), others[0])

    def member_scores(self, x: jax.Array, y: jax.Array) -> jax.Array:
        """x [N, D], y [M, E] to the scores of each member [members, N, M], nats."""
        graph, state = nnx.split(self.stacked)
        return jax.vmap(lambda own: nnx.merge(graph, own)(x, y))(state)

    def __call__(self, x: jax.Array, y: jax.Array) -> jax.Array:
        """x [N, D], y [M, E] to scores [N, M], nats."""
        return jnp.mean(self.member_scores(x, y), axis=0)


def small_committee(x_size: int, y_size: int, *, rngs: nnx.Rngs) -> Committee:
    """Four sums of a bilinear and a small separable critic: the one to begin with for some thousands of pairs.

    Chosen on tasks with known information of 1 to 20 dimensions, n = 5000. What has much finer structure needs wider
    networks, and more pairs.

    Args:
      x_size, y_size: D and E.
      rngs: of Flax; where the parameters begin.
    """
    make = lambda rngs: SumCritic(BilinearCritic(x_size, y_size), SeparableCritic(x_size, y_size, rngs=rngs))
    return Committee(make, 4, rngs=rngs)
