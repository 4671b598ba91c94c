"""Principal components of every modality by itself, so that bits can be given to modalities."""

from collections.abc import Sequence
from typing import Any

import numpy as np
from scipy.linalg import block_diag

from rdjax.checks import require, whole
from rdjax.codes.arrays import device_array, fit_vectors
from rdjax.codes.transform import Projection, fit_pca


def fit_pca_by_modality(vectors: Any, modalities: Sequence[int], k: Sequence[int] | None = None) -> Projection:
    """The directions of largest variance within each modality, side by side: the basis is block diagonal.

    Beside it goes `ProductQuantizer.fit(vectors, bits, transform=this, modalities=k)`, the bits of each modality by one
    of the rules of `allocation`: the paper's section 5.1 with `largest_remainder(entropies, bits)`, which keeps the
    budget that its printed rule (`proportional_ceil`) overruns; `water_filled` or `marginal_returns`, which follow what
    bits buy (theory notes, section 4).

    Args:
      vectors: [n, D].
      modalities: dimensions of each [M], sum D.
      k: directions kept of each [M]; None for as many as there are, min(n - 1, dimensions).

    Returns:
      a `Projection` of kind "PCA by modality"; variances [sum k] fall within each modality.

    Raises:
      InputError: if the modalities do not add up to D, or a k is out of range.
    """
    array = fit_vectors(vectors)
    require(np.ndim(modalities) == 1, f"the modalities are {modalities!r}; give the dimensions of each, [M].")
    sizes = [whole(size, "the number of dimensions of a modality") for size in modalities]
    require(
        sum(sizes) == array.shape[1],
        f"modalities of {tuple(sizes)} dimensions were given for vectors of {array.shape[1]}; they must add up.",
    )
    kept = [min(len(array) - 1, size) for size in sizes] if k is None else [*k]
    require(len(kept) == len(sizes), f"{len(kept)} numbers of directions were given for {len(sizes)} modalities.")
    columns = np.split(np.arange(array.shape[1]), np.cumsum(sizes)[:-1])
    parts = [fit_pca(array[:, part[0] : part[-1] + 1], count) for part, count in zip(columns, kept, strict=True)]
    basis = block_diag(*[np.asarray(part.basis) for part in parts])
    mean = np.concatenate([np.asarray(part.mean) for part in parts])
    variances = np.concatenate([np.asarray(part.variances) for part in parts])
    dtype = parts[0].mean.dtype
    return Projection(
        device_array(mean, dtype), device_array(basis, dtype), device_array(variances, dtype), "PCA by modality"
    )
