"""Rate: the bits that one batch of items takes, counted several ways."""

from dataclasses import dataclass
from functools import partial

from rdjax.trees import register_dataclass

CLOSE = 0.01  # payload and entropy differ by less than this share, or the rate says why


@partial(
    register_dataclass,
    data_fields=["entropy", "packed", "header", "model", "single"],
    meta_fields=[],
)
@dataclass(frozen=True)
class Rate:
    """Bits of one batch, counted five ways, which are never to be mixed. All are per item except `model`.

    Args:
      entropy: mean ideal codeword length, -log2 of the model that was fitted with the code (a cross-entropy, so never
        below the entropy of the symbols); the fixed length where there is no model, log2 N for the number of one of N.
      packed: 8 * bytes of the whole stream / n: header and checksum counted, the model not.
      header: the part of `packed` that is not payload, 8 * bytes / n (at most 30 bytes for every frame of 1,024
        to 65,536 items, the fewer the more symbols an item has; see `Code.items_of_a_frame`).
      model: 8 * bytes of the entropy coder's fitted model as it is saved, once for all batches; 0 where lengths are
        fixed. The rest of what a decoder holds is in the file of the code (`saved`), and `encoder_bytes` is the
        encoder's.
      single: 8 * bytes of one item on its own, in whole bytes. What carries it tells where it ends, so there is no
        header; where lengths vary this tells something too, so such a mean is no rate of a stream (theory notes,
        section 1.7).
    """

    entropy: float
    packed: float
    header: float
    model: float
    single: float

    @property
    def payload(self) -> float:
        """Bits per item of the stream without its header."""
        return self.packed - self.header

    @property
    def message(self) -> str:
        """Why the payload is not within 1% of `entropy`, or nothing where it is."""
        excess = self.payload - self.entropy
        if abs(excess) <= CLOSE * self.entropy:
            return ""
        return (
            f"The payload takes {self.payload:.3g} bits per item where {self.entropy:.3g} are ideal, because it ends "
            "on a whole byte: over a batch of so few bits that shows, over a longer one it does not."
        )
