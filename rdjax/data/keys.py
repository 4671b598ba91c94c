"""The names under which arrays are kept in every format: documents.NAME, queries.NAME, and a few single ones."""

SIDES = ("documents", "queries")
SINGLE = ("relevant", "grades", "ids", "query_ids", "prior")
KNOWN = "documents.NAME, queries.NAME, " + ", ".join(SINGLE)
BF16, SCALE = ".bf16", ".scale"  # ends of names: bfloat16 in 16-bit integers; what int8 numbers are multiples of


def canonical(key: str) -> str | None:
    """The key under which an array is kept, or None for a key that means nothing.

    A side without a name is one modality, "embedding"; the ends .bf16 and .scale stay where they are.
    """
    stem = key.removesuffix(BF16)
    end, base = key[len(stem) :], stem.removesuffix(SCALE)
    end = stem[len(base) :] + end
    side, _, name = base.partition(".")
    if base in SIDES:
        return f"{base}.embedding{end}"
    if side in SIDES:
        return f"{base}{end}" if name else None
    return key if stem in SINGLE else None


def kept_once(key: str) -> str:
    """What may be there once only: the canonical key, however its numbers are stored."""
    return key.removesuffix(BF16)
