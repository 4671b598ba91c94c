# %% [markdown]
# # Certified R(D), and gradients through it
#
# Any source, any distortion matrix. Each answer carries a gap: 0 <= rate - R(distortion) <= gap, in bits, computed at
# the law that is returned. A user need not trust the solver.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np

from rdjax.rate_distortion import blahut_arimoto, curve, interior_point, rate_at

grid = np.linspace(-4, 4, 64)
source = np.exp(-(grid**2) / 2)
source /= source.sum()
squared = (grid[:, None] - grid[None, :]) ** 2

with jax.enable_x64(True):
    slow = blahut_arimoto(source, squared, 2.0, max_steps=500)
    fast = interior_point(source, squared, 2.0)
for name, point in (("Blahut-Arimoto", slow), ("interior point", fast)):
    print(f"{name}: rate {float(point.rate):.6f}, {int(point.steps)} steps, gap {float(point.gap):.1e} bits")
    print("   ", point.message)

# %% [markdown]
# ## A whole curve in one batch
#
# In float64 the gaps are far below what a plot can show. The continuous Gaussian has R = log2(1/D) / 2; cut into 64
# cells it is next to that until D is near the size of a cell.

# %%
with jax.enable_x64(True):
    found = jax.device_get(curve(source, squared, np.geomspace(0.4, 60, 12)))
figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
distortion = np.geomspace(0.01, 1, 60)
axes.plot(distortion, 0.5 * np.log2(1 / distortion), color="gray", label="continuous Gaussian")
axes.plot(
    found.distortion, found.rate, "o", color="#0072b2", label=f"64 cells, largest gap {float(found.gap.max()):.1e} bits"
)
axes.set(xscale="log", xlabel="mean squared error", ylabel="bits per symbol")
axes.grid(alpha=0.3)
axes.legend()
plt.show()

# %% [markdown]
# ## Gradients
#
# The rate at a fixed distortion, differentiated in the source: which symbols are dear? Checked against a difference.

# %%
with jax.enable_x64(True):
    rate = jax.jit(jax.value_and_grad(lambda logits: rate_at(jax.nn.softmax(logits), squared, 0.1).rate))
    logits = jnp.log(source)
    _, slopes = rate(logits)
    way = jnp.cos(jnp.arange(64.0))
    difference = (rate(logits + 1e-4 * way)[0] - rate(logits - 1e-4 * way)[0]) / 2e-4
    print(f"directional derivative {float(slopes @ way):.8f}, by differences {float(difference):.8f}")

# %% [markdown]
# ## A source that is hardest to compress
#
# A few steps uphill, by Optax, toward the law of the largest rate at that distortion: the answer is compressed less and
# less, and the certificate holds at every step.

# %%
import optax

with jax.enable_x64(True):
    optimizer = optax.adam(0.3)
    place, state, rates = logits, optimizer.init(logits), []
    for _ in range(4):
        value, slopes = rate(place)
        updates, state = optimizer.update(-slopes, state)
        place, rates = optax.apply_updates(place, updates), [*rates, float(value)]
print(" -> ".join(f"{value:.2f}" for value in rates), "bits")
assert rates[-1] > rates[0]
