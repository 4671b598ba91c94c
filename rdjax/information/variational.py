"""Bounds on mutual information as functions of a matrix of scores.

Everywhere scores[i, j] = f(x_i, y_j) [N, N] in nats (they are exponents), for N independent pairs (x_i, y_i): the
diagonal holds scores of pairs from the joint law, the rest scores of pairs from the product of the marginals. With
E_P the mean over the diagonal and E_Q the mean over the rest, every bound is in bits. A lower bound holds in
expectation, for pairs that f was not trained on nor chosen by; where a plug-in estimate of one may exceed the truth
even then, its docstring says so. With fewer than about 2^I pairs no distribution-free lower bound shows I (McAllester
and Stratos 2020): one that reads much more than log2 N rests on its critic, not on the data.

`weights` [N] is a law on the pairs, None for the uniform one; it stands in every mean, and `bound_standard_error` is a
derivative with respect to it. A score of -inf is a density ratio of 0. Functions trace under jit, vmap (over leading
axes of scores) and grad (the derivative of the value that is returned, in bits per nat).

Shapes that are not [N, N], fewer pairs than a bound needs, NaN, +inf, and -inf on the diagonal of an upper bound (pairs
that were drawn are possible) raise `InputError` (values outside jit only).
"""

from collections.abc import Callable
from functools import partial

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from rdjax import checks
from rdjax.checks import arrays_of, is_concrete, looking, numbers, require
from rdjax.numerics import floating, on_device, to_bits

#: A bound as this file has them: scores [N, N] and weights [N] (or None) to bits.
MatrixBound = Callable[..., jax.Array]


def infonce(scores: ArrayLike, weights: ArrayLike | None = None) -> jax.Array:
    """InfoNCE, a lower bound: mean_i log2( e^f_ii / mean_j e^f_ij ), the diagonal among the N of each row.

    Ceiling: log2 N, whatever the data (with weights, the mean of -log2 w_i). Its expectation never exceeds I. An offset
    c(x_i) of a row changes nothing. The best critic is log p(y|x) + c(x). Source: van den Oord, Li, Vinyals 2018;
    Poole et al. 2019.
    """
    return _infonce(*_matrix(scores, weights, 1))


def nwj(scores: ArrayLike, weights: ArrayLike | None = None) -> jax.Array:
    """Nguyen, Wainwright and Jordan's lower bound: (E_P f - E_Q e^(f - 1)) / ln 2.

    No ceiling, and unbiased: its expectation never exceeds I. Its variance grows like e^I (I in nats), and one large
    score can make a value arbitrarily low. The best critic is 1 + log p(x, y) / p(x) p(y). Source: Nguyen, Wainwright,
    Jordan 2010; Poole et al. 2019.
    """
    return _nwj(*_matrix(scores, weights, 2))


def jensen_shannon(scores: ArrayLike, weights: ArrayLike | None = None) -> jax.Array:
    """NWJ's lower bound read at f + 1: (1 + E_P f - E_Q e^f) / ln 2, for a critic trained as a discriminator.

    This is the estimate that goes with the Jensen-Shannon loss E_P softplus(-f) + E_Q softplus(f), whose best critic is
    log p(x, y) / p(x) p(y) itself (`rdjax.nn.jensen_shannon_loss`, nats); it is not the Jensen-Shannon divergence. It
    has no ceiling, its expectation never exceeds I whatever f is, and it varies as NWJ does. Source: Nowozin, Cseke,
    Tomioka 2016 (the loss); Poole et al. 2019 (this pair of loss and estimate).
    """
    return _jensen_shannon(*_matrix(scores, weights, 2))


def donsker_varadhan(scores: ArrayLike, weights: ArrayLike | None = None) -> jax.Array:
    """Donsker and Varadhan's representation, the bound of MINE: (E_P f - ln E_Q e^f) / ln 2.

    With the true E_Q it is a lower bound. **This plug-in estimate may exceed I even in expectation**: the logarithm of
    a sample mean is low on average, the more so the heavier the tail of e^f under Q, without limit. A constant added to
    f changes nothing. The best critic is log p(x, y) / p(x) p(y) + c. Source: Donsker and Varadhan 1983; Belghazi et
    al. 2018.
    """
    return _donsker_varadhan(*_matrix(scores, weights, 2))


