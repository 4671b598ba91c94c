"""Calibrated temperatures beside the known optimum of Gaussian mixtures, with the luck that a sample of that size has.

Run by temperatures.py --only optimum. Mixtures: documents y_m of unit norm, queries a_m y_m + sigma_m W in every modality,
and the noise of a Gaussian channel where they are sent with R_m bits; tau_m = (sigma_m^2 + q_m) / a_m is best. The first
four are those of the theory notes, section 4; the others are those of temperatures.py. Where one modality tells next to
nothing beside the other, its temperature matters little and is known poorly.

off: tau / optimum - 1. s.e.: predicted from the sample alone, by the information in it (`temperature_intervals`, on the
scale of ln tau). z: the one over the other. If the calibration finds the best temperatures and the intervals are right, z
is standard normal: its mean square is compared with that for each modality, p two-sided. Residuals: temperatures from
|x_m - a_m y_m|^2, which use the law of the queries too and not only of the relevant document given them; they are
right only where noise is Gaussian and alike in all directions, and say what knowing that is worth.
"""

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from scipy.special import chdtr, ndtri

from rdjax.retrieval import calibrate_temperatures, gaussian_temperatures, quantized_temperatures, temperature_intervals

DOCUMENTS = 200
LISTS = (200, 1000, 5000)
ASKED = {6000: 0.06, 200_000: 0.01}
Draw = tuple[np.ndarray, np.ndarray, np.ndarray]  # scores [2, Q, N], relevant [Q], temperatures by residuals [2]


@dataclass(frozen=True)
class Mixture:
    """Two modalities: gains, standard deviations of the noise, dimensions, and bits of a query if it is sent."""

    gains: tuple[float, float]
    noise: tuple[float, float]
    dim: int
    bits: tuple[float, float] | None = None

    @property
    def optimum(self) -> np.ndarray:
        gains, variance = np.array(self.gains), np.square(self.noise)
        if self.bits is None:
            return np.asarray(gaussian_temperatures(gains, variance))
        sent = np.array(self.bits)
        return np.asarray(quantized_temperatures(gains, variance, np.full(2, 1 / self.dim), sent, np.full(2, self.dim)))

    def draw(self, queries: int, seed: int, documents: int = DOCUMENTS) -> Draw:
        own = np.round(1000 * np.array((*self.gains, *self.noise, *(self.bits or ()), self.dim))).astype(int)
        rng = np.random.default_rng([seed, queries, *own])  # no two samples share their draws
        relevant, scores, residual = rng.integers(0, documents, queries), [], []
        for gain, tau in zip(self.gains, self.optimum, strict=True):
            y = rng.standard_normal((documents, self.dim))
            y /= np.linalg.norm(y, axis=1, keepdims=True)
            x = gain * y[relevant] + np.sqrt(gain * tau) * rng.standard_normal((queries, self.dim))
            found = (x * y[relevant]).sum(axis=1).mean()
            residual.append(((x - found * y[relevant]) ** 2).mean() / found)
            scores.append(x @ y.T)
        return np.stack(scores), relevant, np.array(residual)

    def __str__(self) -> str:
        sent = "" if self.bits is None else f", {self.bits[0]} and {self.bits[1]} bits"
        return f"gains {self.gains}, noise {self.noise}, {self.dim} dimensions{sent}"


NOTES = (
    Mixture((1, 1), (0.25, 0.6), 24),
    Mixture((2, 0.8), (0.7, 0.5), 24),
    Mixture((1, 1), (0.2, 0.2), 24, (48, 12)),
    Mixture((1, 1), (0.2, 1.0), 24),
)
OTHERS = tuple(Mixture((1, 1), noise, 16) for noise in ((0.25, 0.25), (0.25, 0.6), (0.2, 1.0), (0.6, 0.25)))


@dataclass(frozen=True)
class Found:
    """Of samples of a mixture: calibrated and by residuals, relative to the optimum, and predicted s.e. [samples, 2]."""

    off: np.ndarray
    residual: np.ndarray
    error: np.ndarray

    @property
    def z(self) -> np.ndarray:
        return np.log1p(self.off) / self.error


