"""Damaged, mislabelled and hostile files of the other formats: one sentence, and nothing allocated on their word."""

import json
import struct
import tracemalloc

import numpy as np
import pytest

from rdjax.checks import InputError
from rdjax.data import Corpus, load_corpus
from tests import fake_parquet
from tests.corpora import IDS, QUERY_IDS, N, Q, archive, arrays, folder, refused
from tests.test_more_files import JUDGED, beir, json_lines, table_folder, tensors

pytestmark = pytest.mark.float64_only


def test_tensors_cut_anywhere(tmp_path):
    """At every byte, of the header and of the numbers."""
    path = tensors(tmp_path)
    file = tmp_path / "corpus.safetensors"
    whole = file.read_bytes()
    first = 8 + struct.unpack("<Q", whole[:8])[0]
    for length in range(len(whole)):
        file.write_bytes(whole[:length])
        refused(path, "is no .safetensors file or is damaged" if length < first else "is cut short or damaged: .* all")
    file.write_bytes(whole + b"\0")
    refused(path, "1 bytes at its end belong to no array")
    file.write_bytes(whole)
    assert isinstance(load_corpus(path), Corpus)


def test_tensors_damaged_anywhere(tmp_path):
    """Whatever byte is changed, the corpus is read or refused in a sentence; nothing else comes out."""
    path = tensors(tmp_path)
    file = tmp_path / "corpus.safetensors"
    whole = file.read_bytes()
    first = 8 + struct.unpack("<Q", whole[:8])[0]
    rng = np.random.default_rng(4)
    refusals = 0
    for _ in range(2000):
        spoiled = bytearray(whole)
        for place in rng.integers(first, size=rng.integers(1, 4)):
            spoiled[place] = rng.integers(256) if rng.random() < 0.5 else rng.choice(list(b'0123456789[]{}",:FIU'))
        file.write_bytes(spoiled)
        try:
            assert isinstance(load_corpus(path), Corpus)
        except InputError as error:
            assert str(error).startswith(path)  # noqa: PT017
            assert "\n" not in str(error)  # noqa: PT017
            refusals += 1
    assert refusals > 1500


def header(**entry):
    return {"documents.text": {"dtype": "F32", "shape": [5, 4], "data_offsets": [0, 80], **entry}}


NOT_ONE = r"is no \.safetensors file or is damaged; write it again\.$"
HEADERS = {
    "no JSON": (b"{", NOT_ONE),
    "a list": (b"[]", NOT_ONE),
    "a number": (b"7", NOT_ONE),
    "nothing": (b"", NOT_ONE),
    "not UTF-8": (b'{"\xff": 1}', NOT_ONE),
    "deep": (b"[" * 100000, NOT_ONE),
    "a long number": (b'{"a": ' + b"9" * 5000 + b"}", NOT_ONE),
    "an entry twice": (b'{"a": 1, "a": 1}', NOT_ONE),
    "no entry": ({"documents.text": 7}, NOT_ONE),
    "no offsets": ({"documents.text": {"dtype": "F32", "shape": [5, 4]}}, NOT_ONE),
    "three offsets": (header(data_offsets=[0, 40, 80]), NOT_ONE),
    "no whole offsets": (header(data_offsets=[0, 80.0]), NOT_ONE),
    "an offset below 0": (header(data_offsets=[-80, 0]), NOT_ONE),
    "a side below 0": (header(shape=[-5, -4]), NOT_ONE),
    "a side that is true": (header(shape=[20, True]), NOT_ONE),
    "a shape that is text": (header(shape="54"), NOT_ONE),
    "a kind that is none": (header(dtype=None), NOT_ONE),
    "backwards": (header(data_offsets=[80, 0]), "documents.text is not all there"),
    "beyond the end": (header(data_offsets=[0, 88]), "documents.text is not all there"),
    "a hole before": (header(data_offsets=[40, 80]), "documents.text is not all there"),
    "a hole after": (header(data_offsets=[0, 40]), "40 bytes at its end belong to no array"),
    "an overlap": ({**header(), "queries.text": header()["documents.text"]}, "queries.text is not all there"),
    "another shape": (header(shape=[5, 5]), r"text is damaged: its shape \(5, 5\) takes 100 bytes and it has 80"),
    "a huge shape": (header(shape=[2**62, 2**62]), "text declares the impossible shape"),
    "huge but empty": (header(shape=[2**47, 2**47, 0]), "text declares the impossible shape"),
    "many axes": (header(shape=[1] * 70), "text declares the impossible shape"),
    "an unknown kind": (header(dtype="F8_E4M3", shape=[20, 4]), "documents.text holds F8_E4M3 values; export it as"),
    "truth values": (header(dtype="BOOL", shape=[20, 4]), "documents.text holds BOOL values"),
    "three axes": (header(shape=[5, 2, 2]), "has no queries"),
    "an unknown key": ({"docs": header()["documents.text"]}, "has the key 'docs', which is unknown"),
    "no arrays": ({"__metadata__": {}}, "80 bytes at its end belong to no array"),
    "the same twice": (
        {
            "documents.text": {"dtype": "BF16", "shape": [5, 4], "data_offsets": [0, 40]},
            "documents.text.bf16": {"dtype": "U16", "shape": [5, 4], "data_offsets": [40, 80]},
        },
        "has documents.text.bf16 twice",
    ),
}