def smile(scores: ArrayLike, weights: ArrayLike | None = None, *, clip: float = 5.0) -> jax.Array:
    """SMILE: (E_P f - ln E_Q min(max(e^f, e^-clip), e^clip)) / ln 2, Donsker-Varadhan with less variance.

    **May exceed I in expectation, and in the limit of infinite data**: what is clipped from above is missing in E_Q.
    At clip = inf it is `donsker_varadhan`. E_P f is not clipped, so there is no ceiling. The critic should estimate
    log p(x, y) / p(x) p(y) without offset. Source: Song and Ermon 2020.

    Args:
      scores, weights: as everywhere here.
      clip: nats, above 0; static.
    """
    require(clip > 0, f"clip is {clip!r}; it must be above 0 nats.")
    return _smile(*_matrix(scores, weights, 2), float(clip))


def barber_agakov(log_conditional: ArrayLike, log_marginal: ArrayLike) -> jax.Array:
    """Barber and Agakov's lower bound: mean_i ( ln q(y_i|x_i) - ln p(y_i) ) / ln 2.

    A lower bound in expectation for every conditional density q, if p is the true density of y (or its true entropy is
    the mean that it stands for): it falls short of I by the mean divergence of q. No ceiling. With a modeled p in place
    of the true one it may exceed I, by the divergence of the model from the truth; with the true conditional density
    and a modeled p it is an upper bound.

    Args:
      log_conditional: ln q(y_i|x_i) [..., N], nats.
      log_marginal: ln p(y_i) [..., N], nats.

    Returns:
      bits [...].

    Raises:
      InputError: shapes that differ, no pairs, NaN, or +inf in the first or -inf in the second.

    Source: Barber and Agakov 2003.
    """
    first, second = floating(log_conditional), floating(log_marginal)
    require(
        first.shape == second.shape and first.ndim >= 1 and first.shape[-1] > 0,
        f"log-densities have shapes {first.shape} and {second.shape}; both must be [N], the same pairs.",
    )
    _no_nonsense(first, "a conditional log-density")
    _no_nonsense(second, "a marginal log-density (its sign turned)", -1)
    return _barber_agakov(first, second)


def leave_one_out(log_conditional: ArrayLike, weights: ArrayLike | None = None) -> jax.Array:
    """The leave-one-out upper bound: mean_i log2( p(y_i|x_i) / mean_{j != i} p(y_i|x_j) ).

    An upper bound in expectation if p(y|x) is the true conditional density (an encoder that one has chosen); with a
    modeled one it is neither bound. It has no ceiling: it is loose, and large, where no other x_j explains y_i.

    Args:
      log_conditional: ln p(y_j|x_i) at [i, j], [N, N], N >= 2, nats.
      weights: as everywhere here.

    Source: Poole et al. 2019, equation 13.
    """
    return _leave_one_out(*_densities(log_conditional, weights))


def club(log_conditional: ArrayLike, weights: ArrayLike | None = None) -> jax.Array:
    """CLUB, an upper bound: (E_P ln p(y|x) - E_Q ln p(y|x)) / ln 2.

    An upper bound in expectation if p(y|x) is the true conditional density; with a modeled one (vCLUB) it need not be.
    No ceiling: it exceeds I by the mean of D(p(y) || p(y|x)) over x, infinite where some y cannot come from some x.
    E_Q leaves the diagonal out, which makes it unbiased; with it, as in the source, it is (N - 1) / N of this.

    Args:
      log_conditional: ln p(y_j|x_i) at [i, j], [N, N], N >= 2, nats.
      weights: as everywhere here.

    Source: Cheng et al. 2020.
    """
    return _club(*_densities(log_conditional, weights))


