"""A code as `rdjax encode` keeps it: for the vectors that the files of a corpus hold, with notes of what it is for."""

import json
from collections.abc import Mapping
from typing import Any

import numpy as np

from rdjax.codes import Code
from rdjax.codes.wrapped import Weighted


def for_features(code: Code, scale: Mapping[str, float], features: Mapping[str, Any]) -> Code:
    """A code of scaled vectors (see `View.scale`) as one of what stands in the corpus."""
    if all(factor == 1 for factor in scale.values()):
        return code
    weights = [np.full(array.shape[1], scale[name]) for name, array in features.items()]
    return Weighted.fit(code, np.concatenate(weights))


def notes_of(side: str, family: str, code_class: str, fitted_on: str, features: Mapping[str, Any]) -> dict[str, str]:
    """What is kept beside a code, in words."""
    widths = json.dumps({name: array.shape[1] for name, array in features.items()})
    return {"side": side, "family": family, "class": code_class, "fitted on": fitted_on, "modalities": widths}
