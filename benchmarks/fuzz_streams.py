"""Hostile streams and code files by the million: each is refused in one sentence or read as what it says.

    python benchmarks/fuzz_streams.py [--seconds 600] [--seed 0]

Three attacks: bytes of a stream changed, cut and joined; the same behind a header and a checksum that are right, so
that the damage reaches the coders; and files of saved codes. Anything but an InputError of one sentence, or symbols in
their alphabets, stops the run with what caused it. Prints how many were tried and which sentences came.
"""

import argparse
import collections
import time
import tracemalloc

import numpy as np

from rdjax.checks import InputError
from rdjax.codes import EntropyCodedScalar, Int8, RankCode, ScalarQuantizer, SignBits, SignBitsRescored, Truncation
from rdjax.codes.frames import ITEMS, frame
from rdjax.codes.recoded import EntropyCoded
from rdjax.codes.saved import load_code, save_code

MOST_MEMORY = 2**28  # bytes that no hostile stream may make a reader take


def make_codes(rng):
    """Every kind of payload: fixed widths, digits of big integers, range-coded columns."""
    vectors = rng.standard_normal((300, 6)) * 0.7 ** np.arange(6)
    scalar = ScalarQuantizer.fit(vectors, 9)
    codes = [
        scalar,
        EntropyCodedScalar.fit(vectors, 5),
        SignBits.fit(vectors),
        Int8.fit(vectors),
        RankCode.fit(vectors),
    ]
    codes += [Truncation.fit(vectors, 2), Truncation.fit(vectors, 1, store="float32"), SignBitsRescored.fit(vectors, 3)]
    codes += [EntropyCoded.fit(code, code.encode(vectors)) for code in (scalar, codes[2], codes[5])]
    return [(code, np.asarray(code.encode(vectors))) for code in codes]


def damaged(data, rng):
    """The bytes with some changed, cut, doubled or put in, as chance has it."""
    data = bytearray(data)
    for _ in range(rng.integers(1, 4)):
        kind, place = rng.integers(5), int(rng.integers(len(data) + 1))
        if kind == 0 and data:
            data[min(place, len(data) - 1)] = rng.integers(256)
        elif kind == 1 and data:
            data[min(place, len(data) - 1)] ^= 1 << int(rng.integers(8))
        elif kind == 2:
            del data[place : place + int(rng.integers(1, 9))]
        elif kind == 3:
            data[place:place] = rng.bytes(int(rng.integers(1, 9)))
        else:
            data += data[place:]
    return bytes(data[: 1 << 16])


def outcome(read, tried):
    """The sentence that refuses, with its numbers left out, or "read"."""
    try:
        result = read()
    except InputError as error:
        sentence = str(error)
        if "\n" in sentence or not sentence.endswith("."):
            raise AssertionError(f"no sentence: {sentence!r} for {tried.hex()}") from error
        return "".join("0" if c.isdigit() else c for c in sentence).replace("00", "0").replace("00", "0")
    except Exception as error:
        raise AssertionError(f"{error!r} for {tried.hex()}") from error
    return f"read: {type(result).__name__}" if not hasattr(result, "shape") else "read"


def attack(code, symbols, rng):
    """One hostile stream or file, and what came of it."""
    some = symbols[: int(rng.choice([0, 1, 5, 40]))]
    kind = rng.integers(20)
    if kind == 0:
        bad = damaged(save_code(code), rng)
        return outcome(lambda: load_code(bad, "the file"), bad)
    if kind < 8:
        bad = damaged(code.to_bytes(some), rng)
    else:
        count, following = int(rng.choice([0, 1, 5, 39, 40, 41, ITEMS])), int(rng.choice([0, 0, 0, 1, 2**41]))
        bad = frame(count, damaged(code.pack(some), rng), code.fingerprint, following)
    return outcome(lambda: in_alphabets(code, code.from_bytes(bad)), bad)


def in_alphabets(code, found):
    """What was read, if it is symbols that the code may write; no sentence, but a bug, if it is not."""
    try:
        code._host(found)
    except InputError as error:
        raise AssertionError("symbols outside their alphabets") from error
    return found


def main():
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("--seconds", type=float, default=600)
    parser.add_argument("--seed", type=int, default=0)
    options = parser.parse_args()
    rng = np.random.default_rng(options.seed)
    codes, seen, tried = make_codes(rng), collections.Counter(), 0
    tracemalloc.start()
    start = time.monotonic()
    while time.monotonic() - start < options.seconds:
        code, symbols = codes[tried % len(codes)]
        seen[attack(code, symbols, rng)] += 1
        tried += 1
    peak = tracemalloc.get_traced_memory()[1]
    assert peak < MOST_MEMORY, f"a reader took {peak} bytes"
    print(f"{tried:,} tried in {time.monotonic() - start:.0f} s, at most {peak / 1e6:.0f} MB")
    for sentence, count in seen.most_common(40):
        print(f"{count:>9,}  {sentence}")


if __name__ == "__main__":
    main()
