"""An interruption leaves with code 130, says nothing, and leaves nothing behind; whatever is running.

So does every other signal that asks a process to end, with its code."""

import os
import pathlib
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from rdjax import __main__ as command
from rdjax.audit.families import trials
from rdjax.audit.frontier import Bench, cost
from rdjax.audit.memory import Sizes
from rdjax.audit.tried import at_their_budgets
from rdjax.audit.view import make_views
from tests.test_audit import small

pytestmark = pytest.mark.float64_only
CODES = {signal.SIGINT: 130, signal.SIGTERM: 143, signal.SIGHUP: 129}


@pytest.fixture(autouse=True)
def handlers():
    """None of these signals is ignored here, nor then by children, as it is below nohup; put back afterwards."""
    before = {number: signal.getsignal(number) for number in CODES}
    for number in CODES:
        signal.signal(number, signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL)
    yield
    for number, handler in before.items():
        signal.signal(number, handler)


@pytest.mark.skipif(not pathlib.Path("/proc/self/maps").exists(), reason="there is no /proc to see how far it came")
@pytest.mark.parametrize(("loaded", "pause"), [("_multiarray_umath", 0), ("constriction", 1)])
def test_an_audit_that_is_interrupted_leaves_nothing(tmp_path, loaded, pause):
    """While it imports, and when it has read the corpus."""
    line = [sys.executable, "-m", "rdjax", "audit", "--out", str(tmp_path / "report")]
    kept = {"TMPDIR": str(tmp_path), "MPLCONFIGDIR": str(tmp_path), "PYTHONPATH": os.pathsep.join(sys.path)}
    process = subprocess.Popen(line, env={**os.environ, **kept}, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    maps = pathlib.Path(f"/proc/{process.pid}/maps")
    while process.poll() is None and loaded not in maps.read_text():
        time.sleep(0.01)
    time.sleep(pause)
    process.send_signal(signal.SIGINT)
    said = process.communicate(timeout=120)
    assert (process.returncode, said) == (130, (b"", b""))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", CODES)
def test_whatever_an_interruption_becomes_the_code_is_that_of_the_signal(monkeypatch, number):
    """Libraries turn it into errors of their own."""

    def app():
        try:
            os.kill(os.getpid(), number)
            time.sleep(5)
        except KeyboardInterrupt:
            raise RuntimeError("lost") from None

    left = []
    monkeypatch.setattr("rdjax.cli.app", app)
    monkeypatch.setattr(os, "_exit", left.append)
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)  # put back afterwards
    with pytest.raises(RuntimeError, match="lost"):
        command.main()
    assert left == [CODES[number]]


@pytest.mark.parametrize("number", CODES)
def test_a_signal_that_the_parent_ignores_is_ignored(monkeypatch, number):
    """`rdjax audit &` in a script, and nohup."""
    done = []
    monkeypatch.setattr("rdjax.cli.app", lambda: (os.kill(os.getpid(), number), done.append(True)))
    monkeypatch.setattr(sys, "unraisablehook", sys.unraisablehook)
    signal.signal(number, signal.SIG_IGN)
    command.main()
    assert done == [True]


@pytest.mark.parametrize("number", CODES)
def test_a_command_that_is_ended_while_it_writes_leaves_nothing(tmp_path, number):
    """A batch system's limit of time, a container that is stopped, a terminal that is closed."""
    program = """
import sys, time
from rdjax import __main__, cli
from rdjax.data.writing import staged
@cli.entry.app.command()
@cli.entry.answering
def write():
    with staged(["new.bin"]) as (fresh,):
        fresh.write_bytes(bytes(1000))
        print(fresh, flush=True)
        time.sleep(60)
sys.argv[1:] = ["write"]
__main__.main()
"""
    kept = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    line = [sys.executable, "-c", program]
    process = subprocess.Popen(line, env=kept, cwd=tmp_path, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    fresh = process.stdout.readline().strip()
    assert os.path.getsize(fresh) == 1000
    process.send_signal(number)
    said = process.communicate(timeout=50)
    assert (process.returncode, said) == (CODES[number], ("", ""))
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_an_interruption_that_python_ignores_is_made_again(tmp_path, number):
    """XLA asks the collector to call it; what is raised there is printed and forgotten."""
    program = f"""
import gc, os, signal, sys, time
from rdjax import __main__, cli
def app():
    hook = sys.unraisablehook
    sys.unraisablehook = lambda what: (print(what.exc_type.__name__, flush=True), hook(what))
    fall = lambda phase, info: (gc.callbacks.clear(), os.kill(os.getpid(), {int(number)}), time.sleep(1))
    gc.callbacks[:] = [fall]
    gc.collect()
    time.sleep(60)
cli.app = app
__main__.main()
"""
    kept = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    done = subprocess.run([sys.executable, "-c", program], env=kept, capture_output=True, timeout=50)
    assert (done.returncode, done.stderr) == (CODES[number], b"")
    assert done.stdout == b"KeyboardInterrupt\n"  # it was ignored at first


def test_families_that_wait_are_not_begun_after_an_error():
    bench, begun = Bench(make_views(small(), None, 0)[0], None, (np.ones(60), []), 0.95, 0, Sizes()), []

    def run(trial, advance):
        begun.append(trial.family)
        raise KeyboardInterrupt

    bench.run = run
    with pytest.raises(KeyboardInterrupt):
        list(at_their_budgets(bench, [*trials("documents", 6, 2), *trials("queries", 6, 2)], lambda *words: None))
    assert 1 <= len(begun) <= 4


def test_the_cost_of_a_family():
    class Trial:
        makers = (1, 2, 3, 4, 5)

    assert cost(Trial) == 5 + 3 * 3
