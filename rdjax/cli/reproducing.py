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
