"""Words in the names of codes: each is explained where it is used, and every family's name by some."""

import re

import numpy as np
import pytest

from rdjax.audit.families import FAMILIES
from rdjax.audit.training import Training
from rdjax.codes import RankCode
from rdjax.codes.recoded import EntropyCoded
from rdjax.report import to_json
from rdjax.report.code_names import meanings
from tests.fake_audit import fake_audit

pytestmark = pytest.mark.float64_only
OTHER = {
    "bit",
    "bits",
    "and",
    "x",
    "to",
    "of",
    "the",
    "what",
    "follows",
    "codewords",
    "all",
    "document",
    "level",
}


def test_the_words_of_a_name_are_explained_in_its_order():
    found = meanings(["relevance 76 + product 19 x 8 bits, stretched", "turned PCA 64 + sign bits"])
    assert list(found) == ["PCA k", "relevance k", "turned", "product s x b bits", "stretched", "sign bits"]
    assert not meanings([])
    assert "scalar" not in meanings(["scalars"])


def test_bits_of_a_name_are_those_asked_for():
    """Where items differ in length they take others, even on what the code was fitted on."""
    told = meanings(["PCA 64 + entropy-coded scalar, fitted to 540 bits"])["fitted to b bits"]
    assert "asked for" in told
    assert "what items took stands beside" in told


def test_why_the_top_document_can_keep_more_than_all():
    told = meanings(["number of the top document"])["number of the top document"]
    assert "the decoder ranks the rest by nearness to that one" in told
    assert "more than 100%" in told


def test_no_word_of_a_usual_name_is_left_unexplained(rng):
    """Names as codes give them, fitted here: what is neither explained nor a number nor a common word is missing."""
    rows = rng.standard_normal((120, 64)).astype(np.float32)
    material = Training.of_array(rows)
    fast = [each for each in FAMILIES if not each.learns]
    names = [each.fit(material, "documents", each.budgets(64)[0] if each.free else 0).name for each in fast]
    names += [EntropyCoded.fit(RankCode.fit(rows), np.zeros((3, 1), np.int32)).name]
    for name in names:
        told = " ".join(meanings([name]))
        words = set(re.findall(r"[a-z][a-z-]+", re.sub(r"\bint8\b|float16", "", name.lower())))
        unknown = {word for word in words - OTHER if word not in told.lower()}
        assert not unknown, name


def test_an_audit_explains_its_codes():
    found = fake_audit()
    called = to_json(found)["called"]
    assert {each["word"] for each in called} == set(meanings(point.code for point in found.points))
    assert called
