"""Many processes: joining them by JAX's own runtime, and agreeing at the two places where that is needed."""

import os
import socket
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import numpy as np

from rdjax.checks import InputError, require, whole

PATIENCE = 300  # seconds that processes wait for each other


@dataclass(frozen=True)
class Host:
    """One of `count` processes, number `index` from 0; number 0 leads."""

    index: int = 0
    count: int = 1

    def leads(self) -> bool:
        """Whether this is the process that writes the manifest and the merged table."""
        return self.index == 0

    def together(self, work: Callable[[], None]) -> None:
        """Do the work, wait until every process has, and go on only if none of them failed.

        Raises:
          InputError: that of this process, or one that says which process failed.
        """
        mistake: InputError | None = None
        try:
            work()
        except InputError as error:
            mistake = error
        failed = self._gather(mistake is not None)
        if mistake is not None:
            raise mistake
        require(not failed.any(), f"process {int(np.argmax(failed))} stopped, and says why on its own stderr.")

    def _gather(self, failed: bool) -> np.ndarray:
        if self.count == 1:
            return np.array([failed])
        from jax.experimental import multihost_utils

        return np.asarray(multihost_utils.process_allgather(np.int32(failed))).ravel().astype(bool)


def join(
    coordinator: str | None = None, processes: int | None = None, process: int | None = None, *, cluster: bool = False
) -> Host:
    """Join the processes of a sweep, before anything is computed. On CPUs the collectives (Gloo) print on stdout.

    Args:
      coordinator, processes, process: HOST:PORT of process 0, how many there are, which of them this is.
      cluster: read them from the environment instead: SLURM, Open MPI, GKE, Cloud TPU (`jax.distributed.initialize`).

    Raises:
      InputError: flags that do not belong together, fewer than one process, a host that is not found, a port that is
        taken, an environment that names no cluster. Where the others do not come within `PATIENCE` seconds, JAX would
        abort the process with a trace of its stack; it ends with a sentence and code 2 instead.
    """
    flags = (coordinator, processes, process)
    if flags == (None, None, None) and not cluster:
        return Host()
    alone = not cluster or flags == (None, None, None)
    require(alone, "--cluster reads what --coordinator, --processes and --process say; give one or the other.")
    require(cluster or None not in flags, "--coordinator HOST:PORT, --processes P and --process I go together.")
    if not cluster:
        _check_flags(*flags)  # type: ignore[arg-type]
    import jax

    try:
        with _patience("the cluster's processes" if cluster else f"{processes} processes at {coordinator}"):
            jax.distributed.initialize(*flags, initialization_timeout=10 * PATIENCE)
    except (ValueError, KeyError, RuntimeError) as error:
        raise InputError(
            f"no cluster can be joined ({str(error).rstrip('.')}); start every process by srun, mpirun or the "
            "like, or give each --coordinator, --processes and --process."
        ) from None
    return Host(jax.process_index(), jax.process_count())


def _check_flags(coordinator: str, processes: int, process: int) -> None:
    host, _, port = coordinator.rpartition(":")
    good = bool(host) and port.isdecimal() and 0 < int(port) < 2**16
    require(good, f"--coordinator is {coordinator!r}; write HOST:PORT.")
    whole(processes, "--processes")
    require(0 <= process < processes, f"--process is {process}; it must be 0 to {processes - 1}.")
    try:
        socket.getaddrinfo(host.strip("[]"), int(port))
    except OSError as error:
        raise InputError(f"--coordinator names the host {host!r}, which is not found: {error.strerror}.") from None
    if process > 0:
        return
    with socket.socket() as trial:
        trial.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)  # a port whose last user is gone is free
        try:
            trial.bind(("", int(port)))
        except OSError as error:
            raise InputError(f"process 0 cannot listen on port {port}: {error.strerror}; name another one.") from None


@contextmanager
def _patience(others: str) -> Iterator[None]:
    """Ends the process with a sentence if the block takes too long; nothing has been written by then."""

    def give_up() -> None:
        print(
            f"{others} did not meet within {PATIENCE} seconds; start all of them, each with its own number, and see "
            "that they reach process 0.",
            file=sys.stderr,
            flush=True,
        )
        os._exit(2)

    clock = threading.Timer(PATIENCE, give_up)
    clock.daemon = True
    clock.start()
    try:
        yield
    finally:
        clock.cancel()
