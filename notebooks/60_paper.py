# %% [markdown]
# # The paper, statement by statement
#
# rdjax grew out of a paper on rate-distortion limits of multimodal retrieval. Each of its statements is in the library
# as printed, with a verdict, an instance that is computed when asked for, and what replaces it.

# %%
from collections import Counter

import matplotlib.pyplot as plt
import numpy as np

from rdjax.limits import ranking_rate
from rdjax.paper import fano_rate, statements

listed = statements()
print(Counter(statement.verdict for statement in listed))
five = next(statement for statement in listed if statement.number == "(5)")
print(five.quote, "\n", five.verdict, "-", five.why, "\n", five.evidence().words, "\n replaced by", five.replaced_by)

# %% [markdown]
# ## The bound (5) beside the truth
#
# As printed it falls where the true limit rises: its D and 1 - D are exchanged.

# %%
quality = np.linspace(0.02, 0.98, 60)
figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
axes.plot(np.asarray(ranking_rate(1 - quality, 1000)), quality, color="black", label="exact (Theorem A)")
axes.plot(np.asarray(fano_rate(1 - quality, 1000)), quality, color="#d55e00", linestyle="--", label="(5) as printed")
axes.set(xlabel="bits per query", ylabel="MRR over 1,000 documents", ylim=(0, 1))
axes.grid(alpha=0.3)
axes.legend(loc="center right")
plt.show()

# %% [markdown]
# ## Everything at once
#
# `rdjax reproduce statements` prints the whole table with each instance recomputed; `rdjax reproduce all` runs the
# experiments of its tables and figure, under every reading of what a document is.

# %%
for statement in listed[:12]:
    print(f"{statement.number:18} {statement.verdict:14} {statement.why}")
