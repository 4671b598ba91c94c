"""`python -m rdjax` is `rdjax`; an interruption leaves with code 130 and says nothing, however far it came."""

import os
import signal
import sys
import threading
from typing import Any


def main() -> None:
    """What the `rdjax` command runs."""
    interrupted = False

    def interrupt(number: int, frame: Any) -> None:
        nonlocal interrupted
        interrupted = True
        raise KeyboardInterrupt

    def lost(what: "sys.UnraisableHookArgs") -> None:
        """Where Python ignores exceptions (a finalizer, a collector's callback) an interruption is made once more."""
        if issubclass(what.exc_type, KeyboardInterrupt):
            threading.Timer(0.01, os.kill, (os.getpid(), signal.SIGINT)).start()
        else:
            sys.__unraisablehook__(what)

    signal.signal(signal.SIGINT, interrupt)
    sys.unraisablehook = lost
    try:
        from rdjax.cli import app

        app()
    finally:
        if interrupted:  # whatever it became on its way; threads that still measure are not waited for
            sys.stdout.flush()
            os._exit(130)


if __name__ == "__main__":
    main()
