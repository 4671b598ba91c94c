"""Corpora: what is searched, what is asked, what is relevant; and where they come from.

Importing this package does not import JAX.
"""

from rdjax.data.corpus import Corpus
from rdjax.data.emoji import emoji
from rdjax.data.files import load_corpus, load_patterns, load_prior
from rdjax.data.flickr30k import flickr30k
from rdjax.data.mixture import gaussian_mixture
from rdjax.data.splits import folds, pool_documents, split_queries

__all__ = [  # noqa: RUF022  (in reading order)
    "Corpus",
    "load_corpus",
    "load_patterns",
    "load_prior",
    "emoji",
    "flickr30k",
    "gaussian_mixture",
    "split_queries",
    "folds",
    "pool_documents",
]
