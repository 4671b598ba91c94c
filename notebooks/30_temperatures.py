# %% [markdown]
# # Temperatures
#
# With several modalities, how much should each count? The scores of modality m are divided by tau_m and added. The
# paper's rule (10) sets tau from entropies; what is right is the cross-entropy of the relevant document, which is
# convex in 1 / tau.

# %%
import matplotlib.pyplot as plt
import numpy as np

from rdjax.data import emoji
from rdjax.retrieval import (
    calibrate_temperatures,
    fuse,
    gaussian_temperatures,
    mean_reciprocal_rank,
    modality_scores,
    search_temperatures,
)

rng, sigma, count = np.random.default_rng(1), np.array([0.25, 0.6]), 1000
documents = rng.standard_normal((2, count, 16))
documents /= np.linalg.norm(documents, axis=2, keepdims=True)  # of equal norm: inner products rank by likelihood
queries = documents + sigma[:, None, None] * rng.standard_normal(documents.shape)
wanted = np.arange(count)  # query i wants document i
scores = modality_scores(*({"a": side[0], "b": side[1]} for side in (queries, documents)))
found = calibrate_temperatures(scores, wanted)  # scores: [modalities, queries, documents]
print("calibrated", np.asarray(found.temperatures), found.message)

# %% [markdown]
# ## Known truth
#
# A query here is its document plus Gaussian noise, and for documents of equal norm the optimum is the ratio of noise
# to signal in each modality, sigma^2. The calibration has seen 1,000 queries and no sigma.

# %%
optimum = np.asarray(gaussian_temperatures(np.ones(2), sigma**2))
print("optimum   ", optimum)
np.testing.assert_allclose(found.temperatures, optimum, rtol=0.15)

# %% [markdown]
# ## Only the ratio ranks
#
# MRR against tau_2 / tau_1: the noisier modality should count less, not more.

# %%
ratios = np.geomspace(0.05, 100, 17)
worth = [float(mean_reciprocal_rank(scores[0] + scores[1] / ratio, wanted)) for ratio in ratios]
own = float(found.temperatures[1] / found.temperatures[0])
figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
axes.plot(ratios, worth, color="#0072b2", label="on these queries")
axes.axvline(own, color="#d55e00", linestyle="--", label=f"calibrated, ratio {own:.1f}")
axes.axvline(1, color="gray", linestyle=":", label="equal temperatures")
axes.set(xscale="log", xlabel="tau of the noisier modality / tau of the other", ylabel="MRR")
axes.grid(alpha=0.3)
axes.legend(loc="lower right")
plt.show()

# %% [markdown]
# ## On data
#
# Temperatures are fitted on 228 queries and told on 1,000 others. A search for the metric itself starts from the spread
# of each modality's scores, and at random around that.

# %%
fit, test = emoji("T1")
scores = modality_scores(fit.queries, fit.documents)
fitted = calibrate_temperatures(scores, fit.relevant).temperatures
searched = search_temperatures(scores, fit.relevant, objective="mrr").temperatures
for name, tau in (("equal", np.ones(2)), ("calibrated", fitted), ("searched", searched)):
    ranked = np.asarray(fuse(test.queries, np.asarray(tau))) @ np.concatenate(list(test.documents.values()), axis=1).T
    print(f"{name:10} {np.round(np.asarray(tau), 3)}  MRR {float(mean_reciprocal_rank(ranked, test.relevant)):.3f}")
