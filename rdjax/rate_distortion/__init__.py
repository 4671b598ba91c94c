"""The general tool: rate-distortion of any source and distortion. All rates in bits, leading axes are batch."""

from rdjax.rate_distortion.water_filling import (
    WaterFilling,
    gaussian_bottleneck,
    gaussian_bottleneck_rate,
    reverse_water_filling,
)

__all__ = ["WaterFilling", "gaussian_bottleneck", "gaussian_bottleneck_rate", "reverse_water_filling"]
