"""Joint laws whose mutual information is known: ground truth for tests, benchmarks and calibration.

Each by two routes (see `Task`): a closed form or quadrature, and the mean information density over samples. Names that
benchmark-mi uses name the same laws here; the numbers in a name are columns of x, columns of y, and parameters.
"""

from functools import cache

import numpy as np

from rdjax import checks
from rdjax.information import task_mixed as mixed
from rdjax.information.task_laws import Task, mixture, normal, student, table, uniform_noise


def task(name: str) -> Task:
    """The task of a `name` that one of `all_tasks` has; InputError for another."""
    known = {one.name: one for one in all_tasks()}
    checks.require(name in known, f"task {name!r} is not known; the tasks are {', '.join(known)}.")
    return known[name]


@cache
def all_tasks() -> tuple[Task, ...]:
    """All of them: normal and Student-t laws, uniform noise, bijections of those, mixtures, discrete and mixed laws."""
    plane = normal("normal-1-1-0.75", _plane(0.75), 1)
    five = normal("multinormal-sparse-5-5-2-2.0", sparse(5, 5, 2, 2.0), 5)
    cauchy = student("student-identity-1-1-1", np.eye(2), 1, 1)
    noise = uniform_noise("uniform-noise-0.1", 0.1)
    typewriter = table("symmetric-channel-8-0.2", np.eye(8) * (0.8 - 0.2 / 7) / 8 + 0.2 / 7 / 8)
    uniform = mixed.transformed("normal-cdf-1-1-0.75", plane, mixed.normal_cdf, mixed.normal_cdf)
    return (
        plane,
        normal("multinormal-independent-5-5", np.eye(10), 5),
        normal("multinormal-dense-5-5-0.5", 0.5 * np.eye(10) + 0.5, 5),
        five,
        normal("multinormal-sparse-25-25-2-2.0", sparse(25, 25, 2, 2.0), 25),
        cauchy,
        student("student-sparse-5-5-2-2.0-2", sparse(5, 5, 2, 2.0), 5, 2),
        noise,
        uniform_noise("uniform-noise-0.75", 0.75),
        mixed.transformed("half-cube-multinormal-sparse-5-5-2-2.0", five, mixed.half_cube, mixed.half_cube),
        mixed.transformed("asinh-student-identity-1-1-1", cauchy, mixed.asinh, mixed.asinh),
        mixed.transformed("spiral-multinormal-sparse-5-5-2-2.0", five, mixed.spiral(1 / 3), mixed.spiral(1 / 3)),
        uniform,
        mixed.transformed("swiss-roll-2-1", uniform, mixed.swiss_roll, mixed.identity),
        mixture("mixture-crossed", [0.5, 0.5], np.zeros((2, 2)), [_plane(0.95), _plane(-0.95)]),
        mixture("mixture-clusters", [0.4, 0.3, 0.2, 0.1], [[-3, -2], [3, 2], [-2, 3], [2, -3]], [np.eye(2)] * 4),
        table("table-3-4", np.array([[6, 1, 0, 1], [1, 5, 1, 1], [0, 0, 2, 2]]) / 20),
        typewriter,
        mixed.uniform_given_symbol("uniform-given-symbol-5", 5),
        mixed.noisy_sign("noisy-sign-0.8", 0.8),
        mixed.zero_inflated_poisson("zero-inflated-poisson-0.15", 0.15),
        mixed.product("symbol-and-normal-2-2", typewriter, plane),
    )


def sparse(dim_x: int, dim_y: int, pairs: int, strength: float) -> np.ndarray:
    """Unit variances; the first pairs x_i, y_i have correlation s^2 / (1 + s^2), all else is independent."""
    matrix = np.eye(dim_x + dim_y)
    for i in range(pairs):
        matrix[i, dim_x + i] = matrix[dim_x + i, i] = strength**2 / (1 + strength**2)
    return matrix


def _plane(correlation: float) -> np.ndarray:
    return np.array([[1.0, correlation], [correlation, 1.0]])
