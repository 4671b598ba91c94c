"""Learnable things as Flax modules, a few lines each over the functions of the library.

Reading order: critics (`BilinearCritic`, `SeparableCritic`, `ConcatenatedCritic`, `SumCritic`; `Committee`,
`small_committee`); what they are trained on (`objective`, losses in nats); `NormalScores`; `fit_critic`, which returns
a `CriticFit`, an estimate in bits. In models: `TemperatureDecoder`, `Quantizer` and `EntropyModel`,
`RateDistortionLoss`. Around models: `RankingMetric`; `DualEncoder` and `fit_dual_encoder`, the baseline of experiments.
"""

from rdjax.nn.committee import Committee, small_committee
from rdjax.nn.critics import BilinearCritic, ConcatenatedCritic, Network, SeparableCritic, SumCritic
from rdjax.nn.decoding import TemperatureDecoder
from rdjax.nn.dual_encoder import DualEncoder, fit_dual_encoder
from rdjax.nn.fitting import CriticFit, fit_critic
from rdjax.nn.normal_scores import NormalScores
from rdjax.nn.objectives import KNOWN_OBJECTIVES, Objective, jensen_shannon_loss, mine_loss, objective
from rdjax.nn.quantizing import EntropyModel, Quantized, Quantizer
from rdjax.nn.ranking_metric import RankingMetric
from rdjax.nn.tradeoff import RateDistortionLoss

__all__ = [
    "KNOWN_OBJECTIVES",
    "BilinearCritic",
    "Committee",
    "ConcatenatedCritic",
    "CriticFit",
    "DualEncoder",
    "EntropyModel",
    "Network",
    "NormalScores",
    "Objective",
    "Quantized",
    "Quantizer",
    "RankingMetric",
    "RateDistortionLoss",
    "SeparableCritic",
    "SumCritic",
    "TemperatureDecoder",
    "fit_critic",
    "fit_dual_encoder",
    "jensen_shannon_loss",
    "mine_loss",
    "objective",
    "small_committee",
]
