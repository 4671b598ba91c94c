"""Encoding by a product quantizer beside faiss': time, ratio, peak memory, and the error of both.

    python benchmarks/encode_speed.py [--rows 1000000] [--dimensions 256] [--codebooks 32] [--repeats 3]

Both quantize the coordinates as they are, the same number of codebooks of 8 bits, trained on the same 16,384 rows. Rows
are float32 in a file that is mapped into memory. Time is the shortest of the repeats, warm, on the wall and over all
processors; the bound to keep is a ratio of 2 or less. Peak memory is how far the process's own memory
grows in the first call: codes, blocks under way and (ours) the compiler; pages of the file are not counted.
"""

import os

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

import argparse
import pathlib
import tempfile
import threading
import time
from collections.abc import Callable

import numpy as np
from rows import record

TRAINING = 16_384
INSTALL = "faiss is not installed, so only our own time is shown; install it with: pip install faiss-cpu."


def write_rows(path: pathlib.Path, rows: int, dimensions: int) -> np.ndarray:
    """Clustered vectors of falling variance, made and written block by block."""
    generator = np.random.default_rng(0)
    mix = generator.standard_normal((dimensions, dimensions)) * 0.98 ** np.arange(dimensions)
    centers = 1.5 * generator.standard_normal((64, dimensions))
    array = np.lib.format.open_memmap(path, "w+", np.float32, (rows, dimensions))
    for start in range(0, rows, 65_536):
        size = min(65_536, rows - start)
        noise = generator.standard_normal((size, dimensions)) + centers[generator.integers(0, 64, size)]
        array[start : start + size] = noise @ mix.T / dimensions**0.5
    array.flush()
    return np.load(path, mmap_mode="r")


class Peak:
    """Growth of this process's own memory while it is entered, in MB, looked at 200 times a second."""

    def __enter__(self) -> "Peak":
        self.start = self.most = private_memory()
        self.over = threading.Event()
        self.watch = threading.Thread(target=self._look)
        self.watch.start()
        return self

    def _look(self) -> None:
        while not self.over.wait(0.005):
            self.most = max(self.most, private_memory())

    def __exit__(self, *_: object) -> None:
        self.over.set()
        self.watch.join()
        self.grown = max(self.most, private_memory()) - self.start


def private_memory() -> float:
    """MB that are this process's alone; pages of the mapped file are not. 0 where Linux does not tell."""
    status = pathlib.Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return sum(int(line.split()[1]) for line in lines if line.startswith("RssAnon")) / 1024


def timed(encode: Callable[[], np.ndarray], repeats: int) -> tuple[np.ndarray, float, float, float]:
    """(codes, seconds on the wall, seconds of processors, growth of memory in MB); the first call is not timed."""
    with Peak() as peak:
        codes = encode()
    walls, processors = [], []
    for _ in range(repeats):
        wall, processor = time.perf_counter(), time.process_time()
        codes = encode()
        walls.append(time.perf_counter() - wall)
        processors.append(time.process_time() - processor)
    return codes, min(walls), min(processors), peak.grown


def error(decoded: np.ndarray, rows: np.ndarray) -> float:
    """Squared error over variance."""
    return float(((decoded - rows) ** 2).sum() / ((rows - rows.mean(axis=0)) ** 2).sum())


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--dimensions", type=int, default=256)
    parser.add_argument("--codebooks", type=int, default=32)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        rows = write_rows(pathlib.Path(folder) / "rows.npy", args.rows, args.dimensions)
        run(rows, args.codebooks, args.repeats)


def run(rows: np.ndarray, codebooks: int, repeats: int) -> None:
    """Fit, encode, print."""
    from rdjax.codes.product import ProductQuantizer

    sample = np.array(rows[:TRAINING])
    print(f"{len(rows):,} x {rows.shape[1]} float32, {codebooks} codebooks of 8 bits, {os.cpu_count()} processors")
    start = time.perf_counter()
    code = ProductQuantizer.fit(sample, 8 * codebooks, transform="coordinates", grouping="contiguous")
    np.asarray(code.codebooks)
    print(f"fit: ours {time.perf_counter() - start:.1f} s (compiling included)", end="")
    try:
        import faiss
    except ImportError:
        faiss = None
    if faiss is not None:
        peer = faiss.ProductQuantizer(rows.shape[1], codebooks, 8)
        start = time.perf_counter()
        peer.train(sample)
        print(f", faiss {time.perf_counter() - start:.1f} s", end="")
    print(f"\n{'':8}{'wall, s':>9}{'processors, s':>15}{'peak, MB above':>16}{'error / variance':>18}")
    codes, wall, processor, grown = timed(lambda: np.asarray(code.encode(rows)), repeats)
    judged = slice(0, 20_000)
    ours = error(np.asarray(code.decode(codes[judged])), rows[judged])
    print(f"{'ours':8}{wall:>9.2f}{processor:>15.2f}{grown:>16.0f}{ours:>18.5f}")
    if faiss is None:
        print(INSTALL)
        return
    codes, peer_wall, peer_processor, grown = timed(lambda: peer.compute_codes(rows), repeats)
    record(f"encode {len(rows):,} x {rows.shape[1]}", wall, peer_wall, "faiss", "s")
    theirs = error(peer.decode(codes[judged]), rows[judged])
    print(f"{'faiss':8}{peer_wall:>9.2f}{peer_processor:>15.2f}{grown:>16.0f}{theirs:>18.5f}")
    record("squared error of product codes over variance", ours, theirs, "faiss", "")
    print(f"{'ratio':8}{wall / peer_wall:>9.2f}{processor / peer_processor:>15.2f}   ours over faiss', at most 2")


if __name__ == "__main__":
    main()
