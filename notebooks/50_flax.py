# %% [markdown]
# # Rate and temperatures inside your own Flax model
#
# You have embeddings of two modalities, text of documents that are described with it, and a model of your own. Ten
# lines put a quantizer and a temperature decoder into it; from then on the bits a query takes and how much each of its
# modalities counts are parameters like any other.

# %%
import jax
import jax.numpy as jnp
import matplotlib.pyplot as plt
import numpy as np
import optax
from flax import nnx

from rdjax.data import emoji
from rdjax.nn import EntropyModel, Quantizer, RankingMetric, RateDistortionLoss, TemperatureDecoder
from rdjax.retrieval import modality_scores

fit, test = emoji("T3")  # 228 queries to learn from, 1,000 to report on; each wants one document
names = tuple(fit.queries)
side = lambda arrays: {name: jnp.asarray(arrays[name], jnp.float32) for name in names}
print(f"{fit.num_queries} queries of {', '.join(names)} to learn from; {test.num_documents:,} documents to report on")

# %% [markdown]
# ## Ten lines
#
# A model that sends a query through a quantizer, pays for its symbols by a learned entropy model, and ranks what
# arrives with one temperature per modality.
# Queries of all modalities are side by side in one vector; documents stay as they are.


# %%
class Sender(nnx.Module):
    def __init__(self, sizes, rngs):
        self.sizes = tuple(sizes)
        self.quantizer = Quantizer(sum(sizes), step=0.2, rngs=rngs)
        self.bits = EntropyModel(sum(sizes), rngs=rngs)
        self.decoder = TemperatureDecoder([0.05] * len(sizes))

    def __call__(self, queries, documents, key=None):
        sent = self.quantizer(jnp.concatenate([queries[name] for name in names], axis=1), key=key)
        arrived = dict(zip(names, jnp.split(sent.values, np.cumsum(self.sizes)[:-1], axis=1)))
        return self.bits(sent.symbols), self.decoder(modality_scores(arrived, documents))


# %% [markdown]
# ## Train it at several prices of a bit
#
# The loss is rate + trade x (1 - MRR) in nats: `trade` is what one unit of MRR is worth. Noise stands for rounding
# while training; the model is told with rounding. A ranking depends on the ratio of temperatures alone, so that is what
# is learned of them; add the mean of -ln P(wanted), which the decoder gives, where posteriors should be true as well.

# %%
sizes = [fit.queries[name].shape[1] for name in names]
queries, documents = side(fit.queries), side(fit.documents)


@nnx.jit
def step(model, optimizer, key, trade):
    loss = RateDistortionLoss("mrr", trade=trade)
    value, slope = nnx.value_and_grad(lambda m: loss(*m(queries, documents, key), fit.relevant))(model)
    optimizer.update(model, slope)
    return value


def train(trade, steps=25):
    model = Sender(sizes, nnx.Rngs(0))
    optimizer = nnx.Optimizer(model, optax.adam(0.03), wrt=nnx.Param)
    losses = [float(step(model, optimizer, jax.random.key(i), trade)) for i in range(steps)]
    return model, losses


@nnx.jit
def sent(model, queries, documents):
    return model(queries, documents)


def told(model):
    bits, scores = sent(model, side(test.queries), side(test.documents))
    metric = RankingMetric("mrr")
    metric.update(scores=scores, relevant=test.relevant)
    return float(bits.mean()), float(metric.compute())


models = {trade: train(trade) for trade in (300.0, 3000.0)}
points = {trade: told(model) for trade, (model, _) in models.items()}
for trade, (bits, mrr) in points.items():
    print(f"trade {trade:6.0f}: {bits:6.1f} bits a query, MRR {mrr:.3f} on queries it has not seen")

# %% [markdown]
# ## Beside what no code can beat
#
# `ranking_rate` is the least rate of any code at that MRR, proved (Theorem A, uniform prior). The gap is what is
# left to be saved, by a better transform or a code that knows the corpus.

# %%
from rdjax.limits import ranking_rate

figure, axes = plt.subplots(figsize=(6, 3.6), layout="constrained")
quality = np.linspace(0.05, 0.95, 30)
floor = [float(ranking_rate(1 - value, test.num_documents)) for value in quality]
axes.plot(floor, quality, color="black", label="floor of any code (Theorem A)")
axes.scatter(*zip(*points.values()), color="#0072b2", label="this model, entropy-coded")
axes.set(xscale="log", xlabel="bits per query", ylabel="MRR on 1,000 queries", ylim=(0, 1))
axes.grid(alpha=0.3)
axes.legend(loc="lower right")
plt.show()

# %% [markdown]
# ## The same in a Linen model
#
# Flax's bridge wraps any of the modules; parameters then live in Linen's dictionaries.

# %%
from flax import linen
from flax.nnx import bridge


class LinenSender(linen.Module):
    size: int

    @linen.compact
    def __call__(self, queries, documents):
        sent = bridge.ToLinen(Quantizer, args=(self.size,), kwargs={"step": 0.2})(queries)
        bits = bridge.ToLinen(EntropyModel, args=(self.size,))(sent.symbols)
        decoder = bridge.ToLinen(TemperatureDecoder, args=([0.05],), skip_rng=True)
        return bits, decoder((sent.values @ documents.T)[None])


name = names[0]
linen_model = LinenSender(sizes[0])
variables = linen_model.init(jax.random.key(0), queries[name], documents[name])
bits, log_posterior = linen_model.apply(variables, queries[name], documents[name])
print(jax.tree.map(jnp.shape, variables["params"]), float(bits.mean()))

# %% [markdown]
# ## Send it
#
# The quantizer as a code of `rdjax.codes`: the same symbols and values, in bytes that a range coder writes by how often
# the fit met each symbol. It is saved, read back and exported like any other (`save_code`, `rdjax export`). After so
# few steps of training the learned law is far from that count, and says more bits.

# %%
model = models[min(models)][0]
joined = lambda arrays: np.concatenate([np.asarray(arrays[name], np.float32) for name in names], axis=1)
code = model.quantizer.to_code(joined(fit.queries))
stream = code.to_bytes(code.encode(joined(test.queries)))
print(f"{8 * len(stream) / test.num_queries:.1f} bits a query on disk, {points[min(models)][0]:.1f} by the learned law")

# %% [markdown]
# ## Keep it
#
# Orbax saves the state and gives it back bit for bit; `nnx.update` puts it into a model made anew.

# %%
import tempfile

import orbax.checkpoint as ocp

_, state = nnx.split(model)
with tempfile.TemporaryDirectory() as folder, ocp.StandardCheckpointer() as checkpointer:
    checkpointer.save(f"{folder}/sender", state)
    checkpointer.wait_until_finished()
    restored = checkpointer.restore(f"{folder}/sender", jax.tree.map(ocp.utils.to_shape_dtype_struct, state))
again = Sender(sizes, nnx.Rngs(1))
nnx.update(again, restored)
asked, found = side(test.queries), side(test.documents)
for before, after in zip(sent(model, asked, found), sent(again, asked, found)):
    assert (before == after).all()
print("temperatures", again.decoder.temperatures)
