"""Codes that really spend the bits: fit, encode, decode, rate, to_bytes, from_bytes.

Three classes of code, never mixed without a label, because different floors bind them:

    A  the encoder searches the corpus (`RankCode`)
    B  a codebook fitted on this corpus; the encoder holds only the codebook
    C  fitted elsewhere and portable: the encoder is blind to the corpus

B and C are the same code fitted on other vectors; `encoder_bytes` is what the classes differ by. `LearnedCode` trains
a fitted code of either class for ranking.
"""

from rdjax.codes.allocation import Purchase, marginal_returns
from rdjax.codes.binary import SignBits, SignBitsRescored
from rdjax.codes.code import Code, FixedLengthCode
from rdjax.codes.directional import Directional
from rdjax.codes.entropy_coded import EntropyCodedScalar
from rdjax.codes.integer import Int8
from rdjax.codes.learned import LearnedCode
from rdjax.codes.lengths import Renormalized
from rdjax.codes.lesson import simulated_documents, simulated_lessons
from rdjax.codes.lookup import Decoded, lookup_scores
from rdjax.codes.modalities import fit_pca_by_modality
from rdjax.codes.product import ProductQuantizer
from rdjax.codes.query_model import QueryModel
from rdjax.codes.randomized import DitheredScalar, UniformInCell
from rdjax.codes.rank import RankCode
from rdjax.codes.rank_cells import CellRankCode
from rdjax.codes.rank_designed import DesignedRankCode
from rdjax.codes.rank_mapped import MappedRankCode
from rdjax.codes.rate import Rate
from rdjax.codes.recoded import EntropyCoded
from rdjax.codes.relevance_map import RelevanceMap, fit_relevance_map
from rdjax.codes.saved import load_code, save_code
from rdjax.codes.scalar import ScalarQuantizer
from rdjax.codes.trellis import TrellisCode
from rdjax.codes.truncation import Truncation
from rdjax.codes.turning import turned_at_random
from rdjax.codes.wrapped import Weighted

__all__ = [  # noqa: RUF022  reading order
    "Code",
    "FixedLengthCode",
    "Rate",
    "Truncation",
    "ScalarQuantizer",
    "EntropyCodedScalar",
    "SignBits",
    "SignBitsRescored",
    "Int8",
    "DitheredScalar",
    "UniformInCell",
    "ProductQuantizer",
    "TrellisCode",
    "RankCode",
    "DesignedRankCode",
    "CellRankCode",
    "MappedRankCode",
    "EntropyCoded",
    "Weighted",
    "Directional",
    "Renormalized",
    "LearnedCode",
    "simulated_lessons",
    "simulated_documents",
    "QueryModel",
    "RelevanceMap",
    "fit_relevance_map",
    "turned_at_random",
    "fit_pca_by_modality",
    "marginal_returns",
    "Purchase",
    "lookup_scores",
    "Decoded",
    "save_code",
    "load_code",
]
