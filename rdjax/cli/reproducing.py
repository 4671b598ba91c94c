"""`rdjax reproduce`: the paper's numbers beside ours."""

from typing import Annotated

import typer

from rdjax.cli.entry import answering, app, print_json

reproduce = typer.Typer(
    help="Compute the paper's numbers, beside what is true.", no_args_is_help=True, rich_markup_mode=None
)
app.add_typer(reproduce, name="reproduce")


@reproduce.callback()
def _group() -> None:
    """Keeps the name of a single command in the command line."""


@reproduce.command(epilog="Example: rdjax reproduce statements")
@answering
def statements(
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")] = False,
) -> None:
    """Print every statement of the paper: its verdict, an instance computed now, and what replaces it."""
    from rich.console import Console

    from rdjax.paper import examined
    from rdjax.report.statements import print_statements, statements_to_json

    found = []
    with Console(stderr=True).status("computing every instance, most of a minute") as status:
        for statement, evidence in examined():
            found.append((statement, evidence))
            status.update(f"computing every instance, most of a minute: {statement.number}")
    if as_json:
        print_json(statements_to_json(found))
    else:
        print_statements(found, Console())


_Full = Annotated[bool, typer.Option("--full", help="Five trials of every reading, not of the first alone.")]
_Quick = Annotated[
    bool, typer.Option("--quick", help="Small corpora and short training: a try, not the paper's sizes.")
]
_Out = Annotated[str, typer.Option(metavar="DIR", help="Where results are kept, so that a second run goes on.")]
_Flickr = Annotated[
    str | None, typer.Option("--flickr30k", metavar="PATH", help="Folder of Flickr30k (see README). Without it, emoji.")
]
_Json = Annotated[bool, typer.Option("--json", help="Print JSON instead of tables.")]
_HOME = "rdjax-paper"


@reproduce.command(epilog="Example: rdjax reproduce table1")
@answering
def table1(full: _Full = False, quick: _Quick = False, out: _Out = _HOME, as_json: _Json = False) -> None:
    """Recompute Table 1 in four readings of what a document is, and where modalities are unequal."""
    _run("table1", full, quick, None, out, as_json)


@reproduce.command(epilog="Example: rdjax reproduce figure1 --out figures")
@answering
def figure1(full: _Full = False, quick: _Quick = False, out: _Out = _HOME, as_json: _Json = False) -> None:
    """Recompute Figure 1: mean reciprocal rank against bits, with bands over trials, as .png and .svg."""
    _run("figure1", full, quick, None, out, as_json)


@reproduce.command(epilog="Example: rdjax reproduce table2 --flickr30k my-flickr30k")
@answering
def table2(quick: _Quick = False, flickr30k: _Flickr = None, out: _Out = _HOME, as_json: _Json = False) -> None:
    """Recompute Table 2 on Flickr30k, or where it cannot be had on the emoji corpus, labelled as such."""
    _run("table2", False, quick, flickr30k, out, as_json)


@reproduce.command(name="all", epilog="Example: rdjax reproduce all --out paper")
@answering
def everything(
    full: _Full = False, quick: _Quick = False, flickr30k: _Flickr = None, out: _Out = _HOME, as_json: _Json = False
) -> None:
    """Recompute every table, figure and statement, and write them on one page; an interrupted run goes on."""
    _run("all", full, quick, flickr30k, out, as_json)


def _run(part: str, full: bool, quick: bool, flickr30k: str | None, out: str, as_json: bool) -> None:
    from rdjax.cli.experiments import experiment, run
    from rdjax.report.paper_tables import print_tables, tables_to_json

    tables, files = run(experiment(part, full=full, quick=quick, flickr30k=flickr30k, out=out))
    if as_json:
        print_json(tables_to_json(tables))
    else:
        from rich.console import Console

        print_tables(tables, Console())
    for file in files:
        typer.echo(f"Written: {file}", err=as_json)
