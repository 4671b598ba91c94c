"""The general tool: rate-distortion of any source and distortion. All rates in bits, leading axes are batch.

Which solver: `interior_point` (or `curve`, many slopes) unless an M x M solve does not fit, then `blahut_arimoto`;
`rate_at` for a given distortion; `capacity` for channels; closed forms for Gaussian sources.

Within `jax.shard_map` the solvers need `check_vma=False`: their loops start from constants, which JAX takes for values
that are alike on all devices. `limits` of a ranking and calibrations in `retrieval` need it too.
"""

from rdjax.rate_distortion import sources
from rdjax.rate_distortion.blahut import blahut_arimoto
from rdjax.rate_distortion.channel import Capacity, capacity
from rdjax.rate_distortion.curves import curve, rate_at
from rdjax.rate_distortion.gaussian_ceo import SeparateIntent, separate_intent_distortion, separate_intent_rate
from rdjax.rate_distortion.gaussian_intent import (
    GaussianIntent,
    JointIntent,
    intent_from_covariance,
    intent_from_noise,
    joint_intent_distortion,
    joint_intent_rate,
)
from rdjax.rate_distortion.newton import interior_point
from rdjax.rate_distortion.solution import RateDistortion
from rdjax.rate_distortion.water_filling import (
    WaterFilling,
    gaussian_bottleneck,
    gaussian_bottleneck_rate,
    reverse_water_filling,
    reverse_water_filling_at,
)

__all__ = [
    "Capacity",
    "GaussianIntent",
    "JointIntent",
    "RateDistortion",
    "SeparateIntent",
    "WaterFilling",
    "blahut_arimoto",
    "capacity",
    "curve",
    "gaussian_bottleneck",
    "gaussian_bottleneck_rate",
    "intent_from_covariance",
    "intent_from_noise",
    "interior_point",
    "joint_intent_distortion",
    "joint_intent_rate",
    "rate_at",
    "reverse_water_filling",
    "reverse_water_filling_at",
    "separate_intent_distortion",
    "separate_intent_rate",
    "sources",
]
