"""Scalar quantizers beside the Shannon bound: squared error of one coefficient of variance 1 at equal mean bits.

    python benchmarks/scalar.py               (about half a minute on 2 cores)

The sample is 65,536 quantiles of the law, so nothing here is random but what a quantizer draws. "Shannon" is D(R): in
closed form for the Gaussian, by the interior point on 512 cells of width .05 for the Laplacian, to about .0003 (the
Gaussian by that route, as a check, is in the last column). Fixed lengths below 1 bit are a share of the coefficients at
1 bit and the others at none. Entropy-coded designs are fitted at the bits shown to within .2%, and their errors then
moved to exactly these bits along the slope of the bound. "over" is the excess of full ECSQ over the bound in bits (for
the Laplacian at the Gaussian's slope). Full ECSQ is a local minimum: at .25 bit of the Laplacian it misses the dead zone
by .01%.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import math

import jax
import numpy as np
from rows import record
from scipy import special

from rdjax.codes.entropy_coded import EntropyCodedScalar
from rdjax.codes.lloyd import lloyd_max
from rdjax.codes.randomized import DitheredScalar, UniformInCell
from rdjax.codes.scalar import ScalarQuantizer
from rdjax.rate_distortion import curve

RATES = (0.1, 0.25, 0.5, 1, 2, 3)
COLUMNS = ("Shannon", "full ECSQ", "dead zone", "uniform in cell", "dithered", "fixed: Gaussian", "fixed: fitted")


def quantiles(name, size=1 << 16):
    share = (np.arange(size) + 0.5) / size
    if name == "Gaussian":
        x = special.ndtri(share)
    else:
        x = np.where(share < 0.5, np.log(2 * share), -np.log(2 * (1 - share)))
    return (x / x.std())[:, None]


def shannon(name):
    """D at RATES by the interior point on a grid of cells, for a law of variance 1."""
    edges = 0.05 * (np.arange(513) - 256)
    below = special.ndtr(edges) if name == "Gaussian" else laplace_below(edges)
    mass = np.diff(below)
    centers = (edges[1:] + edges[:-1]) / 2
    distortion = (centers[:, None] - centers[None, :]) ** 2
    slopes = np.geomspace(0.6, 60, 28)
    found = curve(mass / mass.sum(), distortion, slopes)
    rates, errors = np.asarray(found.rate), np.asarray(found.distortion)
    order = np.argsort(rates)
    return 2 ** np.interp(RATES, rates[order], np.log2(errors[order]))


def laplace_below(x):
    tail = np.exp(-math.sqrt(2) * np.abs(x)) / 2
    return np.where(x < 0, tail, 1 - tail)


def fixed(rate, x, law):
    """Squared error at a whole number of bits, or of so many coefficients at 1 bit and the others at none."""
    whole = max(1, math.floor(rate))
    code = ScalarQuantizer.fit(x, whole, transform="coordinates", law=law)
    return 1 - min(rate, 1) * (1 - error(code, x))


def error(code, x):
    return float(np.mean((np.asarray(code.decode(code.encode(x))) - x) ** 2))


def entropy_coded(make, rate, x):
    code = make(x, rate)
    spent = code.rate(code.encode(x)).entropy
    return error(code, x) * 4 ** (spent - rate)


def main():
    makers = {
        "full ECSQ": lambda x, b: EntropyCodedScalar.fit(x, b, transform="coordinates"),
        "dead zone": lambda x, b: EntropyCodedScalar.fit(x, b, transform="coordinates", cells="dead zone"),
        "uniform in cell": lambda x, b: UniformInCell.fit(x, b, transform="coordinates"),
        "dithered": lambda x, b: DitheredScalar.fit(x, b, transform="coordinates"),
    }
    with jax.enable_x64(True):
        for name in ("Gaussian", "Laplacian"):
            x, grid = quantiles(name), shannon(name)
            bound = [4.0**-rate for rate in RATES] if name == "Gaussian" else grid
            print(f"\n{name:9} " + " ".join(f"{column:>15}" for column in (*COLUMNS, "over", "grid")))
            for rate, least, check in zip(RATES, bound, grid, strict=True):
                row = {"Shannon": least} | {key: entropy_coded(make, rate, x) for key, make in makers.items()}
                row |= {
                    f"fixed: {key}": fixed(rate, x, law)
                    for key, law in (("Gaussian", "gaussian"), ("fitted", "samples"))
                }
                record(
                    f"squared error of full ECSQ, {name}, {rate:g} bits", row["full ECSQ"], least, "Shannon's bound", ""
                )
                over = 0.5 * math.log2(row["full ECSQ"] / least)  # exact for the Gaussian
                print(f"{rate:4} bits " + " ".join(f"{row[c]:15.5f}" for c in COLUMNS) + f" {over:15.4f} {check:15.5f}")
            if name == "Gaussian":
                print(
                    "           Lloyd-Max tables at 1, 2, 3 bits: "
                    + ", ".join(f"{lloyd_max(2**b)[2]:.5f}" for b in (1, 2, 3))
                )


if __name__ == "__main__":
    main()
