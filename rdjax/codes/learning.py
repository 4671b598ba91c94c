"""The loop that learned codes are trained by: stretches of compiled steps, looks at held-out queries between them."""

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any, NamedTuple

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax
from jax.typing import ArrayLike

from rdjax.checks import require
from rdjax.codes.forms import Form
from rdjax.codes.lesson import Batches, Lesson
from rdjax.codes.relaxed_forms import Coded, Parameters, Relaxed
from rdjax.limits import ranking_rate
from rdjax.numerics import matmul, to_bits, to_nats
from rdjax.retrieval import calibrate_temperatures, parse_metric, smooth_metric
from rdjax.retrieval.metrics import Metric
from rdjax.retrieval.soft_ranks import SigmoidRanks

if TYPE_CHECKING:
    import optax

READ_AT_ONCE = 512  # queries
RANKS = SigmoidRanks()
CROSS_ENTROPY, ABOVE_FLOOR = "cross-entropy", "bits above the floor"

Progress = Callable[[int, float], None]


@dataclass(frozen=True)
class Plan:
    """What is fixed while training; hashable, so that it is compiled once.

    Args:
      form: of the code.
      objective: "cross-entropy", "bits above the floor", or a metric.
      optimizer: of Optax.
      fidelity: of the loss, see `loss_of`.
    """

    form: Form
    objective: str | Metric
    optimizer: "optax.GradientTransformation"
    fidelity: float = 0.0


class Taught(NamedTuple):
    """Parameters of the best look of each trade, and what was seen: all [T] or [T, looks]."""

    parameters: list[Parameters]
    history: np.ndarray
    steps: np.ndarray
    revived: np.ndarray


def parse_objective(name: str) -> str | Metric:
    """The objective by its name.

    Raises:
      InputError: a name that is neither of the two nor a metric.
    """
    return name if name in (CROSS_ENTROPY, ABOVE_FLOOR) else parse_metric(name)


def loss_of(
    plan: Plan, parameters: Parameters, lesson: Lesson, batch: Batches, trade: jax.Array, relaxed: Relaxed | None
) -> jax.Array:
    """rate + trade * distortion + fidelity * error, nats, of one batch (rows of queries [b], of documents [C]).

    cross-entropy: distortion is -ln of the posterior at the document that is wanted. a metric: 1 - its smooth form.
    error: half the squared error of the coefficients, which is what coding takes from the log-likelihood of a query
    given its document (`RelevanceMap`); ranking alone leaves decoded vectors free where simulated queries do not look.
    bits above the floor: the rate less R(D) of ranking C documents, D that of the smooth reciprocal rank (Theorem A);
    the trade has no part in it.
    """
    return _joined(plan, *_terms(plan, parameters, lesson, batch, relaxed), trade, len(batch.documents))


def _terms(
    plan: Plan, parameters: Parameters, lesson: Lesson, batch: Batches, relaxed: Relaxed | None
) -> tuple[jax.Array, jax.Array]:
    """(rate and error in nats, distortion), means over the queries or items of a batch."""
    coded, logits, target = _logits(plan.form, parameters, lesson, batch, relaxed)
    rate = to_nats(jnp.mean(coded.bits))
    if plan.fidelity:
        told = lesson.coded[batch.queries if lesson.side == "queries" else batch.documents]
        rate += plan.fidelity * 0.5 * jnp.mean(jnp.sum((coded.values - told) ** 2, axis=-1))
    if plan.objective == CROSS_ENTROPY:
        return rate, -jnp.mean(jnp.take_along_axis(jax.nn.log_softmax(logits, axis=-1), target[:, None], axis=-1))
    return rate, 1 - jnp.mean(smooth_metric(_metric(plan), logits, target, rank_fn=RANKS))


def _joined(plan: Plan, rate: Any, distortion: Any, trade: Any, documents: int) -> Any:
    """The loss from its two terms: of one batch, or of all, as the floor of a mean is not the mean of floors."""
    if plan.objective == ABOVE_FLOOR:
        return rate - to_nats(ranking_rate(distortion, documents, _metric(plan).weights))
    return rate + trade * distortion


def _metric(plan: Plan) -> Metric:
    return parse_metric("mrr") if isinstance(plan.objective, str) else plan.objective


