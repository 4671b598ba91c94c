"""Entropy and mutual information: exact, estimated, bounded. Every value in bits; leading axes are batch.

Which one: of a given law `entropy`, `mutual_information` and their kin; from counted symbols `entropy_from_counts`;
from vectors `ksg` in few dimensions, `gaussian_mutual_information_from_samples` where they are near Gaussian, and
bounds that a critic is trained for (`infonce` and its kin; `rdjax.nn.fit_critic`) in many. `calibrate_estimator` says
what a reading is worth on data of this size and shape (`calibrate_entropy` of an entropy), `permutation_test` whether
there is anything at all. `modalities_of_law`, `_of_symbols` and `_of_samples` are the paper's quantities;
`unique_relevance` is the true price of a modality.
"""

from rdjax.information.calibration import EstimatorCalibration, calibrate_estimator
from rdjax.information.contingency import (
    contingency_table,
    mutual_information_from_counts,
    mutual_information_standard_error,
)
from rdjax.information.counts import METHODS, entropy_from_counts, entropy_standard_error
from rdjax.information.covariance import (
    canonical_correlations,
    gaussian_entropy,
    gaussian_mutual_information,
    gaussian_total_correlation,
)
from rdjax.information.discrete import (
    binary_entropy,
    conditional_entropy,
    conditional_mutual_information,
    cross_entropy,
    entropy,
    jensen_shannon,
    joint_entropy,
    kl,
    mutual_information,
    total_correlation,
)
from rdjax.information.entropy_calibration import EntropyCalibration, calibrate_entropy
from rdjax.information.gaussian_samples import (
    gaussian_information_bias,
    gaussian_mutual_information_from_samples,
    sample_canonical_correlations,
    shrunk_covariance,
)
from rdjax.information.look_alike import like
from rdjax.information.modalities import (
    Modalities,
    modalities_of_law,
    modalities_of_samples,
    modalities_of_symbols,
    unique_relevance,
)
from rdjax.information.neighbors import kozachenko_leonenko, ksg, ksg_conditional
from rdjax.information.permutation import PermutationTest, permutation_test
from rdjax.information.task_laws import Task
from rdjax.information.tasks import all_tasks, task
from rdjax.information.ties import dither
from rdjax.information.variational import (
    barber_agakov,
    bound_standard_error,
    club,
    donsker_varadhan,
    infonce,
    leave_one_out,
    nwj,
    smile,
)
from rdjax.information.variational import jensen_shannon as jensen_shannon_bound

__all__ = [
    "METHODS",
    "EntropyCalibration",
    "EstimatorCalibration",
    "Modalities",
    "PermutationTest",
    "Task",
    "all_tasks",
    "barber_agakov",
    "binary_entropy",
    "bound_standard_error",
    "calibrate_entropy",
    "calibrate_estimator",
    "canonical_correlations",
    "club",
    "conditional_entropy",
    "conditional_mutual_information",
    "contingency_table",
    "cross_entropy",
    "dither",
    "donsker_varadhan",
    "entropy",
    "entropy_from_counts",
    "entropy_standard_error",
    "gaussian_entropy",
    "gaussian_information_bias",
    "gaussian_mutual_information",
    "gaussian_mutual_information_from_samples",
    "gaussian_total_correlation",
    "infonce",
    "jensen_shannon",
    "jensen_shannon_bound",
    "joint_entropy",
    "kl",
    "kozachenko_leonenko",
    "ksg",
    "ksg_conditional",
    "leave_one_out",
    "like",
    "modalities_of_law",
    "modalities_of_samples",
    "modalities_of_symbols",
    "mutual_information",
    "mutual_information_from_counts",
    "mutual_information_standard_error",
    "nwj",
    "permutation_test",
    "sample_canonical_correlations",
    "shrunk_covariance",
    "smile",
    "task",
    "total_correlation",
    "unique_relevance",
]