@pytest.mark.parametrize("case", HEADERS)
def test_headers_of_tensors(tmp_path, case):
    content, message = HEADERS[case]
    content = content if isinstance(content, bytes) else json.dumps(content).encode()
    path = tmp_path / "corpus.safetensors"
    path.write_bytes(struct.pack("<Q", len(content)) + content + bytes(80))
    refused(str(path), message)


@pytest.mark.parametrize("length", [0, 2**63, 2**40, 89, 10**8 + 1])
def test_a_header_longer_than_the_file_is_not_read(tmp_path, length):
    path = tmp_path / "corpus.safetensors"
    path.write_bytes(struct.pack("<Q", length) + bytes(80))
    tracemalloc.start()
    refused(str(path), NOT_ONE)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20


def test_npy_headers_that_numpy_cannot_have(tmp_path):
    """Beside a 0 the other axes count too; in .npy as in .safetensors."""
    path = folder(tmp_path)
    for shape in ((2**47, 2**47, 0), (1,) * 70):
        text = f"{{'descr': '<f4', 'fortran_order': False, 'shape': {shape}}}".encode()
        content = b"\x93NUMPY\x01\x00" + struct.pack("<H", len(text)) + text + bytes(8)
        (tmp_path / "corpus" / "documents.image.npy").write_bytes(content)
        refused(path, r"documents\.image\.npy declares the impossible shape")


INT8 = np.ones((N, 3), np.int8)
STORED = {
    "bf16 of floats": ({"documents.text.bf16": np.ones((N, 3))}, "text.bf16.* holds float64 values; as bfloat16"),
    "bf16 of other bytes": ({"documents.text.bf16": np.ones((N, 3), ">u2")}, "text.bf16.* holds >u2 values"),
    "bf16 of one axis": ({"documents.text.bf16": np.ones(N, np.uint16)}, r"text.bf16.* has shape \(5,\)"),
    "bf16 of three axes": (
        {"documents.text.bf16": np.ones((N, 3, 1), np.uint16)},
        r"bf16.* has shape \(5, 3, 1\)",
    ),
    "bf16 of nothing": ({"documents.text.bf16": np.ones((0, 3), np.uint16)}, "text.bf16.* has no rows"),
    "bf16 that is NaN": ({"documents.text.bf16": np.full((N, 3), 0x7FC0, np.uint16)}, "text.bf16.* NaN .* in row 0"),
    "bf16 that is 0": ({"documents.text.bf16": np.zeros((N, 3), np.uint16)}, "text.bf16.* is all zeros in row 0"),
    "bf16 twice": ({"documents.text": INT8, "documents.text.bf16": INT8}, "documents.text"),
    "a scale alone": ({"documents.x.scale": np.ones(3)}, "documents.x.scale.* scales nothing"),
    "a scale of floats": ({"documents.image.scale": np.ones(4)}, "image.* holds float32 values beside .*image.scale"),
    "a scale of whole numbers": ({"documents.text": INT8, "documents.text.scale": np.ones(3, int)}, "scale.* int64"),
    "a scale for each row": ({"documents.text": INT8, "documents.text.scale": np.ones(N)}, r"scale.* has shape \(5,\)"),
    "a scale of 0": ({"documents.text": INT8, "documents.text.scale": np.array([1.0, 0, 1])}, "has 0 in column 1"),
    "a scale below 0": ({"documents.text": INT8, "documents.text.scale": np.array(-1.0)}, "has -1 in column 0"),
    "a scale that is NaN": (
        {"documents.text": INT8, "documents.text.scale": np.full(3, np.nan)},
        "nan in column 0",
    ),
    "a scale too large": (
        {"documents.text": INT8, "documents.text.scale": np.array([1, 1, 1e60])},
        "1e.60 in column",
    ),
    "a scale that overflows": (
        {"documents.text": 9 * INT8, "documents.text.scale": np.array(3e38)},
        "documents.text.* has a NaN or infinity in row 0",
    ),
    "int8 of one axis": ({"documents.text": INT8[0], "documents.text.scale": np.ones(3)}, r"has shape \(3,\)"),
    "bf16 of no side": ({"bf16": INT8}, "bf16.* is unknown|the key 'bf16', which is unknown"),
}


