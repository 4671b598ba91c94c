"""How the excess distortion of trained codes falls with n, fitted with a free floor, beside what theory says.

    python benchmarks/exponents.py

400 independent training sets for each of ten n, 128 to 65,536; population distortion by formula. b is the exponent,
c the floor; profile likelihood intervals of 95%, then the bootstrap's for b; "raw slope" is the last local slope of the
statistic with its floor in it.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import time

from rdjax.limits.decay import STATISTICS
from rdjax.paper.exponents import trained_excesses


def interval(ends, form):
    return f"[{ends[0]:{form}}, {ends[1]:{form}}]"


def main():
    start = time.perf_counter()
    cases = trained_excesses()
    print(f"trained in {time.perf_counter() - start:.0f} s")
    for case in cases:
        print(f"\n{case.name}: theory b = {case.exponent:.3f} (of the mean absolute value), c = {case.floor:.5f}")
        print(
            f"{'':>14} {'b':>6} {'profile':>16} {'bootstrap':>16} {'c':>10} {'profile':>22} {'misfit':>7} {'raw slope':>10}"
        )
        for statistic in STATISTICS:
            fit = case.fit(statistic)
            print(
                f"{statistic:>14} {fit.exponent:>6.3f} {interval(fit.exponent_interval, '.3f'):>16} "
                f"{interval(fit.bootstrap, '.3f'):>16} {fit.floor:>10.2e} {interval(fit.floor_interval, '.2e'):>22} "
                f"{fit.misfit:>7.2f} {fit.slopes[-1]:>10.3f}"
            )
    print(f"\n{time.perf_counter() - start:.0f} s in all")


if __name__ == "__main__":
    main()
