# %% [markdown]
# # The limit, from two documents to the internet
#
# One query wants one of N documents. How many bits must be sent so that the ranking made from them is worth a given
# MRR? Nothing about embeddings enters: this is the least that any system needs, however clever.

# %%
import matplotlib.pyplot as plt
import numpy as np

from rdjax.limits import one_shot_distortion, ranking_curve, ranking_distortion, ranking_rate

# two documents: a wrong first place costs half a point of MRR, so R(D) is that of a coin, at 2 D
halves = np.linspace(0.01, 0.24, 5)
coin = 1 + 2 * halves * np.log2(2 * halves) + (1 - 2 * halves) * np.log2(1 - 2 * halves)
print(np.abs(np.asarray(ranking_rate(halves, 2)) - coin).max())

# %% [markdown]
# ## More documents
#
# Every tenfold costs less than 3.32 bits, as the list gets longer where nobody looks. Up to 10^12 documents, in no time
# and without an array of that length.

# %%
quality = np.linspace(0.02, 0.98, 60)
figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
sizes = (10, 1_000, 1_000_000, 10**12)
for size, color in zip(sizes, ("#0072b2", "#e69f00", "#009e73", "#cc79a7"), strict=True):
    axes.plot(np.asarray(ranking_rate(1 - quality, size)), quality, color=color, label=f"{size:,} documents")
axes.set(xlabel="bits per query, average over a stream", ylabel="MRR", ylim=(0, 1))
axes.grid(alpha=0.3)
axes.legend(loc="lower right")
plt.show()

# %% [markdown]
# ## What is asked for often is cheaper
#
# With a prior the limit is still exact (Theorem B), in one pass over the sorted probabilities.

# %%
zipf = 1 / np.arange(1, 1001)
zipf /= zipf.sum()
for name, prior in (("uniform", np.full(1000, 1e-3)), ("Zipf", zipf)):
    needed, reached = float(ranking_rate(0.2, prior)), 1 - float(ranking_distortion(3.0, prior))
    print(f"{name:8} MRR .8 needs {needed:.2f} bits; 3 bits reach {reached:.3f}")

# %% [markdown]
# ## One query alone
#
# Over a stream, bits are shared among queries. A single query in a packet of fixed length obeys a stricter law
# (Theorem C): so many codewords, so many first places.

# %%
bits = np.arange(0, 11)
alone = [1 - float(one_shot_distortion(2**b, 1000)) for b in bits]
stream = ranking_curve(np.geomspace(0.05, 60, 80), 1000)
figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
axes.plot(np.asarray(stream.rate), 1 - np.asarray(stream.distortion), color="black", label="average over a stream (A)")
axes.plot(bits, alone, "s--", color="#d55e00", label="one query, fixed length (C)")
axes.set(xlabel="bits per query", ylabel="MRR over 1,000 documents", ylim=(0, 1.02))
axes.grid(alpha=0.3)
axes.legend(loc="lower right")
plt.show()