@pytest.mark.parametrize("kind", [folder, archive])
@pytest.mark.parametrize("case", STORED)
def test_stored_numbers(tmp_path, kind, case):
    changes, message = STORED[case]
    start = {} if "documents.text" in changes or "bf16" not in case else {"documents.text": None}
    refused(kind(tmp_path, **start, **changes), message)


def lines(*texts):
    return "".join(text + "\n" for text in texts)


GOOD = json_lines(IDS)
BEIR = {
    "no JSON": (
        {"corpus.jsonl": lines(*GOOD.split("\n")[:2], "{", *GOOD.split("\n")[3:5])},
        r"\.jsonl line 3 is",
    ),
    "no object": ({"queries.jsonl": lines("7", "8", "9")}, r"queries\.jsonl line 1 is no JSON object with an \"_id\""),
    "no _id": ({"queries.jsonl": lines('{"id": "q0"}')}, r"queries\.jsonl line 1 is no JSON object with an \"_id\""),
    "deep": ({"queries.jsonl": "[" * 100000}, r"queries\.jsonl line 1 is no JSON object"),
    "an _id that is a list": (
        {"queries.jsonl": lines('{"_id": []}')},
        r"line 1 has the \"_id\" \[\]; it must be a str",
    ),
    "an _id that is true": ({"queries.jsonl": lines('{"_id": true}')}, r"line 1 has the \"_id\" True"),
    "an empty _id": ({"queries.jsonl": lines('{"_id": ""}')}, r"line 1 has the \"_id\" ''"),
    "a line between": ({"corpus.jsonl": GOOD.replace("\n", "\n\n", 1)}, r"corpus\.jsonl line 2 is no JSON object"),
    "a document less": ({"corpus.jsonl": json_lines(IDS[:4]), "judged": "q0\td0\t1\n"}, r"corpus\.jsonl has 4 entries"),
    "a query more": ({"queries.jsonl": json_lines([*QUERY_IDS, "q3"])}, r"queries\.jsonl has 4 entries for 3 queries"),
    "none": ({"queries.jsonl": ""}, r"judges query 'q0', which is not among the query ids"),
    "the same twice": (
        {"corpus.jsonl": json_lines(["d0", *IDS[:4]])},
        r"corpus\.jsonl holds 'd0' twice, again in row",
    ),
    "ids twice": ({"ids.txt": "\n".join(IDS)}, r"has both corpus\.jsonl and ids\.txt; keep one"),
    "two judgments": ({"qrels.txt": "q0 0 d0 1\n"}, r"judgments both in test\.tsv and in qrels\.txt; keep one"),
    "an unknown document": ({"judged": JUDGED + "q0\td9\t1\n"}, r"qrels/test\.tsv line 5 judges document 'd9', which"),
    "an unknown query": ({"judged": JUDGED + "q9\td1\t1\n"}, r"qrels/test\.tsv line 5 judges query 'q9', which is not"),
    "a grade in words": ({"judged": JUDGED + "q0\td1\thigh\n"}, r"test\.tsv line 5 has the grade 'high'"),
    "no columns": ({"judged": JUDGED + "q0\n"}, r"test\.tsv line 5 has 1 columns"),
    "nobody judged": (
        {"judged": JUDGED.replace("\t1\n", "\t0\n")},
        r"test\.tsv has no relevant document for any query",
    ),
    "nothing judged": ({"judged": ""}, r"test\.tsv has no relevant document for any query"),
}


