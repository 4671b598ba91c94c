"""Where Delta H > 0: who wins between equal temperatures, rule (10), section 6 and calibrated ones.

The paper's own mixture cannot show a difference: both of its modalities have one entropy (theory notes, section 1.8).
Here one thing at a time is made unequal, or there are more modalities; the first sweep leaves them equal, and changes
the noise of both. Documents are the intents. All four decoders get the same uncompressed queries, and documents of unit
norm. At 64 bits the whole methods meet: the paper's quantizer with bits in proportion to entropy and temperatures (10),
and ours.
"""

from typing import Any

import numpy as np

from rdjax.codes import EntropyCodedScalar
from rdjax.paper.cells import Cell
from rdjax.paper.columns import printed_quantizer, sent_by_all, training_entropies
from rdjax.paper.decoders import calibrated_decoder, of_temperatures, qualities, unit_norm
from rdjax.paper.our_columns import Canonicals
from rdjax.paper.readings import Law, Sizes, draw_trial
from rdjax.retrieval.closed_forms import printed_rule, section_six_rule

NOISE = 0.4**-0.5
RULES = ("uniform", "adaptive (10)", "adaptive, section 6", "calibrated")
BITS = 64


def spread_noise(count: int, ratio: float) -> tuple[float, ...]:
    """sigma of so many modalities: a geometric row, this ratio from first to last, around the paper's."""
    return tuple(float(s) for s in NOISE * ratio ** np.linspace(-0.5, 0.5, count))


SWEEPS: dict[str, dict[str, Law]] = {
    "rho, equal noise": {f"{rho:g}": Law(noise=(rho**-0.5,) * 2) for rho in (0.1, 0.2, 0.4, 0.8, 1.6)},
    "sigma_2 / sigma_1": {f"{ratio:g}": Law(noise=spread_noise(2, ratio)) for ratio in (1.5, 2, 3, 5)},
    "dimensions": {f"{a} and {b}": Law(dims=(a, b)) for a, b in ((32, 64), (64, 128), (64, 256), (32, 256))},
    "modalities, sigma 3 to 1": {
        f"{count}": Law(noise=spread_noise(count, 3.0), dims=(64,) * count) for count in (2, 3, 4, 6, 8)
    },
}


def sweep_sizes(sizes: Sizes) -> Sizes:
    """A quarter of the training pairs, but 12,000 at least; a third of the corpora, one rate."""
    return Sizes(
        documents=sizes.documents,
        corpora=max(1, sizes.corpora // 3),
        training=max(sizes.training // 4, 12_000),  # 512 dimensions need that many, or chance hides the intent
        calibration=sizes.calibration,
        validation=2,
        rows=min(sizes.rows, 8000),
        rates=(BITS,),
    )


def sweep_cells(sizes: Sizes, seed: int = 0) -> list[Cell]:
    """A cell for each point."""
    small = sweep_sizes(sizes)
    cells = []
    for number, laws in enumerate(SWEEPS.values()):
        for place, law in enumerate(laws.values()):
            config = {"law": law, "sizes": small, "seed": seed}
            compute = lambda law=law: sweep_point(law, small, seed)
            name = f"imbalance-{number}-{place}"
            cells.append(Cell(name, config, (__name__,), compute, 3.0 + len(law.noise)))
    return cells


def sweep_point(law: Law, sizes: Sizes, seed: int) -> dict[str, Any]:
    """H_m and Delta H in bits, the MRR of every corpus with each of `RULES`, and at 64 bits with the two methods."""
    trial = draw_trial(law, "intents", sizes, seed)
    entropies = training_entropies(trial)
    known, asked = unit_norm(trial.calibration.documents), unit_norm(trial.test.documents)
    decoders = dict(
        zip(
            RULES,
            (
                of_temperatures(np.ones(len(entropies))),
                of_temperatures(np.asarray(printed_rule(entropies))),
                of_temperatures(np.asarray(section_six_rule(entropies))),
                calibrated_decoder(trial.calibration.queries, known, sizes.documents),
            ),
            strict=True,
        )
    )
    found: dict[str, Any] = {
        "entropies": np.round(entropies, 3).tolist(),
        "imbalance": round(float(np.abs(entropies - entropies.mean()).sum()), 3),
    }
    for rule, decoder in decoders.items():
        found[rule] = qualities(decoder, trial.test.queries, asked, sizes.documents)[:, 0].round(6).tolist()
    codes = printed_quantizer(trial.rest.queries, entropies, BITS, sizes.rows, seed)
    sent, bits = sent_by_all(codes, trial.test.queries)
    printed = qualities(decoders["adaptive (10)"], sent, asked, sizes.documents)
    ours, spent = _ours(Canonicals(trial), sizes)
    found["printed at 64"] = {"values": printed[:, 0].round(6).tolist(), "bits": round(bits, 3)}
    found["ours at 64"] = {"values": ours.round(6).tolist(), "bits": round(spent, 3)}
    return found


def _ours(parts: Canonicals, sizes: Sizes) -> tuple[np.ndarray, float]:
    """(MRR of every corpus, bits) of an entropy-coded scalar quantizer of all modalities together, calibrated."""
    code = EntropyCodedScalar.fit(parts.rest[0][: sizes.rows], float(BITS), transform="coordinates", cells="dead zone")
    reading = parts.value(code, parts.calibrated(code, sizes.documents), parts.test, sizes.documents)
    return reading.values[:, 0], reading.bits
