"""The memory that a sweep may take: as many devices as it allows; too little is said before anything runs."""

import resource
import sys
from collections.abc import Sequence

from rdjax.checks import require
from rdjax.data import machine
from rdjax.sweep.program import Program

WRITING = 1e8  # bytes of tables on their way to disk; 50 to 90 MB were seen, whatever the number of cells


def within(programs: Sequence[Program], memory: float | None) -> list[Program]:
    """The same programs, each on as many of its devices as fit: fewer take longer and find the same.

    Args:
      programs: compiled; of all shapes, so that no shape is found too large after others have run for hours.
      memory: bytes; of this process, whose devices share it, or of each device where devices have memory of their own.
        None for all that the machine or its container has, or, of devices with their own, for XLA to see to.

    Raises:
      InputError: one device alone takes more.
    """
    return [_within(program, memory, resident() + WRITING) for program in programs]


def resident() -> float:
    """The most bytes this process has held so far, programs and all that is imported among them."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(most if sys.platform == "darwin" else most * 1024)


def _within(program: Program, memory: float | None, held: float) -> Program:
    own = program.devices[0].platform != "cpu"
    if own and memory is None:
        return program
    most = machine.memory() if memory is None else memory
    left = most - (0.0 if own else held)
    number = int(left // program.bytes)
    asked = f"give a memory of at least {1.05 * (most - left + program.bytes) / 1e6 + 1:.0f}MB, or make them smaller"
    require(
        number >= 1,
        f"cells with {program.described()} take {program.bytes / 1e6:,.1f} MB on a device"
        f"{'' if own else f' and the process {held / 1e6:,.0f} MB'}"
        f"{'' if memory else f', and there are {most / 1e6:,.0f} MB here'}; {asked}.",
    )
    return program if own or number >= len(program.devices) else program.on(program.devices[:number])
