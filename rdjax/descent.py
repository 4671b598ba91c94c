"""The optimizer of those who bring none: Adam at a rate that falls to 0."""

from functools import lru_cache
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import optax  # takes half a second, which a ranking need not wait for


@lru_cache(maxsize=64)
def falling_adam(rate: float, steps: int, weight_decay: float = 0.0) -> "optax.GradientTransformation":
    """Adam, its rate falling to 0 as half a cosine. One object for each question, since another would compile again.

        rate_t = rate (1 + cos(pi t / steps)) / 2

    Args:
      rate: of the first step.
      steps: T >= 1; from there on the rate is 0.
      weight_decay: lambda >= 0: each step also takes rate_t lambda times the parameters away (AdamW).

    Source: Kingma and Ba 2015; Loshchilov and Hutter, SGDR, 2017 (the cosine) and 2019 (AdamW).
    """
    import optax

    schedule = optax.cosine_decay_schedule(rate, steps)
    return optax.adamw(schedule, weight_decay=weight_decay) if weight_decay else optax.adam(schedule)
