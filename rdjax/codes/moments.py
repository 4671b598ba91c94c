"""Means, variances and covariances of rows [n, D] on the host, in float64, a block of rows at a time."""

from collections.abc import Iterator

import numpy as np


def float64_blocks(array: np.ndarray, size: int = 65536) -> Iterator[np.ndarray]:
    """The rows in float64, a block at a time."""
    for start in range(0, len(array), size):
        yield np.asarray(array[start : start + size], np.float64)


def mean_and_variance(array: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Mean and variance (divisor n) of every column, float64, in two passes."""
    mean = sum(block.sum(axis=0) for block in float64_blocks(array)) / len(array)
    return mean, sum(((block - mean) ** 2).sum(axis=0) for block in float64_blocks(array)) / len(array)


def covariance(array: np.ndarray, mean: np.ndarray) -> np.ndarray:
    """Covariance (divisor n) about the mean, float64."""
    return sum((block - mean).T @ (block - mean) for block in float64_blocks(array)) / len(array)


def spread_along(array: np.ndarray, mean: np.ndarray, basis: np.ndarray) -> np.ndarray:
    """Variance along every direction."""
    return sum((((block - mean) @ basis) ** 2).sum(axis=0) for block in float64_blocks(array)) / len(array)
