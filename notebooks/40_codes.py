# %% [markdown]
# # Codes, bytes and the frontier
#
# A code turns vectors into symbols, symbols into bytes, and back. What it costs is counted in the bytes that are
# written; what it is worth, in MRR.

# %%
import matplotlib.pyplot as plt
import numpy as np

from rdjax.codes import (
    EntropyCodedScalar,
    ProductQuantizer,
    QueryModel,
    Renormalized,
    ScalarQuantizer,
    fit_relevance_map,
)
from rdjax.data import emoji
from rdjax.retrieval import mean_reciprocal_rank

fit, test = emoji("T3")
text = lambda arrays: np.asarray(arrays["text"], np.float32)  # one modality; several go side by side
documents, queries = text(test.documents), text(test.queries)
code = ScalarQuantizer.fit(documents, 128)
symbols = code.encode(documents)
stream = code.to_bytes(symbols)
print(f"{code.name}: {len(stream):,} bytes for {len(documents):,} documents")
assert np.array_equal(code.from_bytes(stream), symbols)

# %% [markdown]
# A stream that was damaged is refused, in a sentence.

# %%
from rdjax.checks import InputError

try:
    code.from_bytes(stream[:-1])
except InputError as error:
    print(error)

# %% [markdown]
# ## Fitted to relevance, not to variance
#
# A few hundred pairs tell in which directions a query differs from the document it wants. Dividing by that noise, a
# codebook spends its words where they tell documents apart. A word is the mean of what it stands for, and so shorter,
# by another amount for every document: inner products are misled by that until each has its length back, for no bits.

# %%
model = QueryModel.fit(text(fit.queries), text(fit.documents)[fit.relevant], blocks=[documents.shape[1]])
chart = fit_relevance_map(model, documents, 128, side="documents")
worth = lambda code: float(mean_reciprocal_rank(code.scores(code.encode(documents), queries).T, test.relevant))
points = {"PCA + scalar": [], "PCA + entropy-coded": [], "relevance + residual": [], "the same, stretched": []}
for bits in (8, 16, 32):
    points["PCA + scalar"].append(worth(ScalarQuantizer.fit(documents, bits)))
    points["PCA + entropy-coded"].append(worth(EntropyCodedScalar.fit(documents, bits, cells="dead zone")))
    residual = ProductQuantizer.fit(documents, bits, transform=chart, width=8, blocks=1)
    points["relevance + residual"].append(worth(residual))
    points["the same, stretched"].append(worth(Renormalized.fit(residual, documents)))

# %% [markdown]
# ## The frontier
#
# All of these know the documents that are searched (class B). No floor is proved for stored documents coded that way,
# and so none is drawn. Where there is room is below 64 bits, and codebooks fitted to relevance take a good part of it.

# %%
figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
for (name, values), marker, color in zip(
    points.items(), "osDv", ("#0072b2", "#e69f00", "#009e73", "#cc79a7"), strict=True
):
    axes.plot((8, 16, 32), values, marker, linestyle="-", color=color, label=name)
axes.set(xlabel="bits per stored document", ylabel="MRR on 1,000 queries", ylim=(0, 1))
axes.grid(alpha=0.3)
axes.legend(loc="upper left")
plt.show()
