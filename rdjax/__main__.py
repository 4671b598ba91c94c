"""`python -m rdjax` is `rdjax`; an interruption leaves with code 130 and says nothing, however far it came."""

import os
import signal
import sys
import threading
from typing import Any


def main() -> None:
    """What the `rdjax` command runs."""
    interrupted = ignoring = False
    heard = threading.Event()

    def interrupt(number: int, frame: Any) -> None:
        nonlocal interrupted
        interrupted = True
        if not ignoring:  # else it would be ignored as well, and nobody would insist
            heard.set()
            raise KeyboardInterrupt

    def insist() -> None:
        """One that arrives just before a call that waits does not end it; the next one does."""
        while not heard.wait(0.05):
            os.kill(os.getpid(), signal.SIGINT)

    def lost(what: "sys.UnraisableHookArgs") -> None:
        """Where Python ignores exceptions (a finalizer, a collector's callback) an interruption is made once more."""
        nonlocal ignoring
        if not issubclass(what.exc_type, KeyboardInterrupt):
            return sys.__unraisablehook__(what)
        ignoring = True
        heard.clear()
        threading.Thread(target=insist, daemon=True).start()
        ignoring = False

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
