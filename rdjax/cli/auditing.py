"""`rdjax audit`: the main job."""

import os
from collections.abc import Mapping
from typing import TYPE_CHECKING, Annotated, Any

import typer

from rdjax.cli.entry import METRICS, answering, app, print_json

if TYPE_CHECKING:
    import numpy as np

    from rdjax.audit.result import Audit
    from rdjax.data import Corpus

PRIORS = ("queries", "uniform", "corpus")  # or a file


@app.command(
    epilog="Example: rdjax audit my-corpus --side documents --out my-report",
    context_settings={"allow_extra_args": True},  # to say what to do with two arrays
)
@answering
def audit(
    context: typer.Context,
    path: Annotated[
        str | None,
        typer.Argument(help="Your embeddings: .npz, .safetensors or a folder (see README). Without it, the emoji."),
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
    family: Annotated[
        list[str] | None,
        typer.Option(metavar="NAME", help="Codes to try, not the usual; may be given again. A wrong name lists all."),
    ] = None,
    seed: Annotated[int, typer.Option(help="Of every random choice.")] = 0,
    memory: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="What this process may take, e.g. 8GB; it computes less at a time."),
    ] = None,
    out: Annotated[str, typer.Option(metavar="DIR", help="Where it goes: report.json, report.html, figures.")] = (
        "rdjax-report"
    ),
    as_json: Annotated[bool, typer.Option("--json", help="Print report.json instead of tables.")] = False,
) -> None:
    """Audit a corpus: what codes keep, what none beats.

    Reads embeddings and judgments, fits codes of many kinds at many budgets, measures what each keeps of today's
    quality, and prints how many bits per stored document and per query do it, beside the floors that are proved.
    """
    from rdjax.checks import require
    from rdjax.cli.places import keep_other_reports
    from rdjax.data.machine import byte_size
    from rdjax.report import Progress, check_writable

    _check_one(path, context.args)
    require(out != "", "the name of the folder to write to is empty; name one by --out.")
    budget = None if memory is None else byte_size(memory, "the memory")
    check_writable(out)
    _check_options(metric, target, side, prior, family or [], seed)
    with Progress() as progress:
        progress("reading the corpus", 0, None)
        fitted, corpus = corpora(path, fit, task, budget)
        keep_other_reports(out, corpus.name)
        law = _prior(prior, corpus.num_documents)
        from rdjax.audit import audit as run
        from rdjax.audit.budgets import command_for

        options: dict[str, Any] = {
            "metric": metric,
            "target": target,
            "side": side,
            "prior": law,
            "seed": seed,
            "families": family or None,
            "memory": budget,
        }
        found = run(corpus, fit=fitted, progress=progress, **options)
        progress("drawing the figure", 0, None)
        commands = {
            choice.purpose: command_for(choice.point, path, task=task, fit=fit, seed=seed)
            for choice in found.recommendations
            if choice.point is not None
        }
        unwritten = _write(found, out, commands)
    _show(found, commands, as_json)
    if unwritten is not None:
        raise unwritten
    whole, page = (os.path.join(out, name) for name in ("report.json", "report.html"))
    typer.echo(f"The whole report: {whole}, to be read in {page}, with its figures (.svg and .png).", err=as_json)


def _write(found: "Audit", out: str, commands: Mapping[str, str]) -> Exception | None:
    """What kept the report from being written, which is not to cost the answer too."""
    from rdjax.report import write_report

    try:
        write_report(found, out, commands)
    except Exception as error:
        return error
    return None


def _show(found: "Audit", commands: Mapping[str, str], as_json: bool) -> None:
    from rdjax.report import print_audit, to_json

    if as_json:
        print_json(to_json(found, commands))
        return
    from rich.console import Console

    print_audit(found, Console())
    for purpose, command in commands.items():
        typer.echo(f"To {purpose}:\n  {command}")


def _check_one(path: str | None, more: list[str]) -> None:
    """Two arrays are what many have, and give."""
    from rdjax.checks import require

    require(
        not more,
        f"an audit reads one file or folder, and {' '.join(more)} is given beside {path}; "
        f"put them into a folder as documents.npy and queries.npy, and give that.",
    )


def _check_options(metric: str, target: float, side: str | None, prior: str, families: list[str], seed: int) -> None:
    """What the audit would refuse too, but only when every vector has been read."""
    from rdjax.audit.asked import require_askable
    from rdjax.checks import require
    from rdjax.data.reading import open_file
    from rdjax.retrieval.metrics import parse_metric

    require_askable(target, side, families, seed)
    parse_metric(metric)
    if prior not in PRIORS:
        known = f"{', '.join(PRIORS)}, or a file of numbers"
        require(os.path.lexists(prior), f"the prior is {prior!r}, and there is no such file; give {known}.")
        open_file(prior).close()


def corpora(
    path: str | None, fit: str | None, task: str | None, memory: float | None = None
) -> "tuple[Corpus | None, Corpus]":
    """What is fitted on (None: part of the other) and what is audited or encoded, each read within so many bytes."""
    from rdjax.checks import require
    from rdjax.data import emoji, load_corpus

    if path is None:
        require(fit is None, "--fit goes with a PATH of your own; the emoji corpus brings what it is fitted on.")
        return emoji(task or "T1")
    require(task is None, "--task chooses among the emoji tasks; leave it out, or leave out PATH.")
    return None if fit is None else load_corpus(fit, memory=memory), load_corpus(path, memory=memory)


def _prior(choice: str, documents: int) -> "str | np.ndarray":
    from rdjax.data import load_prior

    return choice if choice in PRIORS else load_prior(choice, documents)
