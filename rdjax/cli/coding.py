"""`rdjax encode` and `rdjax decode`: a code fitted to a budget, vectors to bytes with it, and back."""

import os
from pathlib import Path
from typing import Annotated

import typer

from rdjax.cli.entry import answering, app, print_json


@app.command(epilog='Example: rdjax encode my-corpus --side documents --family "PCA + scalar" --bits 256 --out codes')
@answering
def encode(
    path: Annotated[
        str | None,
        typer.Argument(help="A corpus as audit takes it, or one array: .npy, .safetensors. Without it, the emoji."),
    ] = None,
    code: Annotated[
        str | None, typer.Option(metavar="FILE", help="Encode with this saved code instead of fitting one.")
    ] = None,
    family: Annotated[
        str | None,
        typer.Option(
            help="The kind of code to fit, as in the command that audit prints; a name that is none lists all."
        ),
    ] = None,
    bits: Annotated[float | None, typer.Option(help="Bits for each item.")] = None,
    side: Annotated[
        str | None, typer.Option(help="What of a corpus is encoded: documents or queries. Without it, documents.")
    ] = None,
    code_class: Annotated[
        str | None,
        typer.Option(
            "--class",
            help="B: fitted on the searched documents, or on the array itself; C: on others (--fit). Without it, B, "
            "and C for queries of a corpus.",
        ),
    ] = None,
    fit: Annotated[
        str | None, typer.Option(metavar="PATH", help="What else to fit on: a corpus, or an array for an array.")
    ] = None,
    task: Annotated[str | None, typer.Option(help="Which emoji task, T1 to T4, where there is no PATH.")] = None,
    seed: Annotated[int | None, typer.Option(help="Of every random choice, as in audit.", show_default="0")] = None,
    out: Annotated[
        str | None,
        typer.Option(
            metavar="PATH",
            help="Folder for code.safetensors and the stream; with --code, the stream.",
            show_default="rdjax-codes; with --code, NAME.rdx here",
        ),
    ] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of lines.")] = False,
) -> None:
    """Write vectors as the bytes of a code.

    Fits a code of a family to a budget, as audit does, and encodes one side of the corpus with it; or encodes with a
    code that was saved before. The bytes that it reports of the stream are those on disk; those of the encoder are its
    numbers at 4 bytes each, without what only a decoder needs, which the saved code holds too.
    """
    from rdjax.cli import jobs

    with jobs.precision():
        if code is None:
            named = jobs.checked(family, bits, out)
            job = jobs.encoding(path, task=task, side=side, fit=fit, family=named, seed=seed or 0)
            done = jobs.fit_and_encode(job, named, bits, code_class, out)
        else:
            chosen = {"--family": family, "--bits": bits, "--class": code_class, "--fit": fit, "--seed": seed}
            jobs.refuse_unused([name for name, value in chosen.items() if value is not None])
            job = jobs.encoding(path, task=task, side=side, fit=None, family=None, seed=0)
            done = jobs.encode_with(job, code, out)
    _tell(done, as_json)


@app.command(epilog="Example: rdjax decode codes/documents.rdx --code codes/code.safetensors --out vectors.npy")
@answering
def decode(
    path: Annotated[str, typer.Argument(help="A stream that encode wrote.")],
    code: Annotated[str, typer.Option(metavar="FILE", help="The code that wrote it.")],
    out: Annotated[str, typer.Option(metavar="FILE", help="Where the vectors go: a .npy file.")] = "vectors.npy",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of lines.")] = False,
) -> None:
    """Read vectors back from the bytes of a code.

    Inner products with the other side's raw vectors, modalities side by side, are the scores, but for rank codes and
    rescored sign bits, which rank in stages of their own.
    """
    from rdjax.cli import jobs

    with jobs.precision():
        done = jobs.decode_file(path, code, out)
    _tell(done, as_json)


@app.command(epilog="Example: rdjax export codes/documents.rdx --code codes/code.safetensors --out tables")
@answering
def export(
    path: Annotated[str, typer.Argument(help="A stream that encode wrote.")],
    code: Annotated[str, typer.Option(metavar="FILE", help="The code that wrote it.")],
    out: Annotated[
        str, typer.Option(metavar="PATH", help="A folder for .npy tables and a README; or FILE.faiss for an index.")
    ] = "tables",
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of lines.")] = False,
) -> None:
    """Write codes as what people serve with: NumPy tables, or a faiss index.

    The tables' README decodes them in plain NumPy. An index needs faiss-cpu, and a scalar, sign,
    product or residual code of fixed length whose documents are not stretched.
    """
    from rdjax.cli import jobs

    jobs.places.keep_to_endings(out)
    with jobs.precision():
        done = (
            jobs.export_index(path, code, out) if Path(out).suffix == ".faiss" else jobs.export_tables(path, code, out)
        )
    _tell(done, as_json)


def _tell(done: "dict[str, object]", as_json: bool) -> None:
    """What was done as JSON, or as lines with numbers as a person reads them; sizes of files are those on disk."""
    from rdjax.audit.wording import storage
    from rdjax.report.words import bits

    if as_json:
        print_json(done)
        return
    for name, value in done.items():
        if isinstance(value, dict):
            for file, size in value.items():
                typer.echo(f"{name + ':':<12}{os.path.normpath(file)}, {size:,} bytes")
        elif isinstance(value, int | float):
            typer.echo(f"{name + ':':<12}{storage(value) if name == 'encoder' else bits(value)}")
        else:
            typer.echo(f"{name + ':':<12}{value}")
