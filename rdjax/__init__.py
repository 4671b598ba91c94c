"""rdjax: how many bits per query are necessary?

Embeddings and relevance go in; how few bits a query needs, proved from below and shown from above, comes out.

    corpus -> scores -> temperature -> posterior -> limits and codes -> audit -> report

Reading order of the packages: `data`, `retrieval`, `rate_distortion`, `limits`, `codes`, `audit`, `report`; `paper` has
the paper's own statements, `sweep` grids of experiments. They are imported on first use, so that `import rdjax` and
`rdjax --help` do not wait for JAX.
"""

import importlib
from typing import Any

__version__ = "0.1.0"

_PACKAGES = (
    "data",
    "retrieval",
    "rate_distortion",
    "limits",
    "codes",
    "audit",
    "paper",
    "sweep",
    "report",
    "checks",
    "numerics",
)

__all__ = ["__version__", *_PACKAGES]


def __getattr__(name: str) -> Any:
    """Import a package of rdjax when it is first asked for."""
    if name in _PACKAGES:
        return importlib.import_module(f"rdjax.{name}")
    raise AttributeError(f"module 'rdjax' has no attribute {name!r}")


def __dir__() -> list[str]:
    return sorted(__all__)
