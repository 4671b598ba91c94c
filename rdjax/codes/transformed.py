"""What codes share that begin with a transform: it says how many dimensions they take, in which precision."""

from typing import Any

from rdjax.codes.code import Code
from rdjax.codes.transform import Transform


class Transformed(Code):
    """A code of the coefficients of its `transform`, everything that is fitted being in the transform's precision."""

    transform: Transform

    @property
    def sides(self) -> tuple[str, ...]:  # type: ignore[override]  # of an object here, of the class elsewhere
        """Those of the transform."""
        return self.transform.sides

    @property
    def dimension(self) -> int:
        """D."""
        return self.transform.mean.shape[0]

    @property
    def dtype(self) -> Any:
        """Precision of the fitted arrays."""
        return self.transform.mean.dtype

    def _named(self, kind: str) -> str:
        """A name that begins with the transform's, if it has one."""
        return f"{self.transform.label} + {kind}" if self.transform.label else kind