def _logits(
    form: Form, parameters: Parameters, lesson: Lesson, batch: Batches, relaxed: Relaxed | None
) -> tuple[Coded, jax.Array, jax.Array]:
    """(what is coded, logits [b, C], place of the wanted document [b])."""
    rows, documents = batch.queries, batch.documents
    mine, theirs = (rows, documents) if lesson.side == "queries" else (documents, rows)
    coded = form(parameters, lesson.coded[mine], relaxed)
    scores = matmul(coded.values, lesson.keys[theirs].T)
    if lesson.stretch is not None:
        scores = scores * lesson.stretch(coded.values)[:, None]
    logits = (scores if lesson.side == "queries" else scores.T) * jnp.exp(parameters["log_sharpness"])
    return coded, logits, jnp.searchsorted(documents, lesson.wanted[rows])


def sharpness(form: Form, parameters: Parameters, lesson: Lesson, *, begins: bool = False) -> float:
    """1 / tau of the decoded scores, calibrated on queries spread evenly over the lesson, which may be in any order.

    Where they tell nothing of what is wanted 0; where training begins, and would learn nothing, that at which they
    spread by a nat.
    """
    count = len(lesson.wanted)
    rows = np.linspace(0, count - 1, min(count, READ_AT_ONCE)).astype(np.int32)
    unscaled = {**parameters, "log_sharpness": jnp.zeros(())}
    batch = Batches(rows, np.arange(lesson.num_documents, dtype=np.int32))
    logits, target = _hard_logits(form, unscaled, lesson, batch)
    tau = float(calibrate_temperatures(logits[None], target).temperatures[0])
    if begins and math.isinf(tau):
        tau = float(jnp.std(logits)) or 1.0
    return 1 / tau


def teach(
    plan: Plan,
    parameters: Parameters,
    given: tuple[Form, Parameters],
    lessons: Callable[[int], Lesson],
    held_out: Lesson,
    trades: np.ndarray,
    *,
    steps: int,
    looks: int,
    patience: int,
    batch: int,
    seed: int,
    progress: Progress | None,
) -> Taught:
    """Descend `loss_of` on the lesson of each look, every trade side by side; keep the look best on what is held out.

    Look 0 is of the code that was given, as it is, so that nothing is kept that does not improve on it. Stretches are
    ceil(steps / looks) long, the last one what is left.
    """
    generator, length = np.random.default_rng(seed), math.ceil(steps / looks)
    count = len(trades)
    trade = jnp.asarray(trades, held_out.coded.dtype)
    state = _begin(plan, parameters, trade)
    first = _worth(replace(plan, form=given[0]), _repeated(given[1], count), held_out, trades)
    history, best, kept = [first], first.copy(), [given[1]] * count
    taken, revived = np.zeros(count, int), np.zeros(count, int)
    for look, done in enumerate(range(0, steps, length)):
        lesson, now = lessons(look), min(length, steps - done)
        keys = jax.random.split(jax.random.fold_in(jax.random.key(seed), look), now)
        shares = jnp.asarray((look + np.arange(now) / length) / (steps / length), trade.dtype)
        drawn = jax.tree.map(jnp.asarray, lesson.batches(generator, batch, now))
        state = _stretch(plan, state, lesson, drawn, Relaxed(keys, shares), trade)
        values = _worth(plan, state[0], held_out, trades)
        history.append(values)
        for t in np.flatnonzero(values < best):
            best[t], taken[t] = values[t], done + now
            kept[t] = _entry(state[0], t)
        if progress is not None:
            progress(done + now, float(to_bits(values.min())))
        require(np.isfinite(values).all(), "training diverged; take smaller steps (optimizer=optax.adam(1e-3)).")
        if look + 1 - np.argmin(np.array(history), axis=0).max() >= patience:
            break
        if look < looks // 2:
            state, more = _revived(plan, state, lesson, generator)
            revived += more
    return Taught(kept, np.array(history).T, taken, revived)


