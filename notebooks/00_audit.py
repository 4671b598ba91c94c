# %% [markdown]
# # Audit your embeddings
#
# An audit takes documents, queries, and which document each query wants. It says how many bits a stored document or a
# query needs to keep today's quality, and what no code can beat. The corpus here ships with rdjax: 1,000 emoji, drawn
# and described.

# %%
import matplotlib.pyplot as plt
import numpy as np
from rich.console import Console

from rdjax.audit import audit
from rdjax.data import emoji

fit, test = emoji("T1")  # 228 queries to fit on; 1,000 documents and queries to audit
few = test.take_queries(range(200))  # a fifth of the queries, so that this page is quick
result = audit(few, fit=fit, side="documents", families=("sign bits",))
print(result.answer[0])

# %% [markdown]
# ## How each way of ranking does, uncompressed
#
# Every number is a `Bound`: how it is known, and what that rests on.

# %%
for quality in result.qualities:
    low, high = quality.interval.lower, quality.interval.upper
    print(f"{quality.name:28} MRR {quality.value.lower:.3f} [{low:.3f}, {high:.3f}]")
print(result.today.value)

# %% [markdown]
# ## Codes and floors
#
# Points are codes, bars are 95% intervals, black lines are floors. A floor binds the classes of codes that it names:
# a codebook that was fitted on the searched documents (class B) knows them, so Theorem D says nothing of it.

# %%
figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
for code_class, marker, color in (("B", "o", "#0072b2"), ("C", "s", "#e69f00")):
    points = [p for p in result.points if p.code_class == code_class]
    bits, worth = (
        [b.lower for b in bounds] for bounds in zip(*((p.bits.packed, p.value) for p in points), strict=True)
    )
    ends = np.array([(p.value.lower - p.interval.lower, p.interval.upper - p.value.lower) for p in points]).T
    axes.errorbar(bits, worth, np.maximum(ends, 0), fmt=marker, color=color, label=f"class {code_class}")
floor = next(f for f in result.floors if f.curve and f.classes == "C")
axes.plot(*zip(*floor.curve, strict=True), color="black", label="Theorem D, binds C")
axes.axhline(result.today.value.lower, color="gray", linestyle=":", label="uncompressed")
axes.set(xscale="log", xlabel="bits per stored document, in real bytes", ylabel="MRR on 200 queries", ylim=(0, 0.85))
axes.legend(loc="lower right")
plt.show()

# %% [markdown]
# ## What each modality is worth
#
# `saves` counts queries whose document is first only if this modality is there; a stress exchanges its vectors among
# queries, as if its encoder had looked at the wrong picture.

# %%
for saving in result.fusion.savings:
    print(f"{saving.name:6} saves {saving.saved.lower:.0f} queries and costs {saving.cost.lower:.0f}")
for modality in result.modalities:
    print(f"{modality.name:6} alone tells {modality.told.lower:.2f} bits of the relevant document")

# %% [markdown]
# All of it, as the command line prints it; `rdjax audit FOLDER --out report` also writes a page, figures and JSON.

# %%
from rdjax.report import print_audit

print_audit(result, Console(width=110))
