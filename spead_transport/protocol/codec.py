"""How the values of an item are turned into bytes and back: planned once for each descriptor."""

from __future__ import annotations

import sys
from abc import ABC, abstractmethod
from math import prod
from typing import Any, Final, Literal, TypeAlias, get_args

import numpy as np
import numpy.typing as npt

from .batch import Bytes
from .bitpack import PACK_SLACK, integer_type, pack, packed_size, unpack
from .casting import Casting, convert
from .formats import ElementFormat, Field
from .numpy_header import Order

__all__ = ["ByteOrder", "Codec", "NativeCodec", "PackedCodec", "TextCodec", "check_order"]

_NO_BYTES: Final[Bytes] = np.zeros(0, np.uint8)
_BYTE: Final = np.dtype(np.uint8)
_BIG_ENDIAN: Final = np.dtype(">u8")
_CHARACTER: Final = np.dtype("S1")


#: The byte order of a received array: ``"<"``, ``">"``, ``"="`` for the machine's, ``"|"`` for the one it arrived in.
ByteOrder: TypeAlias = Literal["=", "<", ">", "|"]
_BYTE_ORDERS: Final[tuple[ByteOrder, ...]] = get_args(ByteOrder)


def check_order(new_order: str) -> None:
    """Refuse what is no byte order.

    Raises
    ------
    ValueError
        If `new_order` is not one of ``= < > |``.
    """
    if new_order not in _BYTE_ORDERS:
        raise ValueError(f"new_order must be one of {', '.join(map(repr, _BYTE_ORDERS))}, not {new_order!r}")


