"""The memory that a sweep may take: as many devices as it allows; too little is said before anything runs."""

import resource
import sys
from collections.abc import Sequence

from rdjax.checks import require
from rdjax.sweep.program import Program

WRITING = 1e8  # bytes of tables on their way to disk; 50 to 90 MB were seen, whatever the number of cells


def within(programs: Sequence[Program], memory: float) -> list[Program]:
    """The same programs, each on as many of its devices as fit: fewer take longer and find the same.

    Args:
      programs: compiled; of all shapes, so that no shape is found too large after others have run for hours.
      memory: bytes; of this process, whose devices share it, or of each device where devices have memory of their own.

    Raises:
      InputError: one device alone takes more.
    """
    return [_within(program, memory, resident() + WRITING) for program in programs]


def resident() -> float:
    """The most bytes this process has held so far, programs and all that is imported among them."""
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return float(most if sys.platform == "darwin" else most * 1024)


def _within(program: Program, memory: float, held: float) -> Program:
    own = program.devices[0].platform != "cpu"
    left = memory - (0.0 if own else held)
    number = int(left // program.bytes)
    require(
        number >= 1,
        f"cells with {program.described()} take {program.bytes / 1e6:,.1f} MB on a device"
        f"{'' if own else f' and the process {held / 1e6:,.0f} MB'}; give a memory of at least "
        f"{1.05 * (memory - left + program.bytes) / 1e6 + 1:.0f}MB, or make them smaller.",
    )
    return program if own or number >= len(program.devices) else program.on(program.devices[:number])