def bound_standard_error(bound: MatrixBound, scores: ArrayLike) -> jax.Array:
    """Standard error of bound(scores), bits: by the infinitesimal jackknife, sqrt( sum_i d_i^2 / N (N - 1) ).

    d_i is the derivative of the bound as all weight moves towards pair i, through its row, its column and the diagonal.
    It measures which pairs happened to be drawn, for this critic: not how well the critic was trained, nor how far the
    bound is below I. Too small where e^f is so heavy-tailed that its tail was not seen; inf where the bound is.

    Args:
      bound: one of this file, e.g. `infonce` or `functools.partial(smile, clip=3.0)`.
      scores: [N, N], N >= 2, nats; all finite but for -inf off the diagonal.

    Source: Jaeckel 1972; Efron 1982.
    """
    scores, weights = _matrix(scores, None, 2)
    with looking():
        numbers(jnp.diagonal(scores), "the diagonal of the scores")
    value, slopes = jax.value_and_grad(lambda w: bound(scores, weights=w))(weights)
    error = jnp.sqrt(jnp.sum((slopes - jnp.mean(slopes)) ** 2) / (slopes.size * (slopes.size - 1)))
    return jnp.where(jnp.isfinite(value), error, jnp.inf)


@jax.jit
def _barber_agakov(first: jax.Array, second: jax.Array) -> jax.Array:
    return to_bits(jnp.mean(first - second, axis=-1))


@jax.jit
def _infonce(scores: jax.Array, weights: jax.Array) -> jax.Array:
    return _mean_log_ratio(scores, jnp.broadcast_to(weights[None, :], scores.shape), weights)


@jax.jit
def _nwj(scores: jax.Array, weights: jax.Array) -> jax.Array:
    mean, shift = _shifted_mean(scores, _product_law(scores, weights))
    return to_bits(_mean(weights, jnp.diagonal(scores)) - jnp.exp(shift - 1) * mean)


@jax.jit
def _jensen_shannon(scores: jax.Array, weights: jax.Array) -> jax.Array:
    return _nwj(scores + 1, weights)


@jax.jit
def _donsker_varadhan(scores: jax.Array, weights: jax.Array) -> jax.Array:
    return to_bits(_log_ratio(scores, _product_law(scores, weights), _mean(weights, jnp.diagonal(scores))))


@partial(jax.jit, static_argnums=2)
def _smile(scores: jax.Array, weights: jax.Array, clip: float) -> jax.Array:
    joint = _mean(weights, jnp.diagonal(scores))
    return to_bits(_log_ratio(jnp.clip(scores, -clip, clip), _product_law(scores, weights), joint))


@jax.jit
def _leave_one_out(scores: jax.Array, weights: jax.Array) -> jax.Array:
    others = _others(weights)
    bits = _mean_log_ratio(scores.T, others / jnp.sum(others, axis=1, keepdims=True), weights)
    return _unless_impossible(bits, _mean(weights, jnp.diagonal(scores)))


@jax.jit
def _club(scores: jax.Array, weights: jax.Array) -> jax.Array:
    pairs = _product_law(scores, weights)
    alone, joint = _mean(pairs, jnp.where(_diagonal(scores), 0, scores)), _mean(weights, jnp.diagonal(scores))
    return _unless_impossible(to_bits(joint - alone), joint)


def _mean_log_ratio(scores: jax.Array, laws: jax.Array, weights: jax.Array) -> jax.Array:
    """Mean over i of log2( e^f_ii / sum_j laws_ij e^f_ij )."""
    return to_bits(_mean(weights, jax.vmap(_log_ratio)(scores, laws, jnp.diagonal(scores))))


def _mean(weights: jax.Array, values: jax.Array) -> jax.Array:
    """sum w v, where a weight of 0 leaves out an infinite value."""
    return jnp.sum(weights * jnp.where((weights == 0) & jnp.isinf(values), 0, values))


