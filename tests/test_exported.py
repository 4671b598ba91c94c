"""Exports decode without rdjax: the README's own lines in plain NumPy, and faiss' own search."""

import builtins
import sys

import jax.numpy as jnp
import numpy as np
import pytest

from rdjax.checks import InputError
from rdjax.codes import (
    CellRankCode,
    DesignedRankCode,
    EntropyCodedScalar,
    Int8,
    MappedRankCode,
    QueryModel,
    RankCode,
    ScalarQuantizer,
    SignBits,
    SignBitsRescored,
    TrellisCode,
    Truncation,
    fit_relevance_map,
)
from rdjax.codes.directional import Directional
from rdjax.codes.exported import affine_inverse, code_tables, readme
from rdjax.codes.faiss_index import to_faiss
from rdjax.codes.lengths import Renormalized
from rdjax.codes.product import ProductQuantizer
from rdjax.codes.randomized import DitheredScalar, UniformInCell
from rdjax.codes.recoded import EntropyCoded
from rdjax.codes.transform import fit_pca
from rdjax.codes.wrapped import Weighted

pytestmark = pytest.mark.float64_only
D = 12
WEIGHTS = np.repeat([0.5, 1.5], [4, 8])
FITS = {
    "first 5, float16": lambda x: Truncation.fit(x, 5),
    "all 12, float32": lambda x: Truncation.fit(x, D, store="float32"),
    "PCA 6, float16": lambda x: Truncation.fit(x, 6, transform="pca"),
    "PCA 6 + 4-bit scalar": lambda x: ScalarQuantizer.fit(x, 24, k=6, spread="equal"),
    "PCA 8 + scalar, 31 bits": lambda x: ScalarQuantizer.fit(x, 31),
    "8-bit scalar": lambda x: ScalarQuantizer.fit(x, 8 * D, transform="coordinates"),
    "entropy-coded scalar": lambda x: EntropyCodedScalar.fit(x, 20),
    "dithered scalar": lambda x: DitheredScalar.fit(x, 20),
    "uniform in cell": lambda x: UniformInCell.fit(x, 20),
    "product 2 x 4 bits": lambda x: product(x, ((0, 3), (2, 1)), ((4,), (4,))),
    "residual 3 x 4 bits": lambda x: product(x, ((0, 1, 2, 3, 4),), ((4, 4, 4),)),
    "product of residuals, uneven bits": lambda x: product(x, ((4, 1), (0, 2, 3)), ((4, 0), (3, 2))),
    "trellis": lambda x: TrellisCode.fit(x, 10, k=5, memory=3, rounds=1),
    "trellis of wide steps": lambda x: TrellisCode.fit(x, 15, k=10, memory=2, rounds=1),
    "sign bits": SignBits.fit,
    "rotation 9 + sign bits": lambda x: SignBits.fit(x, 9, transform="rotation"),
    "sign bits, int8 rescores 10": lambda x: SignBitsRescored.fit(x, 10),
    "int8": Int8.fit,
}
RANKED = {
    "top document": RankCode.fit,
    "top document and what follows": lambda x: RankCode.fit(x, 3 * len(x)),
    "cells": lambda x: CellRankCode.fit(x, 7),
    "designed": lambda x: DesignedRankCode.fit(x, 5, x),
    "weighted": lambda x: Weighted.fit(RankCode.fit(x * WEIGHTS.astype(np.float32)), WEIGHTS),
    "mapped": lambda x: MappedRankCode.fit(x, 2 * len(x), QueryModel.fit(x + 0.1 * x[::-1], x, blocks=(D,)), k=6),
}


def product(x, blocks, table):
    """A product quantizer whose words are drawn, of five coefficients."""
    rng, sizes = np.random.default_rng(6), 1 << np.array(table)
    wide = max(map(len, blocks))
    words = rng.standard_normal((*sizes.shape, sizes.max(), wide)).astype(np.float32)
    words *= np.arange(sizes.max())[:, None] < sizes[:, :, None, None]
    words *= np.arange(wide) < np.array([len(block) for block in blocks])[:, None, None, None]
    return ProductQuantizer(fit_pca(x, 5), jnp.asarray(words), blocks, table, beam=2)


def drawn_symbols(code, vectors):
    """Symbols of the vectors; drawn for a product quantizer, whose search has tests of its own."""
    if isinstance(code, ProductQuantizer):
        rng = np.random.default_rng(7)
        return np.stack([rng.integers(0, 1 << width, len(vectors)) for width in code.widths], axis=1)
    return np.asarray(code.encode(vectors))


TO_FAISS = [name for name in FITS if ("bits" in name and "rescores" not in name) or "-bit" in name]


@pytest.fixture(scope="module")
def vectors():
    rng = np.random.default_rng(1)
    mix = rng.standard_normal((D, D)) * 0.7 ** np.arange(D)
    return (rng.standard_normal((300, D)) @ mix.T + 0.3).astype(np.float32)


@pytest.fixture(scope="module")
def fitted(vectors):
    found = {name: fit(vectors) for name, fit in FITS.items()}
    scalar = found["PCA 8 + scalar, 31 bits"]
    found["entropy-coded"] = EntropyCoded.fit(scalar, scalar.encode(vectors))
    found["stretched"] = Renormalized.fit(scalar, vectors)
    found["by direction"] = Directional.fit(scalar)
    found["weighted"] = Weighted.fit(scalar, WEIGHTS)
    found["weighted signs"] = Weighted.fit(found["rotation 9 + sign bits"], WEIGHTS)
    return found


