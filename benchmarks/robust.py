"""Public functions with spoiled arguments: one sentence, or numbers without NaN; of NaN, one sentence and no number.

    python benchmarks/robust.py [--only NAME ...] [--kinds values shapes kinds precisions] [--float32]

Each array of each call in tests/public_calls.py is given NaN, infinities, zeros, huge and tiny numbers, other signs, one
row, no rows, an axis more or less, text, objects and complex numbers, one at a time. That the numbers are right is not
looked at here, but for float32, float16 and bfloat16, all at once: their answer is compared with that of the same numbers
in float64, or bfloat16 is refused in a sentence that names it and float32. Where float64 refuses the same numbers, such as
laws that do not sum to one after rounding, nothing is compared. `test_robust` says which public functions are not called.
Prints what is wrong, and how much was tried.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import pathlib
import sys
import time

import jax
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from tests.public_calls import CALLS
from tests.spoiled import (
    BFLOAT16,
    NAN,
    PRECISIONS,
    arrays_of,
    complaint,
    kinds_of,
    narrow,
    outcome,
    replaced,
    shapes_of,
    values_of,
)

TOLERANCE = {"float32": 1e-3, "float16": 2e-2, "bfloat16": 2e-2}
OTHER_DRAWS = {  # by precision
    "codes.simulated_documents",
    "codes.QueryModel.simulate",
    "codes.ProductQuantizer.fit",
    "information.dither",
}
KINDS = ("values", "shapes", "kinds", "precisions")
SPOIL = {"values": (values_of, ()), "shapes": (shapes_of, ()), "kinds": (kinds_of, (TypeError, ValueError, Warning))}


def spoilings(args, kwargs, kinds):
    """(what was done, args, kwargs, errors that are as good as an InputError, whether no number is an answer)."""
    for path, array in arrays_of(args, kwargs):
        for kind, (spoil, enough) in SPOIL.items():
            for what, other in spoil(array) if kind in kinds else ():
                yield f"{jax.tree_util.keystr(path)} {what}", *replaced(args, kwargs, path, other), enough, what in NAN


def tried(name, kinds):
    """(what was done, complaint or None) for every spoiling of a call."""
    function, args, kwargs = CALLS[name]
    for what, a, k, enough, refused in spoilings(args, kwargs, kinds):
        yield what, complaint(function, a, k, enough=enough, refused=refused)
    for kind in PRECISIONS if "precisions" in kinds else ():
        less, wide = narrow(args, kwargs, kind)
        label = np.dtype(kind).name
        try:
            like = outcome(function, *wide)
        except Exception as error:
            yield f"{label} as float64", f"{type(error).__name__}: {error}"
            continue
        if (
            isinstance(like, list) and name not in OTHER_DRAWS
        ):  # a law that does not sum to one after rounding is refused on both sides
            said = complaint(function, *less, like=like, tolerance=TOLERANCE[label])
            yield label, None if (said or "").startswith("refused") and BFLOAT16.search(said) else said


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", nargs="+", help="calls whose names begin so")
    options.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    options.add_argument("--float32", action="store_true", help="with JAX's float64 off")
    chosen = options.parse_args()
    jax.config.update("jax_numpy_rank_promotion", "raise")
    start, count, bad = time.perf_counter(), 0, 0
    with jax.enable_x64(not chosen.float32):
        for name in CALLS:
            if chosen.only and not name.startswith(tuple(chosen.only)):
                continue
            for what, wrong in tried(name, chosen.kinds):
                count += 1
                if wrong:
                    bad += 1
                    print(f"{name}: {what}: {wrong}", flush=True)
            jax.clear_caches() if count % 20 == 0 else None
    print(f"{count} spoiled calls of {len(CALLS)}, {bad} wrong, {time.perf_counter() - start:.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
