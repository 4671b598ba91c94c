"""The limit as a calculator, printed: sentences first, then what each number rests on."""

import math
from typing import Any

from rich.console import Console
from rich.panel import Panel
from rich.text import Text

from rdjax.audit.calculator import Limit
from rdjax.audit.dimensions import Dimensions
from rdjax.audit.result import FIXED, STREAM, Floor
from rdjax.audit.wording import metric_title
from rdjax.report import words
from rdjax.report.document import READING, plain, provenance
from rdjax.report.terminal import evidence, floor_table


def limit_to_json(limit: Limit) -> dict[str, Any]:
    """The same as what `json.dumps` takes, with the rules for reading it."""
    reading = {key: READING[key] for key in ("bound", "null", "unreachable", "classes", "curve")}
    return {"schema": "rdjax.limit/1", **provenance(), "reading": reading, **plain(limit, "limit")}


def print_limit(limit: Limit, console: Console) -> None:
    """Print what no code does, in sentences worded as they are proved, and a table with all that they rest on.

    Args:
      limit: with at least the first two floors.
      console: a rich console of any width.
    """
    title = f"{metric_title(limit.metric)} {limit.value:g} over {limit.documents:,} documents"
    console.print(Panel(Text("\n\n".join(sentences(limit))), title=Text(title), padding=(1, 2)))
    console.print()
    console.print(floor_table("Floors, bits per query", limit.floors))
    console.print(evidence(limit.floors))
    if limit.dimensions is not None:
        console.print(Text("\n" + "\n".join(dimension_sentences(limit.dimensions))))


def sentences(limit: Limit) -> list[str]:
    """What is proved of every code, and of codes made without the corpus."""
    stream, fixed = (next(f for f in limit.floors if f.kind == kind) for kind in (STREAM, FIXED))
    every = (
        f"No uniquely decodable code averages fewer than {_bits(stream)} over a stream, no fixed-length one has fewer "
        f"than {_bits(fixed)} ({words.count(limit.codewords, 'codeword')})."
    )
    return [every, *(_blind(floor) for floor in limit.floors if floor.classes == "C")]


def dimension_sentences(found: Dimensions) -> list[str]:
    """What vectors need whose inner products rank: by counting, by proof, by search."""
    least, most = int(found.bound.lower), int(found.bound.upper)
    rankings = words.count(found.rankings, "dimension")
    known = f"exactly {least}" if least == most else f"at least {least}, and {most} are enough"
    lines = [
        "Dimensions, where one vector a query ranks the documents by inner products:",
        f"  to have as many rankings as that many bits: {rankings} at least (Cover's count).",
        f"  to bring {found.wanted} to the top: {known} (theorem, in exact arithmetic).",
    ]
    if found.found is not None:
        lines.append(
            f"  found by gradient descent on the vectors themselves: {found.found}, scores of unit vectors at least "
            f"{found.gap:.2g} apart."
        )
    elif found.tried:
        lines.append(f"  gradient descent on the vectors themselves found none up to {found.tried} dimensions.")
    else:
        many = "More than 10^18" if found.queries is None else f"{found.queries:,}"
        lines.append(f"  {many} queries are too many to search for vectors here.")
    return lines


def _blind(floor: Floor) -> str:
    """One sentence about codes made without the corpus."""
    assert floor.bits is not None
    if floor.bits.evidence == "theorem":
        return (
            f"Made without the corpus, no uniquely decodable code averages fewer than {_bits(floor)} over a stream; "
            "this assumes nothing of how much a query says about its document."
        )
    if float(floor.bits.lower) == math.inf:
        return (
            "With Gaussian queries and documents of these correlations no number of bits suffices for a code made "
            "without the corpus: the whole query says too little about its document."
        )
    return (
        f"With Gaussian queries and documents of these correlations, no such code averages fewer than {_bits(floor)} "
        "over a stream."
    )


def _bits(floor: Floor) -> str:
    """Four decimals: what a calculator is asked for."""
    assert floor.bits is not None
    return f"{float(floor.bits.lower):,.4f} bits"
