"""Placement by compiled code, through the C interface that such callbacks have had before.

The callback is called for each heap with a record to read and fill in (:class:`ChunkPlaceData`), the size of that
record, and user data if its signature asks for it.
"""

from __future__ import annotations

import ctypes
from _ctypes import CFuncPtr
from collections.abc import Callable
from typing import Any, Final, TypeAlias

import attrs

from .heaps import HeapsToPlace

__all__ = ["ChunkPlaceData", "CompiledPlacer", "as_compiled"]

_Function: TypeAlias = Callable[..., None]


class ChunkPlaceData(ctypes.Structure):
    """The record ``chunk_place_data``."""

    _fields_ = (
        ("packet", ctypes.c_void_p),  # const uint8_t *: the heap's first packet
        ("packet_size", ctypes.c_size_t),
        ("items", ctypes.c_void_p),  # const int64_t *: values of immediate items, -1 where there is none
        ("chunk_id", ctypes.c_int64),  # output; a negative one drops the heap
        ("heap_index", ctypes.c_size_t),  # output: index in Chunk.present
        ("heap_offset", ctypes.c_size_t),  # output: where the heap starts in Chunk.data
        ("batch_stats", ctypes.c_void_p),  # uint64_t *: to be added to the statistics
        ("extra", ctypes.c_void_p),  # uint8_t *: output, max_heap_extra bytes
        ("extra_offset", ctypes.c_size_t),  # output: where they go in Chunk.extra
        ("extra_size", ctypes.c_size_t),  # output: how many of them
    )


_PLAIN: Final = "void (void *, size_t)"
_WITH_USER_DATA: Final = "void (void *, size_t, void *)"
_ARGUMENTS: Final[dict[str, tuple[Any, ...]]] = {
    _PLAIN: (ctypes.c_void_p, ctypes.c_size_t),
    _WITH_USER_DATA: (ctypes.c_void_p, ctypes.c_size_t, ctypes.c_void_p),
}


def _capsule_api(name: str, result: Any, *arguments: Any) -> Callable[..., Any]:
    function = ctypes.PYFUNCTYPE(result, *arguments)((name, ctypes.pythonapi))
    return function


_capsule_name: Final = _capsule_api("PyCapsule_GetName", ctypes.c_char_p, ctypes.py_object)
_capsule_pointer: Final = _capsule_api("PyCapsule_GetPointer", ctypes.c_void_p, ctypes.py_object, ctypes.c_char_p)
_capsule_context: Final = _capsule_api("PyCapsule_GetContext", ctypes.c_void_p, ctypes.py_object)


@attrs.frozen(eq=False)
class CompiledPlacer:
    """Calls compiled code for each heap."""

    function: _Function
    #: What the callback gets as its last argument, if it takes one.
    user_data: tuple[int | None, ...]
    #: What has to stay alive for the function to be called.
    owner: object

    @property
    def address(self) -> int:
        """Where the function is in memory."""
        address = ctypes.cast(self.function, ctypes.c_void_p).value  # type: ignore[arg-type]
        assert address is not None
        return address

    def __call__(self, heaps: HeapsToPlace) -> None:
        size = ctypes.sizeof(ChunkPlaceData)
        max_heap_extra = heaps.extra.shape[1]
        for row, packet in enumerate(heaps.packets):
            data = ChunkPlaceData(
                packet=packet.ctypes.data,
                packet_size=len(packet),
                items=heaps.items[row].ctypes.data,
                chunk_id=-1,
                batch_stats=heaps.batch_stats.ctypes.data,
                extra=heaps.extra[row].ctypes.data if max_heap_extra else None,
            )
            self.function(ctypes.addressof(data), size, *self.user_data)
            heaps.chunk_id[row] = data.chunk_id
            heaps.heap_index[row] = _signed(data.heap_index)
            heaps.heap_offset[row] = _signed(data.heap_offset)
            heaps.extra_offset[row] = _signed(data.extra_offset)
            heaps.extra_size[row] = _signed(data.extra_size)


def _signed(value: int) -> int:
    """A ``size_t``; -1, which is out of any bounds, for one that is too large for an ``int64``."""
    return value if value < 1 << 63 else -1


def as_compiled(place: object) -> CompiledPlacer | None:
    """A placer that calls `place`, if that is compiled code.

    Parameters
    ----------
    place
        A ``scipy.LowLevelCallable``, a tuple like it (whose first element is a capsule that has the signature as its
        name, the function as its pointer, and user data as its context), or a function of ctypes.

    Raises
    ------
    ValueError
        If it has another signature than a callback must have.
    TypeError
        If it is a tuple without a capsule.
    """
    if isinstance(place, tuple):
        return _from_capsule(place)
    if isinstance(place, CFuncPtr):
        return _from_ctypes(place)
    return None


def _from_capsule(place: tuple[Any, ...]) -> CompiledPlacer:
    # scipy hides the element behind a method that raises.
    capsule = tuple.__getitem__(place, 0) if len(place) else None
    if type(capsule).__name__ != "PyCapsule":
        raise TypeError(f"the first element of a tuple for place must be a capsule, not {capsule!r}")
    name = _capsule_name(capsule)
    arguments = _signature(name.decode(errors="replace") if name else "")
    function = ctypes.CFUNCTYPE(None, *arguments)(_capsule_pointer(capsule, name))
    user_data = (_capsule_context(capsule),) if len(arguments) == 3 else ()
    return CompiledPlacer(function, user_data, place)


def _signature(name: str) -> tuple[Any, ...]:
    squeezed = name.replace(" ", "")
    for known, arguments in _ARGUMENTS.items():
        if squeezed == known.replace(" ", ""):
            return arguments
    raise ValueError(f"wrong callback signature {name!r}; expected {_PLAIN!r} or {_WITH_USER_DATA!r}")


def _from_ctypes(place: Any) -> CompiledPlacer:
    if place.argtypes is None or tuple(place.argtypes) != _ARGUMENTS[_PLAIN] or place.restype is not None:
        raise ValueError(
            "a function of ctypes for place must have restype None and argtypes (c_void_p, c_size_t), "
            f"not {place.restype} and {place.argtypes}"
        )
    return CompiledPlacer(place, (), place)
