"""The report in a browser: two pages in every look, by axe, by the console and the network, by width; and by keyboard.

    python benchmarks/browser.py

The usual report, and one whose names are long and have no spaces: wide and narrow, light and dark, with details closed and
open. `tests/test_page.py` asks the same of a few of these. Prints what is wrong, and exits 1 if anything is.
"""

import pathlib
import sys
import tempfile
import time

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent.parent))
from tests import browser


def tried(name, check, *given, **settings):
    """Prints how it went; whether it went wrong."""
    start, trouble = time.perf_counter(), None
    try:
        check(*given, **settings)
    except AssertionError as error:
        trouble = error
    print(f"{name:24} {time.perf_counter() - start:5.1f} s  {'all right' if trouble is None else 'wrong'}", flush=True)
    if trouble is not None:
        print(f"    line {trouble.__traceback__.tb_next.tb_lineno} of tests/browser.py: {trouble}")
    return trouble is not None


def main():
    if reason := browser.missing():
        sys.exit(reason)
    wrong = 0
    with tempfile.TemporaryDirectory() as one, tempfile.TemporaryDirectory() as other, browser.opened() as chromium:
        pages = {"usual": browser.usual(pathlib.Path(one)), "long": browser.with_long_names(pathlib.Path(other))}
        for name, address in pages.items():
            for look in browser.LOOKS:
                wrong += tried(f"{name}, {look}", browser.check_look, chromium, address, look, axe=True)
        wrong += tried("usual, by keyboard", browser.check_keyboard, chromium, pages["usual"])
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
