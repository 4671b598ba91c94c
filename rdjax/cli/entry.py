"""The command itself: its help, its version, and how a mistake is told.

Only typer is imported before a command runs, so that help is there at once. A user's mistake is one sentence on stderr
and exit code 2; whatever else goes wrong keeps its traceback, because it is a bug.
"""

import errno
import functools
import json
import os
import sys
import warnings
from collections.abc import Callable
from typing import Annotated, Any

import typer

METRICS = "mrr, map, recall@K, precision@K, ndcg[@K], dcg[@K] or rbp@P"

app = typer.Typer(
    name="rdjax",
    help="How many bits per query, and per stored document, are necessary? Proved floors, real codes.",
    add_completion=False,
    no_args_is_help=True,
    rich_markup_mode=None,
    pretty_exceptions_enable=False,
)


def answering(command: Callable[..., None]) -> Callable[..., None]:
    """A command whose user gets a sentence for a mistake, and quiet for an interruption."""

    @functools.wraps(command)
    def wrapped(*args: Any, **options: Any) -> None:
        os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # its threads and XLA's get into each other's way
        _print_anything()
        try:
            with warnings.catch_warnings():
                warnings.showwarning = _warn
                command(*args, **options)
                sys.stdout.flush()
        except OSError as error:
            if error.filename is not None or error.errno not in (errno.ENOSPC, errno.EIO, errno.EDQUOT, errno.EFBIG):
                raise
            _forget_stdout()
            typer.echo(
                f"the output cannot be written: {error.strerror}; files that were to be saved are saved.", err=True
            )
            raise typer.Exit(2) from None
        except KeyboardInterrupt:
            raise typer.Exit(130) from None
        except ValueError as error:
            from rdjax.checks import InputError

            if not isinstance(error, InputError):
                raise
            typer.echo(str(error), err=True)
            raise typer.Exit(2) from None

    return wrapped


def _forget_stdout() -> None:
    """Python would try once more to write at its end, and complain."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _print_anything() -> None:
    """What stdout has no letters for (a file's name need be no text) is escaped, as on stderr, and ends no command."""
    if getattr(sys.stdout, "errors", None) == "strict" and hasattr(sys.stdout, "reconfigure"):
        sys.stdout.reconfigure(errors="backslashreplace")


def _warn(message: Warning | str, category: type[Warning], *where: Any, **_: Any) -> None:
    """A warning as one sentence on stderr; which line of ours gave it is nothing to a user."""
    typer.echo(f"Warning: {str(message).rstrip('.')}.", err=True)


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


def print_json(document: dict[str, Any]) -> None:
    """JSON on stdout."""
    sys.stdout.write(json.dumps(document, indent=1, allow_nan=False) + "\n")