def _log_ratio(scores: jax.Array, law: jax.Array, joint: jax.Array) -> jax.Array:
    """joint - ln sum law e^scores, nats; the difference is taken first, so that large scores cost no digits."""
    possible = joint > -jnp.inf
    mean, shift = _shifted_mean(scores - jnp.where(possible, joint, 0), law)
    some = mean > 0
    ratio = jnp.where(some, -shift - jnp.log(jnp.where(some, mean, 1)), jnp.inf)
    return jnp.where(possible, ratio, joint)


def _shifted_mean(scores: jax.Array, law: jax.Array) -> tuple[jax.Array, jax.Array]:
    """(sum law e^(scores - shift), shift): no overflow, and no NaN where nothing has mass or every score is -inf."""
    seen = jnp.where(law > 0, scores, -jnp.inf)
    top = lax.stop_gradient(jnp.max(seen))
    shift = jnp.where(top > -jnp.inf, top, 0)
    return jnp.sum(law * jnp.exp(seen - shift)), shift


def _product_law(scores: jax.Array, weights: jax.Array) -> jax.Array:
    """Law of two different pairs [N, N]: w_i w_j off the diagonal, normalized."""
    both = weights[:, None] * _others(weights)
    return both / jnp.sum(jnp.sum(both, axis=1))  # 1 - sum w^2 is 0 in float32 where one weight is near 1


def _others(weights: jax.Array) -> jax.Array:
    """The weights of all pairs but i, in row i [N, N]."""
    return jnp.where(_diagonal(weights), 0, weights[None, :])


def _unless_impossible(bits: jax.Array, joint: jax.Array) -> jax.Array:
    """-inf where E_P is -inf (traced, or it was refused), which other infinities would make a NaN of."""
    return jnp.where(joint > -jnp.inf, bits, -jnp.inf)


def _diagonal(scores: jax.Array) -> jax.Array:
    return jnp.eye(scores.shape[0], dtype=bool)


def _matrix(scores: ArrayLike, weights: ArrayLike | None, least: int) -> tuple[jax.Array, jax.Array]:
    """Scores and weights as arrays of one precision, tested."""
    shape = np.shape(scores)
    square = len(shape) == 2 and shape[0] == shape[1] and shape[0] >= least
    require(square, f"scores have shape {shape}; they must be [N, N], the pairs on the diagonal, N at least {least}.")
    array = floating(scores)
    _no_nonsense(array, "a score")
    if weights is None:
        return array, on_device(np.full(shape[0], 1 / shape[0]), array.dtype)
    require(np.shape(weights) == shape[:1], f"weights have shape {np.shape(weights)}; there are {shape[0]} pairs.")
    checks.law(weights, "the law on the pairs")
    if least > 1 and is_concrete(weights):
        second, first = np.sort(np.asarray(weights).astype(array.dtype))[-2:]  # as they are computed with
        seen = first * second >= jnp.finfo(array.dtype).tiny
        require(bool(seen), "the law on the pairs sits on one pair; spread it over two.")
    return array, on_device(weights, array.dtype)


def _densities(scores: ArrayLike, weights: ArrayLike | None) -> tuple[jax.Array, jax.Array]:
    """`_matrix` of log-densities, which are above -inf for pairs that were drawn."""
    array, law = _matrix(scores, weights, 2)
    if is_concrete(array, law):
        with looking():
            bad = np.asarray((jnp.diagonal(array) == -jnp.inf) & (law > 0))
        place = f"log_conditional[{bad.argmax()}, {bad.argmax()}]"
        require(not bad.any(), f"{place} is -inf, so that pair cannot be drawn; leave it out or mend p(y|x).")
    return array, law


def _no_nonsense(values: jax.Array, what: str, sign: int = 1) -> None:
    if is_concrete(values):
        with looking():
            fine = bool((sign * arrays_of(values).asarray(values) < np.inf).all())
        require(fine, f"{what} is NaN or +inf; a critic that diverged makes them, so train it with smaller steps.")
