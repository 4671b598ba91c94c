"""Public functions inside a caller's jit that makes their arrays, compiled as users compile, beside the same calls alone.

    python benchmarks/fused.py [--only NAME ...] [--forms inside batched mapped gradient] [--ties] [--float32]

XLA computes a value again wherever it is used and may round a product fused with a sum once, elsewhere twice. Functions
that compare what they are given with itself, such as counts of what lies above, or that ask whether two values are equal
must not see the difference. Each float array x of each call in tests/public_calls.py is made inside as u v + w; `--ties`
takes multiples of 1/8 instead, which are exact however they are rounded, and hold ties. Forms: within jit; that within
vmap or `lax.map`; the gradient of a weighted sum of all results. Prints what is further from the call alone than the
tolerance, and what cannot be traced.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import pathlib
import sys
import time

import jax
import jax.numpy as jnp
import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))

from tests.spoiled import OF_PRECISION

FORMS = ("inside", "batched", "mapped", "gradient")
TOLERANCE = {"float64": 1e-9, "float32": 5e-4}


def made(parts):
    """The arrays, of products and sums."""
    return [u * v + w for u, v, w in parts]


def parts_of(array, ties, rng):
    """(u, v, w) with u v + w = x: x is the array, or it to multiples of 1/8."""
    if ties:
        u = rng.choice([0.5, 1.0, 2.0], array.shape)
        x, v = np.round(array * 8) / 8, rng.choice([0.25, 0.5, 1.0], array.shape)
    else:
        u = rng.uniform(0.3, 0.9, array.shape)
        x, v = array, 0.9 * array / u
    return tuple(np.asarray(part, jax.dtypes.canonicalize_dtype(float)) for part in (u, v, x - u * v))


def of_arrays(function, args, kwargs):
    """(a function of the call's float arrays alone that gives its results, those arrays)."""
    leaves, tree = jax.tree.flatten((args, kwargs))
    at = [i for i, leaf in enumerate(leaves) if isinstance(leaf, np.ndarray) and leaf.dtype.kind == "f" and leaf.size]

    def call(arrays):
        given = dict(zip(at, arrays, strict=True))
        args, kwargs = jax.tree.unflatten(tree, [given.get(i, leaf) for i, leaf in enumerate(leaves)])
        found = jax.tree.leaves_with_path(function(*args, **kwargs))
        kept = [leaf for path, leaf in found if not OF_PRECISION & {getattr(one, "name", None) for one in path}]
        return [leaf for leaf in kept if isinstance(leaf, jax.Array | np.ndarray | float)]

    return call, [leaves[i] for i in at]


def weighted(call):
    """One number of all float results, for a gradient."""

    def total(arrays):
        found = [jnp.ravel(one) for one in map(jnp.asarray, call(arrays)) if jnp.issubdtype(one.dtype, jnp.floating)]
        flat = jnp.concatenate(found)
        return jnp.sum(jnp.cos(jnp.arange(flat.size)) * jnp.where(jnp.isfinite(flat), flat, 0))

    return total


def pair(form, call, parts):
    """(what the form gives, what the call alone gives): lists of arrays."""
    arrays = jax.jit(made)(parts)
    twice = jax.tree.map(lambda part: jnp.stack([part, part]), parts)
    inner = lambda parts: call(made(parts))
    if form == "gradient":
        moved = lambda shifts, parts: weighted(call)([a + b for a, b in zip(made(parts), shifts, strict=True)])
        shifts = [jnp.zeros_like(one) for one in arrays]
        return jax.jit(jax.grad(moved))(shifts, parts), jax.grad(weighted(call))(arrays)
    if form == "inside":
        return jax.jit(inner)(parts), call(arrays)
    both = jax.jit(jax.vmap(inner) if form == "batched" else lambda parts: jax.lax.map(inner, parts))(twice)
    return [one[1] for one in both], call(arrays)


def difference(there, alone):
    """The largest over the results, of their size; infinite where shapes, NaNs or infinities differ."""
    worst = 0.0
    for one, other in zip(there, alone, strict=True):
        a, b = np.asarray(one, np.float64), np.asarray(other, np.float64)
        if a.shape != b.shape or not np.array_equal(np.isfinite(a), np.isfinite(b)):
            return np.inf
        a, b = a[np.isfinite(a)], b[np.isfinite(b)]
        if a.size:
            worst = max(worst, float(np.max(np.abs(a - b)) / max(1.0, np.max(np.abs(b)))))
    return worst


def tried(made_call, form, ties):
    """(the difference, or None; what was said instead)."""
    call, arrays = of_arrays(*made_call)
    if not arrays:
        return None, "no float arrays"
    rng = np.random.default_rng(7)
    parts = [parts_of(np.asarray(array), ties, rng) for array in arrays]
    try:
        call(jax.jit(made)(parts))
    except Exception as error:
        return None, f"alone: {type(error).__name__}: {str(error)[:90]}"
    try:
        return difference(*pair(form, call, parts)), ""
    except Exception as error:
        return None, f"{form}: {type(error).__name__}: {str(error)[:90]}"


def main():
    options = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    options.add_argument("--only", nargs="+", help="calls whose names begin so")
    options.add_argument("--forms", nargs="+", choices=FORMS, default=list(FORMS))
    options.add_argument("--ties", action="store_true")
    options.add_argument("--float32", action="store_true", help="with JAX's float64 off")
    chosen = options.parse_args()
    start, count, bad, untraced = time.perf_counter(), 0, 0, 0
    with jax.enable_x64(not chosen.float32):
        tolerance = TOLERANCE["float32" if chosen.float32 else "float64"]
        from tests.public_calls import CALLS  # what it fits is of this precision

        for name in CALLS:
            if chosen.only and not name.startswith(tuple(chosen.only)):
                continue
            for form in chosen.forms:
                found, said = tried(CALLS[name], form, chosen.ties)
                count += found is not None
                untraced += found is None
                if found is None or not found <= tolerance:
                    bad += found is not None
                    print(f"{name}: {said or f'{form}: {found:.2g}'}".replace("\n", " "), flush=True)
            jax.clear_caches()
    print(f"{count} pairs, {bad} apart, {untraced} not compared, {time.perf_counter() - start:.0f} s")
    return 1 if bad else 0


if __name__ == "__main__":
    raise SystemExit(main())
