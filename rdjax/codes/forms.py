"""The form of any code that can be learned, its encoder's search for directions included."""

from dataclasses import dataclass
from typing import Any, cast

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from rdjax.codes.arrays import device_array
from rdjax.codes.cells import cell_of, level_of
from rdjax.codes.code import Code
from rdjax.codes.directional import GAINS, Directional, best_gain, likeness
from rdjax.codes.entropy_coded import EntropyCodedScalar
from rdjax.codes.lengths import Renormalized
from rdjax.codes.product import ProductQuantizer
from rdjax.codes.relaxed_forms import (
    Coded,
    Parameters,
    ProductForm,
    Relaxed,
    Revived,
    ScalarForm,
    TrellisForm,
    first_maps,
    mapped,
)
from rdjax.codes.relevance_map import RelevanceMap
from rdjax.codes.trellis import TrellisCode
from rdjax.numerics import matmul


@dataclass(frozen=True)
class DirectionalForm:
    """What `Directional` says: each item as many times as long as points best when it is coded by the form inside.

    Gradients are those of the form inside for items of that length; the choice of it has none.

    Args:
      form: of the code inside.
    """

    form: "ProductForm | TrellisForm | ScalarForm | CellsForm"

    def begin(self, code: Any, coded: jax.Array) -> Parameters:
        """As the form inside."""
        return self.form.begin(code, coded)

    def __call__(self, parameters: Parameters, coded: jax.Array, relaxed: Relaxed | None) -> Coded:
        """Coefficients [n, K] to `Coded`."""
        fixed, items = lax.stop_gradient((parameters, coded))
        points, gains = matmul(items, mapped(fixed)[0]), jnp.asarray(GAINS, coded.dtype)
        alike = lax.map(lambda gain: likeness(points, self.form(fixed, gain * items, relaxed).words), gains)
        return self.form(parameters, gains[best_gain(alike)][:, None] * coded, relaxed)

    def finish(self, code: Any, chart: RelevanceMap, parameters: Parameters, coded: jax.Array) -> Code:
        """As the form inside: the code whose encoder searches."""
        return self.form.finish(code, chart, parameters, coded)

    def sizes(self) -> np.ndarray:
        """As the form inside."""
        return self.form.sizes()

    def revive(self, parameters: Parameters, counts: np.ndarray, generator: np.random.Generator) -> Revived:
        """As the form inside."""
        return self.form.revive(parameters, counts, generator)


@dataclass(frozen=True)
class CellsForm:
    """An `EntropyCodedScalar` as it is, with its own cells and lengths: what training of a `ScalarForm` is held to.

    Args:
      k: coefficients.
    """

    k: int

    def begin(self, code: EntropyCodedScalar, coded: jax.Array) -> Parameters:
        """Its tables; bits [k, K] are 0 beyond its cells, which nothing falls in."""
        bits = np.zeros(code.levels.shape)
        for row, law in zip(bits, code.laws, strict=True):
            row[: len(law)] = -np.log2(law)
        tables = {"levels": code.levels, "thresholds": code.thresholds, "bits": device_array(bits, coded.dtype)}
        return {**first_maps(coded.shape[1], self.k, coded.dtype), **tables}

    def __call__(self, parameters: Parameters, coded: jax.Array, relaxed: Relaxed | None) -> Coded:
        """Coefficients [n, K] to `Coded`."""
        into, out = mapped(parameters)
        symbols = cell_of(parameters["thresholds"], matmul(coded, into))
        said, bits = level_of(parameters["levels"], symbols), level_of(parameters["bits"], symbols)
        return Coded(matmul(said, out.T), jnp.sum(bits, axis=-1), symbols, said)

    def finish(self, code: EntropyCodedScalar, chart: RelevanceMap, parameters: Parameters, coded: jax.Array) -> Code:
        """The code itself."""
        return code

    def sizes(self) -> np.ndarray:
        """No codebooks."""
        return np.zeros(0, int)

    def revive(self, parameters: Parameters, counts: np.ndarray, generator: np.random.Generator) -> Revived:
        """Nothing to revive."""
        return parameters, 0


Form = ProductForm | TrellisForm | ScalarForm | DirectionalForm | CellsForm


def given_form(form: Form) -> Form:
    """The form that begins as the fitted code itself: of scalars another one than they are trained in."""
    if isinstance(form, DirectionalForm):
        return DirectionalForm(cast(Any, given_form(form.form)))
    return CellsForm(form.k) if isinstance(form, ScalarForm) else form


def form_of(code: Code, soft: bool = False) -> Form:
    """How a code is learned; soft: its words, if it has any, from soft to hard.

    Raises:
      TypeError: for codes that have no form; `LearnedCode.sweep` says which have.
    """
    if isinstance(code, Renormalized):
        return form_of(code.code, soft)  # stretching is the lesson's
    if isinstance(code, Directional):
        return DirectionalForm(cast(Any, form_of(code.code, soft)))
    if isinstance(code, ProductQuantizer):
        return ProductForm(code.blocks, code.table, code.beam, soft)
    if isinstance(code, TrellisCode):
        return TrellisForm(code.width, code.window)
    if isinstance(code, EntropyCodedScalar):
        return ScalarForm(code.transform.k)
    raise TypeError(f"{type(code).__name__} has no relaxed form")
