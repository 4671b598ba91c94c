"""What the words in the names of codes mean, for whoever meets "PCA 64 + product 8 x 8 bits, stretched" in a table."""

import re
from collections.abc import Iterable

#: (the word as it is shown, what in a name it stands for, what it means), in the order in which names are read.
_WORDS = (
    ("PCA k", r"\bPCA \d", "the first k principal components of what the code was fitted on"),
    (
        "relevance k",
        r"\brelevance \d",
        "the k directions that tell most of which document is wanted, fitted on queries and what they want",
    ),
    ("first k", r"\bfirst \d", "the first k numbers of every vector"),
    ("rotation k", r"\brotation \d", "the first k directions of a random rotation"),
    ("turned", r"\bturned\b", "the coefficients are turned at random, so that each tells as much"),
    ("scalar", r"\bscalar\b", "every coefficient is rounded to one of a few levels of its own"),
    ("dead-zone", r"\bdead-zone\b", "the level around zero takes in more than the others, as zeros cost least"),
    (
        "entropy-coded",
        r"\bentropy-coded\b",
        "frequent levels take fewer bits than rare ones: items differ in length, and their bits are a mean",
    ),
    ("fitted to b bits", r"\bfitted to \d", "b bits an item were asked for; what items took stands beside the name"),
    ("product s x b bits", r"\bproduct\b", "blocks of coefficients, s of them, each told by one of 2^b words"),
    ("residual", r"\bresidual\b", "every stage tells by a word what the stages before have left"),
    ("trellis", r"\btrellis\b", "words overlap along a path, and the encoder searches the whole path"),
    ("learned", r"\blearned\b", "trained by gradients to rank well"),
    ("by direction", r"\bby direction\b", "what points as the vector does is told; its length is nothing to ranking"),
    ("stretched", r"\bstretched\b", "decoded documents get back the length that coding takes"),
    ("sign bits", r"\bsign bits\b", "one bit a coefficient: on which side of the mean it is"),
    ("int8", r"\bint8\b", "one byte a number"),
    ("rescores n", r"\brescores \d", "the n documents that sign bits rank highest are ranked again by int8"),
    ("float16", r"\bfloat16\b", "numbers of two bytes"),
    (
        "number of the top document",
        r"\btop document\b",
        "the encoder searches, and tells which document it found; the decoder ranks the rest by nearness to that one, "
        "which can rank better than the query does: so more than 100% can be kept",
    ),
)


def meanings(names: Iterable[str]) -> dict[str, str]:
    """The words that these names of codes use, with what they mean."""
    text = "\n".join(names)
    return {word: meaning for word, pattern, meaning in _WORDS if re.search(pattern, text)}
