"""Many processes: joining them by JAX's own runtime, and agreeing at the two places where that is needed."""

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from rdjax.checks import InputError, require


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
      InputError: flags that do not belong together, or an environment that names no cluster.
    """
    flags = (coordinator, processes, process)
    if flags == (None, None, None) and not cluster:
        return Host()
    alone = not cluster or flags == (None, None, None)
    require(alone, "--cluster reads what --coordinator, --processes and --process say; give one or the other.")
    require(cluster or None not in flags, "--coordinator HOST:PORT, --processes P and --process I go together.")
    if not cluster:
        assert coordinator is not None
        assert processes is not None
        assert process is not None
        host, _, port = coordinator.rpartition(":")
        require(bool(host) and port.isdecimal(), f"--coordinator is {coordinator!r}; write HOST:PORT.")
        require(0 <= process < processes, f"--process is {process}; it must be 0 to {processes - 1}.")
    import jax

    try:
        jax.distributed.initialize(coordinator, processes, process)
    except ValueError as error:
        raise InputError(f"no cluster is found in the environment: {error}") from None
    return Host(jax.process_index(), jax.process_count())
