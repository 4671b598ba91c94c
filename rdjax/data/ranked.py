"""Run: what another search system ranked for each query."""

from dataclasses import dataclass
from typing import Any

import numpy as np


@dataclass(frozen=True, eq=False)
class Run:
    """The documents that each query was given, and their scores; higher is better.

    Args:
      documents: int64 [Q, K], padded with -1.
      scores: float64 [Q, K], minus infinity at padding.
    """

    documents: np.ndarray
    scores: np.ndarray

    def take(self, indices: Any) -> "Run":
        """The run of these queries only, in this order."""
        return Run(self.documents[indices], self.scores[indices])

    def counts(self, relevant: np.ndarray, num_documents: int) -> tuple[np.ndarray, np.ndarray]:
        """Documents above each relevant one, and tied with it (itself included).

        Documents that a run leaves out come after all that it names, tied with each other.

        Args:
          relevant: int [Q], or [Q, J] padded with -1.
          num_documents: N.

        Returns:
          (above, tied), int64 of the shape of `relevant`; tied is 0 at padding.
        """
        wanted = relevant.reshape(len(relevant), -1)
        above, tied = np.zeros(wanted.shape, np.int64), np.zeros(wanted.shape, np.int64)
        named = (self.documents >= 0).sum(axis=1)
        for place, asked in enumerate(wanted.T):
            found = self.documents == np.where(asked < 0, -2, asked)[:, None]
            own = np.where(found, self.scores, -np.inf).max(axis=1, initial=-np.inf)[:, None]
            given = found.any(axis=1)
            above[:, place] = np.where(given, (self.scores > own).sum(axis=1), named)
            tied[:, place] = np.where(given, (self.scores == own).sum(axis=1), num_documents - named)
        real = wanted >= 0
        return np.where(real, above, 0).reshape(relevant.shape), np.where(real, tied, 0).reshape(relevant.shape)
