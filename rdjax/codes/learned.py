"""LearnedCode: a fitted code whose maps, steps or words and entropy model are trained on together, for ranking."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, cast

import jax
import numpy as np

from rdjax.checks import InputError, require, whole
from rdjax.codes.arrays import device_array
from rdjax.codes.code import Code
from rdjax.codes.directional import around, quantizer_of
from rdjax.codes.entropy_coded import EntropyCodedScalar
from rdjax.codes.forms import Form, form_of, given_form
from rdjax.codes.learning import CROSS_ENTROPY, Plan, Progress, parse_objective, perplexity, sharpness, teach, usage
from rdjax.codes.lengths import Renormalized, Stretch
from rdjax.codes.lesson import Fresh, Lesson, Told
from rdjax.codes.product import ProductQuantizer
from rdjax.codes.relevance_map import RelevanceMap
from rdjax.codes.trellis import TrellisCode
from rdjax.codes.wrapped import Alike
from rdjax.descent import falling_adam
from rdjax.trees import register_dataclass

if TYPE_CHECKING:
    import optax

RELAXATIONS = ("straight-through", "soft")


@register_dataclass
@dataclass(frozen=True)
class LearnedCode(Alike):
    """A code trained on rate + trade * ranking loss, from a fitted one; it codes and is stored like that one.

    Args:
      code: with all that was learned in it.
      temperature: tau > 0, a scalar: scores of what it decodes, divided by it, are logits of a calibrated posterior;
        infinite where they tell nothing and training found nothing better.
      history: the loss on held-out queries at each look, bits; the first before training [looks].
      used: perplexity of each codebook on what was coded [L], 2 to the entropy of how often its words are used.
      revived: words that nothing used, and that were set beside busy ones, a scalar.
      step: the one that was kept, a scalar; 0: training found nothing better than the code that was given.
    """

    code: Code
    temperature: jax.Array
    history: jax.Array
    used: jax.Array
    revived: jax.Array
    step: jax.Array

    @classmethod
    def fit(cls, code: Code, told: Told | Fresh, *, trade: float = 1.0, **options: Any) -> "LearnedCode":
        """Train one code at one trade; all else, with the `options`, as in `sweep`."""
        return cls.sweep(code, told, [trade], **options)[0]

    @classmethod
    def sweep(
        cls,
        code: Code,
        told: Told | Fresh,
        trades: Any,
        *,
        chart: RelevanceMap | None = None,
        held_out: Told | None = None,
        objective: str = CROSS_ENTROPY,
        fidelity: float = 0.0,
        relaxation: str = "straight-through",
        optimizer: "optax.GradientTransformation | None" = None,
        steps: int = 600,
        looks: int = 12,
        patience: int = 4,
        batch: int = 256,
        seed: int = 0,
        progress: Progress | None = None,
    ) -> list["LearnedCode"]:
        """Train a code for each trade, side by side: the Lagrangian sweep of rate against ranking loss.

        What is learned: maps into and out of the quantizer within the directions of `chart`, words or steps and the
        entropy model, and the temperature of the scores. What is coded in training is nearly what the code itself would
        say (searches are narrower), with straight-through gradients (see `relaxed_forms`); the loss of a look is that
        of hard codes, so it is what is delivered.

        Args:
          code: a `ProductQuantizer` or `TrellisCode` (fixed length) or an `EntropyCodedScalar` (mean length) on a
            `RelevanceMap`; or `Renormalized` around one, and then it is stretched documents that training ranks;
            `Directional` around one, and then it is what that search finds.
          told: (queries, documents, wanted): e.g. simulated queries (`QueryModel.simulate`) of documents that the class
            of the code may see. Or a function of the look that gives them, as many every time: what is simulated anew
            cannot be learned by heart.
          trades: nats of rate that a unit of the ranking loss is worth [T]; for a fixed length they change nothing but
            the size of steps.
          chart: the map whose first directions are the code's, with all that maps may learn to use; None: its own.
          held_out: the same for the choice of the step; None: a fifth of the queries told, or a telling of their own.
          objective: "cross-entropy", a metric (smooth), or "bits above the floor", see `learning.loss_of`.
          fidelity: weight of half the squared error of the coefficients beside it, see `learning.loss_of`; for what is
            coded again and again as it was told, such as the documents of a code of class B.
          relaxation: of words: "straight-through" or "soft", from soft to hard. Scalars have their own: noise in the
            rate, straight-through values.
          optimizer: of Optax; None: Adam, rate .02 falling to 0. Making it anew compiles anew.
          steps, looks, patience: at most so many steps, in equal stretches (but for the last) between at most so many
            looks; ends after so many of them without a better one.
          batch: queries a step.
          seed: of the batches, of noise, of revival. The same seed and machine give the same code.
          progress: called after each look with (steps so far, the least loss in bits).

        Raises:
          InputError: a code that is none of these, a map that does not belong to it, data that do not belong together,
            training that diverges.
        """
        begun, code = code, quantizer_of(code)
        wide = _chart(code, chart)
        require(relaxation in RELAXATIONS, f"the relaxation is {relaxation!r}; it must be {' or '.join(RELAXATIONS)}.")
        form = form_of(begun, relaxation == "soft")
        count = whole(steps, "steps")
        looks = min(whole(looks, "looks"), count)
        stretch = Stretch.of(wide.back, begun.floor, begun.gain) if isinstance(begun, Renormalized) else None
        lessons, rest = _lessons(wide, stretch, told, held_out, looks, seed)
        every = lessons(0)
        trades = _trades(trades)
        require(fidelity >= 0, f"the fidelity is {fidelity}; it must be at least 0.")
        optimizer = falling_adam(0.02, count) if optimizer is None else optimizer
        plan = Plan(form, parse_objective(objective), optimizer, float(fidelity))
        given = given_form(form)
        begin = _begun(given, code, every), _begun(form, code, every, begins=True)
        found = teach(
            plan,
            begin[1],
            (given, begin[0]),
            lessons,
            rest,
            trades,
            steps=count,
            looks=looks,
            patience=whole(patience, "patience"),
            batch=min(whole(batch, "batch"), len(every.wanted)),
            seed=seed,
            progress=progress,
        )
        made = []
        for parameters, history, step, revived in zip(*found, strict=True):
            counts = usage(form if step else given, parameters, every)
            learned = form.finish(cast(Any, code), wide, parameters, every.coded) if step else code
            numbers = (np.exp(-float(parameters["log_sharpness"])), history / np.log(2), perplexity(counts))
            tau, told_bits, used = (device_array(value, every.coded.dtype) for value in numbers)
            counted = (device_array(n, np.int32) for n in (revived, step))
            made.append(cls(around(begun, learned), tau, told_bits, used, *counted))
        return made

    @property
    def name(self) -> str:
        """E.g. "relevance 32 + residual 2 x 8 bits, learned"."""
        return f"{self.code.name}, learned"

    @property
    def message(self) -> str:
        """What training did, in a sentence."""
        history = np.asarray(self.history)
        if int(self.step) == 0:
            return f"training found nothing better than the fitted code: {history[0]:.3f} bits of loss."
        words = f"{history[0]:.3f} to {history.min():.3f} bits of loss on held-out queries at step {int(self.step)}"
        used = "" if not self.used.size else f"; codebooks use {float(np.min(np.asarray(self.used))):.0f} words or more"
        return f"{words}{used}; {int(self.revived)} words were revived."


def _begun(form: Form, code: Code, lesson: Lesson, begins: bool = False) -> Any:
    """The parameters of the fitted code in a form, its scores calibrated; see `sharpness`."""
    begin = form.begin(cast(Any, code), lesson.coded)
    with np.errstate(divide="ignore"):  # 0 where scores tell nothing
        log = np.log(sharpness(form, begin, lesson, begins=begins))
    return {**begin, "log_sharpness": device_array(log, lesson.coded.dtype)}


def _trades(trades: Any) -> np.ndarray:
    """As many numbers as codes are wanted [T]."""
    found = np.atleast_1d(np.asarray(trades, np.float64))
    good = found.ndim == 1 and found.size > 0 and bool(np.isfinite(found).all() and (found >= 0).all())
    require(good, f"the trades are {found.tolist()}; give one number or more, finite and at least 0.")
    return found


def _chart(code: Code, chart: RelevanceMap | None) -> RelevanceMap:
    """The wide map of a code that can be learned."""
    kinds = ProductQuantizer | TrellisCode | EntropyCodedScalar
    if not isinstance(code, kinds) or not isinstance(code.transform, RelevanceMap):
        raise InputError(
            f"{code.name} cannot be learned; give a ProductQuantizer, a TrellisCode or an EntropyCodedScalar on a "
            f"RelevanceMap."
        )
    own = code.transform
    wide = own if chart is None else chart
    same = wide.side == own.side and wide.k >= own.k
    same = same and np.array_equal(np.asarray(wide.basis)[:, : own.k], np.asarray(own.basis))
    require(same, f"the first {own.k} directions of the chart are not those of {code.name}; fit it on chart.take(k).")
    return wide


def _lessons(
    chart: RelevanceMap, stretch: Stretch | None, told: Told | Fresh, held_out: Told | None, looks: int, seed: int
) -> tuple[Callable[[int], Lesson], Lesson]:
    """(the lesson of each look, what chooses the step)."""

    def lesson_of(told: Told) -> Lesson:
        return Lesson.of(chart, *told, stretch=stretch)

    if callable(told):
        rest = lesson_of(told(looks) if held_out is None else held_out)
        return lru_cache(maxsize=1)(lambda look: lesson_of(told(look))), rest
    every = lesson_of(told)
    lesson, rest = _split(every, seed) if held_out is None else (every, lesson_of(held_out))
    return lambda look: lesson, rest


def _split(lesson: Lesson, seed: int) -> tuple[Lesson, Lesson]:
    """Four fifths of the queries, and the others, among the same documents."""
    count = len(lesson.wanted)
    require(count >= 5, f"there are {count} queries to learn from; give five at least.")
    order = np.random.default_rng(seed).permutation(count)
    coded, keys, wanted = (np.asarray(part) for part in (lesson.coded, lesson.keys, lesson.wanted))

    def part(rows: np.ndarray) -> Lesson:
        mine, theirs = (coded[rows], keys) if lesson.side == "queries" else (coded, keys[rows])
        put = lambda values: device_array(values, values.dtype)
        return replace(lesson, coded=put(mine), keys=put(theirs), wanted=put(wanted[rows]))

    return part(np.sort(order[count // 5 :])), part(np.sort(order[: count // 5]))
