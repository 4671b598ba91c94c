"""`rdjax rate`: the limit as a calculator."""

import math
import re
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rdjax.cli.entry import METRICS, answering, app, print_json

if TYPE_CHECKING:
    import numpy as np

MOST_DOCUMENTS = 10**15  # as far as the limits are exact


@app.command(epilog="Example: rdjax rate --documents 1e9 --metric mrr --value 0.8")
@answering
def rate(
    documents: Annotated[str, typer.Option(metavar="N", help="How many documents are searched, e.g. 1e9.")],
    value: Annotated[float, typer.Option(help="The quality to be reached, e.g. 0.8.")],
    metric: Annotated[str, typer.Option(help=f"What quality is: {METRICS}.")] = "mrr",
    blind_correlation: Annotated[
        str | None,
        typer.Option(
            metavar="RHO[:DIMS],...",
            help="Correlation of query and document in so many dimensions, for Gaussian vectors: adds the floor of "
            "codes made without the corpus under that model.",
        ),
    ] = None,
    prior: Annotated[
        str | None,
        typer.Option(
            metavar="FILE",
            help="How often each document is sought: .npy, or one probability a line. Without it, all equally often.",
        ),
    ] = None,
    dimensions: Annotated[
        str | None,
        typer.Option(
            metavar="K|FILE",
            help="Add how many dimensions vectors need so that any K documents can be the first of a query; or so that "
            "those can that FILE lists, a line of document numbers (from 0) for each query.",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of sentences.")] = False,
) -> None:
    """Tell the fewest bits that rank this well.

    No code, whatever it is and however it was made, ranks as well with fewer bits per query.
    """
    number = _whole(documents)
    correlations = None if blind_correlation is None else _correlations(blind_correlation)
    from rdjax.audit.calculator import limit_at
    from rdjax.data import load_patterns, load_prior
    from rdjax.report.limit import limit_to_json, print_limit

    law = None if prior is None else load_prior(prior, number)
    wanted: Any = dimensions
    if dimensions is not None:
        numeric = re.fullmatch(r"[-+]?(\d[\d.]*|\.\d[\d.]*)(e[-+]?\d+)?", dimensions)
        wanted = _count(dimensions, number) if numeric else load_patterns(dimensions, number)
    found = limit_at(value, number, metric=metric, prior=law, correlations=correlations, wanted=wanted)
    if as_json:
        print_json(limit_to_json(found))
    else:
        from rich.console import Console

        print_limit(found, Console())


def _whole(text: str) -> int:
    """A number of documents, as a person writes it: 1000, 1e9."""
    from rdjax.checks import InputError

    try:
        number = float(text)
        if not (math.isfinite(number) and number == int(number) and 2 <= number <= MOST_DOCUMENTS):
            raise ValueError
    except ValueError:
        raise InputError(f"--documents is {text!r}; give a whole number from 2 to 1e15, e.g. 1e9.") from None
    return int(number)


def _count(digits: str, documents: int) -> int:
    """The whole number that is written so, as 10 or 1e1; Python refuses to read thousands of digits."""
    from rdjax.checks import require

    ask = f"give how many of the {documents:,} documents a query wants."
    require(len(digits) <= 20, f"--dimensions has {len(digits):,} digits; {ask}")
    good = digits.isdecimal() or (digits.count(".") < 2 and float(digits).is_integer() and float(digits) >= 0)
    require(good, f"--dimensions is {digits}; {ask}")
    return int(digits) if digits.isdecimal() else int(float(digits))


def _correlations(text: str) -> "np.ndarray":
    """RHO:DIMS or RHO, with commas: 0.8:64 are 64 dimensions, 0.9,0.5 are two."""
    import numpy as np

    from rdjax.checks import InputError

    try:
        pairs = [part.partition(":") for part in text.split(",")]
        values, sizes = [float(rho) for rho, _, _ in pairs], [int(size or 1) for _, _, size in pairs]
        if not all(abs(rho) <= 1 for rho in values) or min(sizes) < 1 or sum(sizes) > 10**6:
            raise ValueError
    except ValueError:
        raise InputError(
            f"--blind-correlation is {text!r}; write RHO:DIMS with RHO from -1 to 1, e.g. 0.8:64, with commas between."
        ) from None
    return np.repeat(values, sizes)