@pytest.mark.parametrize("case", BEIR)
def test_beir_folders(tmp_path, case):
    texts, message = BEIR[case]
    texts = dict(texts)
    refused(beir(tmp_path, texts.pop("judged", JUDGED), texts=texts), message)


def test_beir_folders_that_are_not_whole(tmp_path):
    path = beir(tmp_path)
    file = tmp_path / "corpus" / "corpus.jsonl"
    file.write_bytes(b"\xff\xfe")
    refused(path, r"corpus\.jsonl line 1 is no JSON object")
    file.write_bytes(b"\xef\xbb\xbf" + GOOD.encode() + b"\r\n \n")
    assert load_corpus(path).ids == tuple(IDS)
    file.unlink()
    refused(path, r"test\.tsv judges by id and .*corpus has no ids; add ids\.txt, one id per line")
    (tmp_path / "corpus" / "qrels" / "test.tsv").unlink()
    refused(path, r"qrels holds no \.tsv file; put the judgments in test\.tsv")


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl", "qrels/test.tsv"])
def test_beir_folders_damaged_anywhere(tmp_path, name):
    """Whatever byte is changed, the corpus is read or refused in a sentence; nothing else comes out."""
    path = beir(tmp_path)
    file = tmp_path / "corpus" / name
    whole, rng, refusals = file.read_bytes(), np.random.default_rng(7), 0
    for _ in range(300):
        spoiled = bytearray(whole)
        spoiled[rng.integers(len(whole))] = rng.integers(256)
        file.write_bytes(spoiled)
        try:
            assert isinstance(load_corpus(path), Corpus)
        except InputError as error:
            assert str(error).startswith(path)  # noqa: PT017
            assert "\n" not in str(error)  # noqa: PT017
            refusals += 1
    assert refusals > 50


def test_a_line_without_end_is_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr("rdjax.data.beir._MOST_LINE", 1000)
    refused(beir(tmp_path, texts={"corpus.jsonl": " " * 5000 + GOOD}), r"corpus\.jsonl line 1 is longer than")


@pytest.fixture(params=["pyarrow", "fake"])
def write_table(request, monkeypatch):
    return fake_parquet.writer(request.param, monkeypatch)


def rows(*changes, width=3):
    """N vectors of ones, some of them changed."""
    found = [np.ones(width, np.float32) for _ in range(N)]
    for row, value in changes:
        found[row] = value
    return found


short, holed = np.ones(2, np.float32), [np.float32(1), None, np.float32(1)]
TABLES = {
    "an empty cell": ({"more": rows((3, None))}, {}, r"documents\.parquet: more is empty in row 3; remove that item"),
    "a hole": ({"more": rows((4, holed))}, {}, r"documents\.parquet: more is empty in row 4, column 1; embed that"),
    "two lengths": (
        {"more": rows((3, short))},
        {},
        r"parquet: more has 2 numbers in row 3 and 3 in row 0; all vec",
    ),
    "no partner": ({"more": rows()}, {}, r"documents\.parquet: more has no partner among the queries"),
    "lists of nothing": ({"text": rows(width=0)}, {}, r"documents\.parquet: text has no columns"),
    "an id that is missing": (
        {"id": ["d0", None, "d2", "d3", "d4"]},
        {},
        r"parquet: id has None in row 1; it must",
    ),
    "an id twice": ({"id": ["a", "b", "c", "b", "e"]}, {}, r"documents\.parquet: id holds 'b' twice, again in row 3"),
    "two ids": ({"_id": IDS}, {}, r"documents\.parquet has both id and _id; keep one"),
    "unknown documents": ({}, {"relevant": ["d9", "d0", "d1"]}, r"relevant names document 'd9' in row 0, which is not"),
    "a document twice": ({}, {"relevant": [["d1"], ["d2", "d2"], ["d0"]]}, r"names a document twice in row 1; name it"),
    "no document": ({}, {"relevant": [["d1"], [], ["d0"]]}, r"has no relevant document for the query in row 1; judge"),
    "no list": ({}, {"relevant": ["d1", None, "d0"]}, r"queries\.parquet: relevant has None in row 1; it must hold"),
    "NaN": ({"text": rows((2, np.full(3, np.nan, np.float32)))}, {}, r"parquet: text has a NaN or infinity in row 2"),
}


