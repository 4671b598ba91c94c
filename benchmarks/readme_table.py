"""The README's table of peers, written from benchmarks/results: no figure in it is from anywhere else."""

import json
import pathlib
from dataclasses import dataclass

BEGIN, END = "<!-- from benchmarks/results: begin -->", "<!-- from benchmarks/results: end -->"


@dataclass(frozen=True)
class Entry:
    """A peer, one measured row beside it, and what it does better than rdjax."""

    peer: str
    benchmark: str
    row: str
    named: str  # the peer in that row
    better: str


TABLE = (
    Entry("faiss", "encode_speed", "encode", "faiss", "indexes that are searched: IVF, HNSW, GPUs, years of use"),
    Entry(
        "faiss, flat",
        "scale",
        "documents x 64",
        "faiss flat, the first 100",
        "the documents themselves, not only ranks",
    ),
    Entry("ranx", "metrics", "all metrics", "ranx", "fusion of runs, significance tests, tables for papers"),
    Entry("ir_measures", "metrics", "all metrics", "ir_measures", "every measure of trec_eval, and its very numbers"),
    Entry(
        "infomeasure",
        "information_discrete",
        "miller_madow",
        "infomeasure",
        "transfer entropy, ordinal and kernel estimators",
    ),
    Entry(
        "scikit-learn",
        "information_neighbors",
        "1 + 1 columns",
        "scikit-learn",
        "mutual information of columns one by one, in a line",
    ),
    Entry("rax", "soft_metrics", "gradient of MRR", "rax", "listwise losses by the dozen, masks and segments"),
    Entry("mpmath", "limits", "R(D), N = 1,000,000, MRR 0.8", "mpmath", "any number of digits"),
    Entry(
        "SciPy", "limits", "Dirichlet prior of 1,000,000, MRR 0.8", "SciPy, value alone", "pooling without compiling"
    ),
    Entry(
        "optimistix",
        "rate_distortion",
        "random(64), slope 8",
        "optimistix",
        "any fixed point, root or least squares, not only this one",
    ),
    Entry(
        "dit",
        "rate_distortion",
        "random(64), slope 8",
        "dit",
        "partial information decompositions, many entropies of joint laws",
    ),
    Entry(
        "faiss, its quantizers",
        "codes",
        "T1, fixed, documents",
        "faiss",
        "search among the codes, on disk and on GPUs",
    ),
    Entry(
        "bitbudget",
        "codes",
        "T1, fixed, documents",
        "bitbudget",
        "a reproducible benchmark of embedding compressors",
    ),
)


def find(entry: Entry, results: pathlib.Path) -> tuple[dict, dict] | None:
    """(the whole record, the row of an entry), or None where it has not been measured."""
    path = results / f"{entry.benchmark}.json"
    record = json.loads(path.read_text()) if path.exists() else {"rows": []}
    rows = [one for one in record["rows"] if entry.row in one["name"] and one.get("peer") == entry.named]
    return (record, rows[0]) if rows else None


def _two_digits(value: float) -> str:
    """1,400, not 1.4e+03."""
    return f"{float(f'{value:.2g}'):,.10g}"


def render(results: pathlib.Path) -> str:
    """The table in Markdown."""
    lines = ["| peer | measured beside it | theirs / ours | what it does better |", "|---|---|---|---|"]
    for entry in TABLE:
        found = find(entry, results)
        measured, ratio = f"`benchmarks/{entry.benchmark}.py`", "not in the stored runs"
        if found:
            record, row = found
            unit = "" if row["unit"] in ("ms", "s") else f", {row['unit']}"
            measured += f": {row['name']}{unit}"
            middle, least, most = (_two_digits(row["ratio"][key]) for key in ("median", "least", "most"))
            ratio = f"{middle} ({least} to {most})" if record["runs"] > 1 else middle
        lines.append(f"| {entry.peer} | {measured} | {ratio} | {entry.better} |")
    return "\n".join(lines)


def write(readme: pathlib.Path, results: pathlib.Path) -> None:
    """Put the table between the markers."""
    text = readme.read_text()
    before, _, rest = text.partition(BEGIN)
    _, _, after = rest.partition(END)
    if rest:
        readme.write_text(f"{before}{BEGIN}\n\n{render(results)}\n\n{END}{after}")
