"""`rdjax sweep`: a grid of experiments over the devices of one machine or of many."""

import os
from typing import TYPE_CHECKING, Annotated

import typer

from rdjax.cli.entry import answering, app

if TYPE_CHECKING:
    from rdjax.sweep import Plan

EXAMPLE = """A config, every combination of these values being a cell:

\b
  [grid]
  documents = [100, 1000]
  noise = [[0.25, 0.6], 1.58]   # sigma of each modality, or of all
  code = ["gaussian", "scalar"]
  rate = [16, 32, 64]           # bits per query
  temperatures = ["uniform", "calibrated", "equation 10"]
  seeds = 5

\b
or, for points of R(D), kind = "rate distortion" and
  [grid]
  source = "gaussian"
  size = [64, 256]
  slope = [0.5, 1, 2, 4, 8]
"""


@app.command(epilog="Example: rdjax sweep grid.toml --plan")
@answering
def sweep(
    config: Annotated[str, typer.Argument(help="A .toml file, or a .py file that sets `config`.")],
    plan: Annotated[
        bool, typer.Option("--plan", help="Only say how many cells and compilations, how much memory and time.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the sweep that is in the folder.")] = False,
    out: Annotated[
        str, typer.Option(metavar="DIR", help="Where results go, as they finish; shared by all processes.")
    ] = "rdjax-sweep",
    memory: Annotated[
        str | None,
        typer.Option(metavar="SIZE", help="What this process may take, e.g. 8GB: fewer devices, if need be."),
    ] = None,
    cluster: Annotated[
        bool, typer.Option("--cluster", help="Many hosts: read them from SLURM, Open MPI, GKE or Cloud TPU.")
    ] = False,
    coordinator: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Many hosts by hand: where process 0 listens.")
    ] = None,
    processes: Annotated[int | None, typer.Option(metavar="P", help="How many processes there are.")] = None,
    process: Annotated[int | None, typer.Option(metavar="I", help="Which of them this is, from 0.")] = None,
) -> None:
    """Compute a grid of experiments."""
    from rdjax.checks import require, whole
    from rdjax.data.machine import byte_size
    from rdjax.sweep import join, plan_sweep, read_config, run_sweep

    wanted, limit = read_config(config), None if memory is None else byte_size(memory, "the memory")
    _use_all_processors()
    if plan:
        given = {"--resume": resume, "--memory": memory, "--cluster": cluster, "--coordinator": coordinator}
        beside = [name for name, value in (given | {"--process": process is not None}).items() if value]
        require(not beside, f"{' '.join(beside)}: a plan only says what a run would take; leave one or the other out.")
        _tell(plan_sweep(wanted, processes=1 if processes is None else whole(processes, "the number of processes")))
        return
    from rdjax.report import Progress

    host = join(coordinator, processes, process, cluster=cluster)
    with Progress() as progress:
        table = run_sweep(wanted, out, resume=resume, memory=limit, host=host, progress=progress)
    if host.leads():
        typer.echo(f"{wanted.grid.size:,} cells: {table}", err=host.count > 1)  # Gloo writes on stdout


sweep.__doc__ = f"{sweep.__doc__}\n\n{EXAMPLE}"


def _use_all_processors() -> None:
    """One device for each processor, unless the environment says otherwise: XLA does not use them all for one cell."""
    import jax

    flags = os.environ.get("XLA_FLAGS", "")
    if "JAX_NUM_CPU_DEVICES" not in os.environ and "xla_force_host_platform_device_count" not in flags:
        jax.config.update("jax_num_cpu_devices", _processors())


def _processors() -> int:
    """Those that this process may use; systems other than Linux only tell how many there are."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def _tell(plan: "Plan") -> None:
    from rdjax.sweep.run import in_words

    typer.echo(f"{'cells:':<14}{plan.cells:,}")
    typer.echo(f"{'devices:':<14}{plan.devices} in each of {plan.processes} processes")
    typer.echo(f"{'compilations:':<14}{len(plan.shapes)}, one for each of these shapes, largest first")
    for shape in plan.shapes:
        what = ", ".join(f"{name} {value}" for name, value in shape.shape.items())
        typer.echo(
            f"  {what}: {shape.cells:,} cells in {shape.parts} parts, {in_words(shape.compiling)} to compile and "
            f"{in_words(shape.computing)} to compute{'' if shape.tried else ' (scaled)'}"
        )
    typer.echo(
        f"{'memory:':<14}{plan.memory / 1e6:,.0f} MB in a process, "
        f"of these {plan.bytes / 1e6:,.1f} MB for arrays on each device"
    )
    typer.echo(f"{'time:':<14}{in_words(plan.seconds)}, by a trial of a few cells now")