NAMES = [*FITS, "entropy-coded", "stretched", "by direction", "weighted", "weighted signs"]


@pytest.mark.parametrize("name", NAMES)
def test_the_readme_decodes_in_plain_numpy(name, fitted, vectors, tmp_path, monkeypatch):
    """Its own lines, in a namespace of their own, where nothing but NumPy can be imported."""
    code = fitted[name]
    symbols = drawn_symbols(code, vectors)
    tables, page, namespace = followed(code, symbols, tmp_path, monkeypatch)
    np.testing.assert_allclose(namespace["vectors"], code.decode(symbols), rtol=0, atol=1e-5)
    np.testing.assert_array_equal(tables["symbols"], symbols)
    for key, table in tables.items():
        assert f"| {key}.npy | {list(table.shape)} | {table.dtype} |" in page
    assert ("inner products" in page) == code.inner_products
    assert "say nothing" not in page  # of distances, which these keep


def test_the_readme_of_a_map_to_relevance_says_what_it_is_for(vectors):
    model = QueryModel.fit(vectors + 0.1 * vectors[::-1], vectors, blocks=(D,))
    code = ScalarQuantizer.fit(vectors, 12, transform=fit_relevance_map(model, vectors, 6, side="documents"))
    for each in (code, Renormalized.fit(code, vectors)):
        assert "their distances and cosines say nothing" in readme(each, code_tables(each, each.encode(vectors)))


@pytest.mark.parametrize("name", RANKED)
def test_the_readme_ranks_in_plain_numpy(name, vectors, tmp_path, monkeypatch):
    """Rank codes: the order of the scores that they have here."""
    documents = vectors[:40]
    code = RANKED[name](documents)
    symbols = np.random.default_rng(3).integers(0, code._alphabet() if name != "mapped" else 80, (60, 1))
    _, page, namespace = followed(code, symbols, tmp_path, monkeypatch)
    by_score = np.argsort(-np.asarray(code.scores(symbols, documents)), axis=1, kind="stable")
    np.testing.assert_array_equal(namespace["rankings"], by_score)
    assert "best first" in page


def followed(code, symbols, folder, monkeypatch):
    """(tables, their page, what its lines make of them where nothing but NumPy can be imported)."""
    tables = code_tables(code, symbols)
    for key, table in tables.items():
        np.save(folder / f"{key}.npy", table, allow_pickle=False)
    page = readme(code, tables)
    (lines,) = [block.split("```")[0] for block in page.split("```python\n")[1:]]
    monkeypatch.chdir(folder)
    real = builtins.__import__

    def only_numpy(wanted, *rest):
        assert wanted.partition(".")[0] in ("numpy", "math", "ast", "struct", "os", "warnings"), wanted
        return real(wanted, *rest)

    namespace = {"__builtins__": {**vars(builtins), "__import__": only_numpy}}
    exec(lines, namespace)
    return tables, page, namespace


@pytest.mark.parametrize("far", [1e4, 1e6])
def test_rows_keep_their_digits_beside_a_large_mean(far, vectors):
    """They are the basis, which is stored as it is."""
    transform = fit_pca((vectors + far).astype(np.float32), 6)
    rows, offset = affine_inverse(transform)
    np.testing.assert_array_equal(rows, np.asarray(transform.basis).T)
    np.testing.assert_array_equal(offset, transform.mean)


def test_symbols_take_the_smallest_integers_that_hold_them(fitted, vectors):
    kinds = {name: code_tables(fitted[name], drawn_symbols(fitted[name], vectors))["symbols"].dtype for name in NAMES}
    assert kinds["sign bits"] == np.uint8
    assert kinds["first 5, float16"] == np.uint16
    assert kinds["all 12, float32"] == np.int32


@pytest.mark.parametrize("name", [*TO_FAISS, "entropy-coded", "weighted", "weighted signs"])
def test_a_faiss_index_ranks_as_the_code_does(name, fitted, vectors, tmp_path):
    faiss = pytest.importorskip("faiss")
    code = fitted[name]
    documents, queries = vectors[:200], vectors[200:]
    symbols = drawn_symbols(code, documents)
    faiss.write_index(to_faiss(code, symbols), str(tmp_path / "codes.faiss"))
    found, numbers = faiss.read_index(str(tmp_path / "codes.faiss")).search(queries, 200)
    ours = np.asarray(code.scores(symbols, queries), np.float64).T
    theirs = np.take_along_axis(ours, numbers, axis=1)
    size = np.abs(ours).max()
    np.testing.assert_allclose(theirs, -np.sort(-ours, axis=1), rtol=0, atol=2e-6 * size)  # the same order
    constant = theirs - found
    np.testing.assert_allclose(constant, constant[:, :1] + np.zeros(200), rtol=0, atol=1e-5 * size)
    assert all(sorted(row) == list(range(200)) for row in numbers.tolist())


def test_a_code_without_an_index_is_told(fitted, vectors):
    pytest.importorskip("faiss")
    for name in ("int8", "trellis", "entropy-coded scalar"):
        with pytest.raises(InputError, match="faiss has no index for"):
            to_faiss(fitted[name], fitted[name].encode(vectors))


def test_without_faiss_there_is_a_sentence(fitted, vectors, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    with pytest.raises(InputError, match="faiss is not installed, and an index file needs it; install faiss-cpu"):
        to_faiss(fitted["sign bits"], fitted["sign bits"].encode(vectors))
    with pytest.raises(InputError, match="faiss has no index for"):  # which no installation changes
        to_faiss(fitted["int8"], fitted["int8"].encode(vectors))
