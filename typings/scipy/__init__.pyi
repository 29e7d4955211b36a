"""What the tests use of scipy, which ships no types."""

from typing import Any

class LowLevelCallable(tuple[Any, ...]):
    def __new__(cls, function: object, user_data: object = ..., signature: str | None = ...) -> LowLevelCallable: ...
