"""What this package uses of numba, which ships no types."""

from . import extending, types

__all__ = ["extending", "types"]