def usage(form: Form, parameters: Parameters, lesson: Lesson) -> np.ndarray:
    """How often each word is used by what is coded [L, K]; empty where there are no codebooks."""
    sizes = form.sizes()
    if sizes.size == 0:
        return np.zeros((0, 0), int)
    symbols = np.asarray(_symbols(form, parameters, lesson.coded))
    return np.stack([np.bincount(column, minlength=int(sizes.max())) for column in symbols.T])


def _revived(plan: Plan, state: Any, lesson: Lesson, generator: np.random.Generator) -> tuple[Any, np.ndarray]:
    """Unused words of every trade set beside busy ones."""
    if plan.form.sizes().size == 0:
        return state, np.zeros(len(jax.tree.leaves(state[0])[0]), int)
    count = len(jax.tree.leaves(state[0])[0])
    each, numbers = [], []
    for t in range(count):
        own = _entry(state[0], t)
        changed, number = plan.form.revive(own, usage(plan.form, own, lesson), generator)
        each.append(changed)
        numbers.append(number)
    if not any(numbers):
        return state, np.zeros(count, int)
    return (jax.tree.map(lambda *leaves: jnp.stack(leaves), *each), state[1]), np.array(numbers)


def _worth(plan: Plan, parameters: Parameters, lesson: Lesson, trades: np.ndarray) -> np.ndarray:
    """The loss of every trade over all held-out queries, hard [T]."""
    terms = np.zeros((2, len(trades)))
    for block in lesson.blocks(READ_AT_ONCE):
        rows = Batches(jnp.asarray(block.queries[0]), jnp.asarray(block.documents[0]))
        terms += np.asarray(_all_terms(plan, parameters, lesson, rows), np.float64) * block.queries.shape[1]
    rate, distortion = terms / len(lesson.wanted)
    return np.asarray(_joined(plan, rate, distortion, trades, lesson.num_documents), np.float64)


@partial(jax.jit, static_argnums=0)
def _all_terms(plan: Plan, parameters: Parameters, lesson: Lesson, batch: Batches) -> tuple[jax.Array, jax.Array]:
    return lax.map(lambda one: _terms(plan, one, lesson, batch, None), parameters)


@partial(jax.jit, static_argnums=0)
def _symbols(form: Form, parameters: Parameters, coded: jax.Array) -> jax.Array:
    return form(parameters, coded, None).symbols


@partial(jax.jit, static_argnums=0)
def _hard_logits(form: Form, parameters: Parameters, lesson: Lesson, batch: Batches) -> tuple[jax.Array, jax.Array]:
    return _logits(form, parameters, lesson, batch, None)[1:]


@partial(jax.jit, static_argnums=0)
def _begin(plan: Plan, parameters: Parameters, trades: jax.Array) -> Any:
    every = _repeated(parameters, len(trades))
    return every, jax.vmap(plan.optimizer.init)(every)


def _repeated(parameters: Parameters, times: int) -> Parameters:
    return jax.tree.map(lambda leaf: jnp.repeat(leaf[None], times, axis=0), parameters)


@jax.jit
def _entry(parameters: Parameters, trade: ArrayLike) -> Parameters:
    """Those of one trade, by its number."""
    return jax.tree.map(lambda leaf: leaf[trade], parameters)


@partial(jax.jit, static_argnums=0)
def _stretch(plan: Plan, state: Any, lesson: Lesson, batches: Batches, relaxed: Relaxed, trades: jax.Array) -> Any:
    """A step of every trade for each batch."""
    import optax

    def step(state: Any, entry: Any) -> tuple[Any, None]:
        batch, how = entry

        def one(state: Any, trade: jax.Array) -> Any:
            parameters, memory = state
            slopes = jax.grad(lambda p: loss_of(plan, p, lesson, batch, trade, how))(parameters)
            moves, memory = plan.optimizer.update(slopes, memory, parameters)
            return optax.apply_updates(parameters, moves), memory

        return jax.vmap(one)(state, trades), None

    return lax.scan(step, state, (batches, relaxed))[0]


def perplexity(counts: np.ndarray) -> np.ndarray:
    """How many words each codebook really uses, 2 to the entropy of their frequencies [L]."""
    share = counts / np.maximum(counts.sum(axis=1, keepdims=True), 1)
    logs = np.log2(np.where(share > 0, share, 1))
    return 2.0 ** -(share * logs).sum(axis=1)
