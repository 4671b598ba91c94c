"""Arguments in, report out; no mathematics.

Only typer is imported before a command runs, so that help is there at once. A user's mistake is one sentence on stderr
and exit code 2; whatever else goes wrong keeps its traceback, because it is a bug.
"""

import functools
import json
import math
import os
import sys
from collections.abc import Callable
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    import numpy as np

    from rdjax.data import Corpus

METRICS = "mrr, map, recall@K, precision@K, ndcg[@K], dcg[@K] or rbp@P"
MOST_DOCUMENTS = 10**15  # as far as the limits are exact

app = typer.Typer(
    name="rdjax",
    help="How many bits per query, and per stored document, are necessary? Proved floors, real codes.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def main() -> None:
    """What the `rdjax` command runs."""
    app()


def _answering(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose user gets a sentence for a mistake, and quiet for an interruption."""

    @functools.wraps(command)
    def wrapped(*args: Any, **options: Any) -> None:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # its threads and XLA's get into each other's way
        try:
            command(*args, **options)
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        except ValueError as error:
            from rdjax.checks import InputError

            if not isinstance(error, InputError):
                raise
            typer.echo(str(error), err=True)
            raise typer.Exit(2) from None

    return wrapped


def _print_version(wanted: bool) -> None:
    if wanted:
        import rdjax

        typer.echo(f"rdjax {rdjax.__version__}")
        raise typer.Exit


@app.callback()
def _root(
    version: Annotated[
        bool, typer.Option("--version", callback=_print_version, is_eager=True, help="Print the version and leave.")
    ] = False,
) -> None:
    pass


@app.command(epilog="Example: rdjax audit my-corpus --side documents --out my-report")
@_answering
def audit(
    path: Annotated[
        str | None,
        typer.Argument(help="Your embeddings: a .npz file or a folder of .npy files. Without it, the emoji corpus."),
    ] = None,
    fit: Annotated[
        str | None, typer.Option(metavar="PATH", help="A second corpus, to fit codes on. Without it, part of PATH.")
    ] = None,
    target: Annotated[float, typer.Option(help="Share of today's quality that a code must keep.")] = 0.95,
    metric: Annotated[str, typer.Option(help=f"What quality is: {METRICS}.")] = "mrr",
    side: Annotated[
        str | None, typer.Option(help="What is coded: queries or documents. Without it, both in turn.")
    ] = None,
    prior: Annotated[
        str,
        typer.Option(help="How often documents are sought: queries (as those audited), uniform, corpus, or a file."),
    ] = "queries",
    task: Annotated[
        str | None, typer.Option(help="Which emoji task, T1 (hard) to T4 (easy), where there is no PATH.")
    ] = None,
    seed: Annotated[int, typer.Option(help="Of every random choice.")] = 0,
    out: Annotated[str, typer.Option(metavar="DIR", help="Where the report goes: report.json and figure.")] = (
        "rdjax-report"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print report.json instead of tables.")] = False,
) -> None:
    """Audit a corpus: what codes keep, what none beats.

    Reads embeddings and judgments, fits codes of many kinds at many budgets, measures what each keeps of today's
    quality, and prints how many bits per stored document and per query do it, beside the floors that are proved.
    """
    from rdjax.report import Progress, check_writable, print_audit, to_json, write_report

    check_writable(out)
    with Progress() as progress:
        progress("reading the corpus", 0, None)
        fitted, corpus = _corpora(path, fit, task)
        law = _prior(prior, corpus.num_documents)
        from rdjax.audit import audit as run

        options: dict[str, Any] = {"metric": metric, "target": target, "side": side, "prior": law, "seed": seed}
        found = run(corpus, fit=fitted, progress=progress, **options)
        progress("drawing the figure", 0, None)
        write_report(found, out)
    if as_json:
        _print_json(to_json(found))
    else:
        from rich.console import Console

        print_audit(found, Console())
    typer.echo(
        f"The whole report: {os.path.join(out, 'report.json')}, with frontier.svg and frontier.png.", err=as_json
    )


def _corpora(path: str | None, fit: str | None, task: str | None) -> "tuple[Corpus | None, Corpus]":
    """What is fitted on (None: part of the other) and what is audited."""
    from rdjax.checks import require
    from rdjax.data import emoji, load_corpus

    if path is None:
        require(fit is None, "--fit goes with a PATH of your own; the emoji corpus brings what it is fitted on.")
        return emoji(task or "T1")
    require(task is None, "--task chooses among the emoji tasks; leave it out, or leave out PATH.")
    return None if fit is None else load_corpus(fit), load_corpus(path)


def _prior(choice: str, documents: int) -> "str | np.ndarray":
    from rdjax.data import load_prior

    return choice if choice in ("queries", "uniform", "corpus") else load_prior(choice, documents)


@app.command(epilog="Example: rdjax rate --documents 1e9 --metric mrr --value 0.8")
@_answering
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
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of sentences.")] = False,
) -> None:
    """Tell the fewest bits that rank this well.

    No code, whatever it is and however it was made, ranks as well with fewer bits per query.
    """
    number = _whole(documents)
    correlations = None if blind_correlation is None else _correlations(blind_correlation)
    from rdjax.audit.calculator import limit_at
    from rdjax.data import load_prior
    from rdjax.report.limit import limit_to_json, print_limit

    law = None if prior is None else load_prior(prior, number)
    found = limit_at(value, number, metric=metric, prior=law, correlations=correlations)
    if as_json:
        _print_json(limit_to_json(found))
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


@app.command(epilog="Example: rdjax doctor")
@_answering
def doctor() -> None:
    """Print what a bug report needs."""
    import platform
    from importlib.metadata import version

    import jax
    import jax.numpy as jnp

    import rdjax

    lines = {"python": f"{platform.python_version()} on {platform.platform()}", "rdjax": rdjax.__version__}
    lines |= {name: version(name) for name in ("jax", "jaxlib", "numpy", "scipy", "flax", "optax", "chex")}
    lines["devices"] = ", ".join(str(device) for device in jax.devices())
    products = getattr(jax.config, "jax_default_matmul_precision", None)
    lines["default precision"] = f"{jnp.zeros(()).dtype}, products {products or 'default'}"
    settings = [f"{name}={os.environ[name]}" for name in ("OPENBLAS_NUM_THREADS", "XLA_FLAGS") if name in os.environ]
    lines["threads"] = ", ".join([f"{os.cpu_count()} processors", *settings])
    with jax.enable_x64(True):
        from rdjax.limits import ranking_rate

        lines["x64"] = f"{jnp.zeros(()).dtype} inside jax.enable_x64"
        bits = float(ranking_rate(1 - 0.59, 1000))
    good = abs(bits - 4.8465) < 1e-4
    lines["self-check"] = f"MRR 0.59 over 1,000 documents needs {bits:.2f} bits: {'right' if good else 'wrong, 4.85'}"
    for name, text in lines.items():
        typer.echo(f"{name + ':':<19}{text}")
    if not good:
        raise typer.Exit(1)


def _print_json(document: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(document, indent=1, allow_nan=False) + "\n")
