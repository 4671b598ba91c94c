"""Vectors of views: what they are is a definition away; whether they are copies is a matter of memory."""

import dataclasses

import numpy as np
import pytest

from rdjax.audit.view import View, make_views
from rdjax.data import Corpus

pytestmark = pytest.mark.float64_only


def corpus(rng, dtypes, documents=50, queries=40):
    """A modality of each precision, of 3, 4, ... columns."""
    made = lambda rows: {
        f"m{m}": rng.integers(1, 9, (rows, 3 + m)).astype(dtype)
        if dtype == np.int8
        else vectors(rng, rows, 3 + m, dtype)
        for m, dtype in enumerate(dtypes)
    }
    return Corpus(made(documents), made(queries), relevant=rng.integers(0, documents, queries))


def vectors(rng, rows, columns, dtype):
    return rng.normal(size=(rows, columns)).astype(dtype)


@pytest.mark.parametrize("dtypes", [(np.float32,), (np.float64,), (np.float16,), (np.int8,)])
def test_one_modality_is_the_array_itself_where_precision_allows(rng, dtypes):
    mine = corpus(rng, dtypes)
    held, itself = mine.documents["m0"], np.dtype(*dtypes).itemsize >= 4
    views = [dataclasses.replace(view, temperatures=np.array([0.3])) for view in make_views(mine, None, 0)[0]]
    assert len(views) == 4
    for view in views:
        assert np.shares_memory(view.pooled_documents, held) == itself
        assert view.pooled_documents is views[0].pooled_documents
        assert view.pooled_documents.dtype == np.promote_types(held.dtype, np.float32)
        np.testing.assert_array_equal(view.pooled_documents, held)


@pytest.mark.parametrize("dtypes", [(np.float32, np.float32), (np.float16, np.float64, np.int8)])
def test_several_modalities_stand_side_by_side_scaled(rng, dtypes, monkeypatch):
    mine, tau = corpus(rng, dtypes), np.arange(1.0, 1 + len(dtypes))
    monkeypatch.setattr("rdjax.audit.view.row_blocks", lambda array: ((i, array[i : i + 7]) for i in range(0, 50, 7)))
    view = View(mine, mine, np.arange(40), np.arange(0), tau)
    factors = np.sqrt(len(tau) / tau / (1 / tau).sum())
    parts = [
        array.astype(kind) * kind.type(factor)
        for array, factor in zip(mine.documents.values(), factors, strict=True)
        for kind in [np.promote_types(array.dtype, np.float32)]
    ]
    expected = np.concatenate(parts, axis=1)
    assert view.pooled_documents.dtype == expected.dtype
    np.testing.assert_allclose(view.pooled_documents, expected, rtol=3e-7)


def test_views_share_vectors_where_they_share_temperatures(rng):
    views = make_views(corpus(rng, (np.float32, np.float32)), None, 0)[0]
    assert all(view.pooled_documents is views[0].pooled_documents for view in views)
    own = [dataclasses.replace(view, temperatures=np.array([1.0, 2.0 + i])) for i, view in enumerate(views)]
    for view in own:
        np.testing.assert_array_equal(view.pooled_documents, view.vectors(view.fit.documents))
    assert len({id(view.pooled_documents) for view in own}) == len(own)