def sampled(mixture: Mixture, queries: int, samples: int) -> Found:
    rows = []
    for seed in range(samples):
        scores, relevant, residual = mixture.draw(queries, seed)
        tau, error = calibrated(scores, relevant)
        rows.append((tau / mixture.optimum - 1, residual / mixture.optimum - 1, error))
    return Found(*(np.stack(part) for part in zip(*rows, strict=True)))


def calibrated(scores: np.ndarray, relevant: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(temperatures [2], standard errors of their logarithms [2])."""
    tau = np.asarray(calibrate_temperatures(scores, relevant).temperatures)
    low, high = np.asarray(temperature_intervals(scores, relevant, tau, level=0.95)).T
    return tau, np.log(high / low) / (2 * ndtri(0.975))


def by_documents(mixture: Mixture, queries: int) -> str:
    """What more documents to be told apart would tell: a posterior that is surer is known less well."""
    errors = [calibrated(*mixture.draw(queries, 0, n)[:2])[1] for n in LISTS]
    each = ", ".join(f"{n:,}: {100 * e[0]:.2f}% and {100 * e[1]:.2f}%" for n, e in zip(LISTS, errors, strict=True))
    return f"{mixture}, s.e. at {queries:,} queries by documents: {each}"


def lines(mixture: Mixture, queries: int, found: Found) -> Iterator[str]:
    """The mixture, and a line of percents for each modality."""
    asked, samples = ASKED[queries], len(found.off)
    inside = (np.abs(found.off) <= asked).all(axis=1).sum()
    yield f"{mixture}, {queries:,} queries: {inside} of {samples} samples within {asked:.0%}"
    for m, tau in enumerate(mixture.optimum):
        off, error, residual = (100 * part[:, m] for part in (found.off, found.error, found.residual))
        some = " ".join(f"{value:+.2f}" for value in off[:3])
        yield (
            f"    tau {tau:.4f}: {some}% off{' ...' if samples > 3 else ''}, root mean square {rms(off):.2f}%, s.e. "
            f"{error.mean():.2f}%, z {rms(found.z[:, m]):.2f}; residuals {rms(residual):.2f}% off"
        )


def rms(values: np.ndarray) -> float:
    return float(np.sqrt(np.mean(np.square(values))))


def verdict(label: str, queries: int, every: list[Found]) -> str:
    """In how many samples both are within what was asked, in how many that was to be expected, and whether z is normal."""
    asked = ASKED[queries]
    off, error, z = (np.concatenate([getattr(found, name) for found in every]) for name in ("off", "error", "z"))
    able = (2 * error <= asked).all(axis=1)  # twice the standard error is within it
    inside = (np.abs(off) <= asked).all(axis=1)
    below = chdtr(len(z), np.sum(z**2, axis=0))  # of one modality the samples are independent
    spread = " and ".join(f"{rms(z[:, m]):.2f} (p {2 * min(below[m], 1 - below[m]):.2f})" for m in range(2))
    return (
        f"{label}, {queries:,} queries: within {asked:.0%} in {inside.sum()} of {len(inside)} samples; where 2 s.e. allow it "
        f"{inside[able].sum()} of {able.sum()}; z: root mean square {spread}, largest {np.abs(z).max():.2f}"
    )


def optimum(samples: dict[int, int]) -> None:
    """All mixtures at every number of queries, so many samples of each."""
    print(f"calibrated temperatures beside the optimum, {DOCUMENTS} documents")
    closing = []
    for label, mixtures in (("of the notes", NOTES), ("others", OTHERS)):
        for queries in ASKED:
            every = []
            for mixture in mixtures:
                every.append(found := sampled(mixture, queries, samples[queries]))
                print("\n".join(lines(mixture, queries, found)), flush=True)
            closing.append(verdict(label, queries, every))
    for mixture in NOTES:
        print(by_documents(mixture, 6000), flush=True)
    print("\n".join(closing), flush=True)