@pytest.mark.parametrize("case", TABLES)
def test_tables(tmp_path, write_table, case):
    documents, queries, message = TABLES[case]
    refused(table_folder(tmp_path, write_table, documents, queries), message)


def test_tables_beside_arrays(tmp_path, write_table):
    path = table_folder(tmp_path, write_table)
    np.save(tmp_path / "corpus" / "documents.text.npy", arrays()["documents.text"])
    refused(path, r"has both documents\.parquet: text and documents\.text\.npy; keep one")


def test_a_table_without_vectors(tmp_path, write_table):
    path = table_folder(tmp_path, write_table)
    write_table(tmp_path / "corpus" / "queries.parquet", {"id": QUERY_IDS, "text": ["a", "b", "c"]})
    refused(path, r"queries\.parquet has no column of lists of numbers; write one for each modality")


def test_relevant_documents_without_ids(tmp_path, write_table):
    path = table_folder(tmp_path, write_table, queries={"relevant": ["d4", "d0", "d2"]})
    write_table(
        tmp_path / "corpus" / "documents.parquet", {k[10:]: list(v) for k, v in arrays().items() if k[0] == "d"}
    )
    refused(path, r"queries\.parquet: relevant judges by id and .* has no ids")


def test_damaged_tables(tmp_path):
    """Cut anywhere, or with any byte changed, a table is read or refused in a sentence."""
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    write = lambda path, columns: parquet.write_table(pyarrow.table(columns), path)
    path = table_folder(tmp_path, write, queries={"relevant": ["d4", "d0", "d2"]})
    assert load_corpus(path).num_queries == Q
    file = tmp_path / "corpus" / "documents.parquet"
    whole = file.read_bytes()
    for length in range(0, len(whole), 41):
        file.write_bytes(whole[:length])
        refused(path, r"documents\.parquet is no .parquet file or is damaged; write it again")
    rng, refusals = np.random.default_rng(5), 0
    for _ in range(500):
        spoiled = bytearray(whole)
        spoiled[rng.integers(len(whole))] = rng.integers(256)
        file.write_bytes(spoiled)
        try:
            assert isinstance(load_corpus(path), Corpus)
        except InputError as error:
            assert str(error).startswith(path)  # noqa: PT017
            refusals += 1
    assert refusals > 50


def test_a_table_that_inflates(tmp_path, monkeypatch):
    """Rows that are all equal take next to nothing on disk; they are refused when the first is read."""
    pyarrow, parquet = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    monkeypatch.setattr("rdjax.data.reading.SMALL", 2**23)
    path = table_folder(tmp_path, lambda path, columns: parquet.write_table(pyarrow.table(columns), path))
    ones = pyarrow.FixedSizeListArray.from_arrays(pyarrow.array(np.ones(2**22, np.float32)), 64)
    parquet.write_table(pyarrow.table({"text": ones}), tmp_path / "corpus" / "documents.parquet")
    tracemalloc.start()
    refused(path, r"documents\.parquet: text would inflate \d+ fold")
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2**20
    parquet.write_table(pyarrow.table({"id": ["d"] * 2**18}), tmp_path / "corpus" / "documents.parquet")
    refused(path, r"documents\.parquet would inflate \d+ fold")