class Codec(ABC):
    """Encodes and decodes the values of one item.

    Parameters
    ----------
    shape
        Size of each dimension; ``None`` for one that varies.
    bits
        Size of an element, in bits.
    """

    def __init__(self, shape: tuple[int | None, ...], bits: int) -> None:
        self.shape = shape
        self.bits = bits
        self._known = prod(size for size in shape if size is not None)
        #: Size of the encoded value, in bytes; ``None`` if it varies.
        self.nbytes: int | None = None if None in shape else packed_size(self._known, bits)
        #: Whether a value always has the same size, and its elements whole bytes.
        self.fixed_bytes: bool = None not in shape and bits % 8 == 0

    def resolve(self, max_elements: int) -> tuple[int, ...]:
        """The shape, with the dimension that varies as large as `max_elements` elements allow."""
        varying = max_elements // self._known if self._known else 0
        return tuple(varying if size is None else size for size in self.shape)

    def accepts(self, shape: tuple[int, ...]) -> bool:
        """Whether a value may have this shape."""
        return len(shape) == len(self.shape) and all(
            expected is None or size == expected for size, expected in zip(shape, self.shape, strict=True)
        )

    @abstractmethod
    def encode(self, value: object, casting: Casting) -> Bytes:
        """The bytes of a value: its own memory if that can be sent as it is.

        Raises
        ------
        ValueError
            If the value has another shape, or does not fit the type.
        """

    @abstractmethod
    def decode(self, block: Bytes, start: int, end: int, new_order: ByteOrder) -> Any:
        """The value that is in ``block[start:end]``; more bytes than it needs are ignored.

        Parameters
        ----------
        block
            The memory.
        start, end
            Part of the memory.
        new_order
            Byte order of the result: ``"<"``, ``">"``, ``"="`` for the machine's, ``"|"`` for that of the memory.

        Returns
        -------
        object
            A scalar if there is no dimension; otherwise an array, which is a view of the memory where possible.

        Raises
        ------
        ValueError
            If there are too few bytes.
        """

    def decode_immediate(self, value: int, address_bytes: int, new_order: ByteOrder) -> Any:
        """The value of an item whose pointer holds it; if its size is known, it is in the last bytes."""
        block = np.frombuffer(bytearray(value.to_bytes(address_bytes, "big")), _BYTE)
        start = 0 if self.nbytes is None else max(0, address_bytes - self.nbytes)
        return self.decode(block, start, address_bytes, new_order)

    def array_form(self, new_order: ByteOrder) -> tuple[np.dtype[Any], np.dtype[Any], Order] | None:
        """For engines: if the bytes are those of an array of one type and order, and any bytes are valid, this type,
        the type that a received value gets, and the order; else ``None``."""
        return None

    def integer_form(self) -> tuple[int, bool] | None:
        """For engines: if a value is one Python integer of whole bytes, the number of bits and whether it has a sign;
        else ``None``."""
        return None

    def _shape_of(self, size: int) -> tuple[int, ...]:
        """The shape of what is in `size` bytes."""
        if self.nbytes is None:
            return self.resolve(8 * size // self.bits)
        if size < self.nbytes:
            raise ValueError(f"too few bytes for shape {self.shape}: expected {self.nbytes}, came {size}")
        return self.shape  # type: ignore[return-value]  # no dimension varies

    def _check_shape(self, shape: tuple[int, ...]) -> None:
        if shape != self.shape and not self.accepts(shape):
            raise ValueError(f"Value has shape {shape}, expected {self.shape}")


class NativeCodec(Codec):
    """Elements that a NumPy type describes byte by byte.

    Parameters
    ----------
    dtype
        As on the wire.
    order
        As on the wire.
    """

    def __init__(self, shape: tuple[int | None, ...], dtype: np.dtype[Any], order: Order) -> None:
        super().__init__(shape, 8 * dtype.itemsize)
        self._dtype = dtype
        self._order: Order = order
        in_order = {order: dtype.newbyteorder(order) for order in _BYTE_ORDERS}
        #: The type wanted for each byte order; `dtype` itself where there is nothing to do.
        self._in_order = {order: dtype if wanted == dtype else wanted for order, wanted in in_order.items()}
        self._integers = _integer_limits(dtype) if not shape else None
        self._booleans = dtype.kind == "b"
        self._text = _has_text(dtype)
        self._byteorder: Final = "big" if dtype.str.startswith(">") else "little"

    def encode(self, value: object, casting: Casting) -> Bytes:
        if type(value) is not np.ndarray or value.dtype != self._dtype:
            if type(value) is int and self._integers and self._integers[0] <= value <= self._integers[1]:
                data = value.to_bytes(self._dtype.itemsize, self._byteorder, signed=self._integers[0] < 0)
                return np.frombuffer(data, _BYTE)
            if isinstance(value, str | bytes) and self._dtype == _CHARACTER and len(self.shape) == 1:
                value = np.frombuffer(value.encode("ascii") if isinstance(value, str) else value, _CHARACTER)
            value = convert(value, self._dtype, casting)
        if value.shape != self.shape:
            self._check_shape(value.shape)
        array = value if self._order == "C" else value.T
        if not array.flags.c_contiguous:
            array = np.ascontiguousarray(array)
        nbytes = array.nbytes
        return np.ndarray((nbytes,), _BYTE, array) if nbytes else _NO_BYTES

    def decode(self, block: Bytes, start: int, end: int, new_order: ByteOrder) -> Any:
        shape: Any = self.shape if end - start == self.nbytes else self._shape_of(end - start)
        array: npt.NDArray[Any] = np.ndarray(shape, self._dtype, block, start, None, self._order)
        if self._text:
            _check_text(array)
        if self._booleans:
            array = _as_booleans(array)
        else:
            wanted = self._in_order[new_order]
            if wanted is not self._dtype:
                array = array.astype(wanted)
        return array if shape else array[()]

    def array_form(self, new_order: ByteOrder) -> tuple[np.dtype[Any], np.dtype[Any], Order] | None:
        if self._booleans or self._text or self.nbytes is None:
            return None
        return self._dtype, self._in_order[new_order], self._order


class PackedCodec(Codec):
    """Elements of any width, without gaps between them."""

    def __init__(self, shape: tuple[int | None, ...], format: ElementFormat) -> None:
        super().__init__(shape, format.bits)
        self._fields = format.fields
        self._dtype = format.value_dtype
        #: The only field, if the value is one number.
        self._number = format.fields[0] if not shape and len(format.fields) == 1 else None
        #: How many bits of the last byte of a number are not used.
        self._unused = -self.bits % 8

    def encode(self, value: object, casting: Casting) -> Bytes:
        if type(value) is int and self._number is not None and self._number.holds(value):
            encoded = (value << self._unused).to_bytes(packed_size(1, self.bits), "big", signed=value < 0)
            return np.frombuffer(encoded, _BYTE)
        array = convert(value, self._dtype, casting, tuple(field.limits for field in self._fields))
        self._check_shape(array.shape)
        if isinstance(value, np.ndarray) and self._can_reference(value):
            return np.ndarray((self.bits // 8,), _BYTE, value, 8 - self.bits // 8)
        flat = array.reshape(-1)
        data = np.zeros(packed_size(flat.size, self.bits) + PACK_SLACK, np.uint8)
        for number, field in enumerate(self._fields):
            column = flat[f"f{number}"] if self._dtype.names else flat
            pack(data, _to_numbers(column, field), field.bits, first=field.first, step=self.bits)
        return data[:-PACK_SLACK]

    def decode(self, block: Bytes, start: int, end: int, new_order: ByteOrder) -> Any:
        shape = self._shape_of(end - start)
        count = prod(shape)
        data = block[start : start + packed_size(count, self.bits)]
        if self._number is not None:
            return self._decode_number(self._number, int.from_bytes(data.data, "big"))
        out = np.empty(count, self._dtype)
        for number, field in enumerate(self._fields):
            numbers = unpack(data, count, field.bits, first=field.first, step=self.bits, signed=field.code == "i")
            if self._dtype.names:
                out[f"f{number}"] = _from_numbers(numbers, field)
            else:
                out = _from_numbers(numbers, field)
        array = out.astype(out.dtype.newbyteorder(new_order), copy=False).reshape(shape)
        return array if shape else array[()]

    def decode_immediate(self, value: int, address_bytes: int, new_order: ByteOrder) -> Any:
        if self._number is None or self.bits > 8 * address_bytes:
            return super().decode_immediate(value, address_bytes, new_order)
        return self._decode_number(self._number, value & (1 << self.bits + self._unused) - 1)

    def integer_form(self) -> tuple[int, bool] | None:
        if self._number is None or self._unused or self._number.code == "b":
            return None
        return self.bits, self._number.code == "i"

    def _decode_number(self, field: Field, packed: int) -> int | bool:
        """The value that is one number, from its bytes as an unsigned big-endian one."""
        number = packed >> self._unused
        if field.code == "i":
            return number - (number >> (self.bits - 1) << self.bits)
        return number != 0 if field.code == "b" else number

    def _can_reference(self, value: npt.NDArray[Any]) -> bool:
        """Whether the last bytes of `value` are what is sent: a big-endian number of 64 bits for a shorter one."""
        return (
            self._number is not None
            and self._number.code in "u0"
            and self.bits % 8 == 0
            and self.bits < 64
            and value.dtype == _BIG_ENDIAN
        )


class TextCodec(Codec):
    """One dimension of characters, as a string. One of fixed size is filled up with zero bytes."""

    def __init__(self, shape: tuple[int | None, ...]) -> None:
        super().__init__(shape, 8)

    def encode(self, value: object, casting: Casting) -> Bytes:
        if isinstance(value, str):
            data = value.encode("ascii")
        elif isinstance(value, bytes):
            data = value
        else:
            array = convert(value, _CHARACTER, casting)
            self._check_shape(array.shape)
            data = array.tobytes()
        if self.nbytes is not None:
            if len(data) > self.nbytes and casting == "checked":
                self._check_shape((len(data),))
            data = data[: self.nbytes].ljust(self.nbytes, b"\0")
        return np.frombuffer(data, _BYTE) if data else _NO_BYTES

    def decode(self, block: Bytes, start: int, end: int, new_order: ByteOrder) -> str:
        (size,) = self._shape_of(end - start)
        data = block[start : start + size].tobytes()
        return (data if self.nbytes is None else data.rstrip(b"\0")).decode("ascii")

    def decode_immediate(self, value: int, address_bytes: int, new_order: ByteOrder) -> str:
        if self.nbytes is not None:
            return str(super().decode_immediate(value, address_bytes, new_order))
        return value.to_bytes(address_bytes, "big").lstrip(b"\0").decode("ascii")


def _integer_limits(dtype: np.dtype[Any]) -> tuple[int, int] | None:
    if dtype.kind not in "ui":
        return None
    info = np.iinfo(dtype)
    return int(info.min), int(info.max)


def _as_booleans(array: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """`array` itself if its bytes are booleans to NumPy (0 or 1), else a copy in which they are."""
    raw = array.view(np.uint8)
    return array if not raw.size or raw.max() <= 1 else raw != 0


def _has_text(dtype: np.dtype[Any]) -> bool:
    """Whether there are strings of Unicode characters in this type."""
    if dtype.subdtype is not None:
        return _has_text(dtype.base)
    if dtype.names is not None:
        return any(_has_text(dtype[name]) for name in dtype.names)
    return dtype.kind == "U" and dtype.itemsize > 0


def _check_text(array: npt.NDArray[Any]) -> None:
    """Refuse strings with numbers that are no characters: NumPy would fail when they are looked at."""
    dtype = array.dtype
    if dtype.names is not None:
        for name in dtype.names:
            _check_text(array[name])
    elif _has_text(dtype) and array.size:
        codes = np.ascontiguousarray(array).view(np.dtype(np.uint32).newbyteorder(dtype.byteorder))
        if codes.max() > sys.maxunicode:
            raise ValueError(f"{int(codes.max()):#x} is not the number of a Unicode character")


def _to_numbers(values: npt.NDArray[Any], field: Field) -> npt.NDArray[Any]:
    """Values of a field as what :func:`pack` takes."""
    if field.code == "f":
        return values.view(f"u{field.bits // 8}")
    if field.code == "c":
        return values.view(np.uint8)
    if field.code == "b" and field.bits > 1:
        return values.astype(integer_type(field.bits, signed=False))
    return values


def _from_numbers(numbers: npt.NDArray[Any], field: Field) -> npt.NDArray[Any]:
    """The reverse of :func:`_to_numbers`, for what :func:`unpack` gives."""
    if field.code in "fc":
        return numbers.view(field.dtype)
    if field.code == "b":
        return np.asarray(numbers != 0, np.bool_)
    return numbers
