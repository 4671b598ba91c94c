"""Words that the answer and every report share."""

TITLES = {"documents": "Stored documents", "queries": "Queries"}
ITEM = {"documents": "document", "queries": "query"}


def metric_title(name: str) -> str:
    """E.g. "MRR", "recall@10", "nDCG@10"."""
    family, at, depth = name.partition("@")
    return {"mrr": "MRR", "ndcg": "nDCG", "dcg": "DCG", "map": "MAP", "rbp": "RBP"}.get(family, family) + at + depth


def percent(share: float) -> str:
    """E.g. "95%", "99.9%": a target as it was asked for, never rounded to one that was not."""
    return f"{100 * share:.10g}%"


def bits(amount: float) -> str:
    """E.g. "1 bit", "1.4 bits", "896 bits": whole ones, but where there are few."""
    shown = f"{amount:,.0f}" if amount >= 9.95 else f"{amount:.2g}"
    return f"{shown} {'bit' if shown == '1' else 'bits'}"


def storage(size: float) -> str:
    """Bytes in the unit a person would use, powers of ten: "640 bytes", "1.8 MB"."""
    for unit, scale in (("TB", 1e12), ("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if size >= scale:
            return f"{size / scale:.3g} {unit}" if size < 999.5 * scale else f"{size / scale:,.0f} {unit}"
    return f"{size:,.0f} bytes"


def share_beside(share: float, target: float) -> str:
    """E.g. "95.2%", or "94.96%" of a target of 95%: as many digits as show on which side of the target it is."""
    side = lambda words: float(words[:-1]) < float(percent(target)[:-1])
    shown = (f"{share:.{digits}%}" for digits in range(1, 16))
    return next((words for words in shown if side(words) == (share < target)), f"{100 * float(share)!r}%")
