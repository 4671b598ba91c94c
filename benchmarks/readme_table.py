"""The README's table of peers, written from benchmarks/results: no figure in it is from anywhere else.

A row of the table is every row beside a peer that the stored run has of its kind, not the best of them.
"""

import json
import pathlib
import re
import statistics
from dataclasses import dataclass

BEGIN, END = "<!-- from benchmarks/results: begin -->", "<!-- from benchmarks/results: end -->"


@dataclass(frozen=True)
class Entry:
    """A peer, what was measured beside it, and what it does better than rdjax."""

    peer: str
    benchmark: str
    rows: str  # a regular expression of their names
    named: str  # the peer in them
    what: str  # they are, together
    better: str


_RANKED = "ranks of 10,000 queries, of 64 and 512 dimensions"
_CASES = "R(D) of 64 x 64 at five slopes each"
TABLE = (
    Entry(
        "faiss",
        "encode_speed",
        "^encode",
        "faiss",
        "encode",
        "indexes that are searched: IVF, HNSW, GPUs, years of use",
    ),
    Entry(
        "faiss, flat",
        "scale",
        "^ranks",
        "faiss flat, the first 100",
        _RANKED,
        "the documents themselves, not only ranks",
    ),
    Entry(
        "ranx",
        "metrics",
        "^(?!all)",
        "ranx",
        "metrics one by one, rankings given",
        "fusion of runs, significance tests, tables for papers",
    ),
    Entry(
        "ir_measures",
        "metrics",
        "^(?!all)",
        "ir_measures",
        "metrics one by one, ranking included",
        "every measure of trec_eval, and its very numbers",
    ),
    Entry(
        "infomeasure",
        "information_discrete",
        "^entropy",
        "infomeasure",
        "entropies of 2,000 histograms by one estimator after the other",
        "transfer entropy, ordinal and kernel estimators",
    ),
    Entry(
        "scikit-learn",
        "information_neighbors",
        "^KSG",
        "scikit-learn",
        "KSG of 2,000 rows of 1, 5 and 25 columns a side, both on two cores",
        "mutual information of columns one by one, in a line",
    ),
    Entry(
        "rax",
        "soft_metrics",
        "^gradient",
        "rax",
        "gradients of two smooth metrics and two losses",
        "listwise losses by the dozen, masks and segments",
    ),
    Entry(
        "mpmath",
        "limits",
        r"^R\(D\), N = .* MRR",
        "mpmath",
        "R(D) of a thousand documents to 1e12",
        "any number of digits",
    ),
    Entry(
        "SciPy",
        "limits",
        "prior of 1,000,000",
        "SciPy, value alone",
        "R(D) of four priors of 1,000,000, theirs the value alone and ours with gradients",
        "pooling without compiling, faster at a thousand documents",
    ),
    Entry(
        "optimistix",
        "rate_distortion",
        "slope",
        "optimistix",
        _CASES,
        "any fixed point, root or least squares, not only this one",
    ),
    Entry(
        "dit",
        "rate_distortion",
        "slope",
        "dit",
        f"{_CASES}, to the gap that dit reaches",
        "partial information decompositions, many entropies of joint laws",
    ),
    Entry(
        "faiss, its quantizers",
        "codes",
        "^T1, fixed, documents",
        "faiss",
        "1 - MRR",
        "search among the codes, on disk and on GPUs",
    ),
    Entry(
        "bitbudget",
        "codes",
        "^T1, fixed, documents",
        "bitbudget",
        "1 - MRR",
        "a reproducible benchmark of embedding compressors",
    ),
)


def find(entry: Entry, results: pathlib.Path) -> tuple[dict, list[dict]]:
    """(the whole record, the rows of an entry), none where it has not been measured."""
    path = results / f"{entry.benchmark}.json"
    record = json.loads(path.read_text()) if path.exists() else {"rows": []}
    return record, [
        one for one in record["rows"] if re.search(entry.rows, one["name"]) and one.get("peer") == entry.named
    ]


def _two_digits(value: float) -> str:
    """1,400, not 1.4e+03."""
    return f"{float(f'{value:.2g}'):,.10g}"


def _measured(entry: Entry, record: dict, rows: list[dict]) -> tuple[str, str]:
    """(what it is, the ratio): of one row over its runs, of several over the rows."""
    if len(rows) == 1:
        (row,) = rows
        unit = "" if row["unit"] in ("ms", "s") else f", {row['unit']}"
        middle, least, most = (_two_digits(row["ratio"][key]) for key in ("median", "least", "most"))
        return row["name"] + unit, f"{middle} ({least} to {most})" if record["runs"] > 1 else middle
    each = [row["ratio"]["median"] for row in rows]
    middle, least, most = (_two_digits(value) for value in (statistics.median(each), min(each), max(each)))
    return f"{entry.what} ({len(rows)})", f"{middle} ({least} to {most})"


def render(results: pathlib.Path) -> str:
    """The table in Markdown."""
    lines = ["| peer | measured beside it (rows) | theirs / ours | what it does better |", "|---|---|---|---|"]
    for entry in TABLE:
        record, rows = find(entry, results)
        what, ratio = _measured(entry, record, rows) if rows else ("", "not in the stored runs")
        named = f"`benchmarks/{entry.benchmark}.py`{f': {what}' if what else ''}"
        lines.append(f"| {entry.peer} | {named} | {ratio} | {entry.better} |")
    return "\n".join(lines)


def write(readme: pathlib.Path, results: pathlib.Path) -> None:
    """Put the table between the markers."""
    text = readme.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    if rest:
        readme.write_text(f"{before}{BEGIN}\n\n{render(results)}\n\n{END}{after}")
