"""`python -m rdjax` is `rdjax`; an interruption leaves with code 130 and says nothing, however far it came."""

import os
import signal
import sys
from typing import Any


def main() -> None:
    """What the `rdjax` command runs."""
    interrupted = False

    def interrupt(number: int, frame: Any) -> None:
        nonlocal interrupted
        interrupted = True
        raise KeyboardInterrupt

    signal.signal(signal.SIGINT, interrupt)
    try:
        from rdjax.cli import app

        app()
    finally:
        if interrupted:  # whatever it became on its way; threads that still measure are not waited for
            sys.stdout.flush()
            os._exit(130)


if __name__ == "__main__":
    main()
