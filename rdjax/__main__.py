"""`python -m rdjax` is `rdjax`; what asks it to end (Ctrl-C, kill, a terminal that closes) leaves nothing behind.

The code is then 128 and the number of the signal, 130 for an interruption, and nothing is said, however far it came.
"""

import contextlib
import os
import signal
import sys
import threading
from typing import Any

_ENDING = ("SIGINT", "SIGTERM", "SIGHUP")


def main() -> None:
    """What the `rdjax` command runs."""
    ended = 0  # by this signal
    ignoring = False
    heard = threading.Event()

    def end(number: int, frame: Any) -> None:
        nonlocal ended
        ended = number
        if not ignoring:  # else it would be ignored as well, and nobody would insist
            heard.set()
            raise KeyboardInterrupt

    def insist() -> None:
        """One that arrives just before a call that waits does not end it; the next one does."""
        while not heard.wait(0.05):
            os.kill(os.getpid(), ended)

    def lost(what: "sys.UnraisableHookArgs") -> None:
        """Where Python ignores exceptions (a finalizer, a collector's callback) an interruption is made once more."""
        nonlocal ignoring
        if not issubclass(what.exc_type, KeyboardInterrupt):
            return sys.__unraisablehook__(what)
        ignoring = True
        heard.clear()
        threading.Thread(target=insist, daemon=True).start()
        ignoring = False

    for name in _ENDING:
        number = getattr(signal, name, None)  # not every system has them all
        if number is not None and signal.getsignal(number) != signal.SIG_IGN:  # a shell's `&` and nohup mean it
            signal.signal(number, end)
    sys.unraisablehook = lost
    try:
        from rdjax.cli import app

        app()
    finally:
        if ended:  # whatever it became on its way; threads that still measure are not waited for
            with contextlib.suppress(OSError):  # of a terminal that is gone
                sys.stdout.flush()
            os._exit(128 + ended)


if __name__ == "__main__":
    main()
