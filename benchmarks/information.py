"""Information measures beside their peers: discrete (infomeasure), neighbors (scikit-learn, infomeasure), neural.

    python benchmarks/information.py [--only discrete neighbors neural] [--infomeasure PYTHON] [--peer-python PYTHON]

Runs information_discrete.py, information_neighbors.py and information_neural.py one after the other, each in a process of
its own, at their usual settings; they say what is compared with what, and take more options. infomeasure (AGPL) and
benchmark-mi (an old JAX, see information_bmi.py) live in environments of their own, or the first in this one:
--infomeasure names the Python that has the first (default: this one), --peer-python that of the second. What has no
environment is left out, and said so. About 20 minutes in all on two cores.
"""

import argparse
import pathlib
import subprocess
import sys

HERE = pathlib.Path(__file__).parent
PARTS = ("discrete", "neighbors", "neural")
SITE = "import sysconfig; print(sysconfig.get_paths()['purelib'])"


def command(part: str, given: argparse.Namespace) -> list[str]:
    script = str(HERE / f"information_{part}.py")
    if part == "neighbors":
        return [sys.executable, script, "--infomeasure", given.infomeasure]
    if part == "neural":
        return [sys.executable, script, "--peer-python", given.peer_python]
    if given.infomeasure == sys.executable:
        return [sys.executable, script]
    packages = subprocess.run([given.infomeasure, "-c", SITE], check=True, capture_output=True, text=True).stdout
    return [sys.executable, script, "--peer-packages", packages.strip()]


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--infomeasure", default=sys.executable, help="a Python that has it")
    parser.add_argument("--peer-python", help="a Python that has benchmark-mi")
    given = parser.parse_args()
    for part in given.only:
        if part == "neural" and given.peer_python is None:
            print("\nneural: left out; name benchmark-mi's Python with --peer-python", flush=True)
            continue
        print(f"\n===== {part}", flush=True)
        subprocess.run(command(part, given), check=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
