"""Descriptors: what an item is called, and how its values look in memory."""

from __future__ import annotations

import warnings
from collections.abc import Iterable, Sequence
from operator import index
from typing import Any, Final

import attrs
import numpy as np
import numpy.typing as npt

from .batch import Bytes
from .codec import Codec, NativeCodec, PackedCodec, TextCodec
from .constants import BUG_COMPAT_SWAP_ENDIAN, LAST_RESERVED_ID
from .flavour import Flavour
from .formats import ElementFormat
from .numpy_header import NumpyHeader, Order
from .raw_descriptor import RawDescriptor, encode_descriptor

__all__ = ["Descriptor", "check_name"]

#: Ids of 55 bits exist in SPEAD-64-8, the flavour with the widest ids.
_MAX_ID: Final = (1 << 55) - 1
_TEXT: Final = [("c", 8)]


def check_name(name: str) -> None:
    """Refuse names that cannot be sent, and warn of those that not every receiver accepts.

    White space is against the specification (section 5), but there are programs that send it.

    Raises
    ------
    UnicodeEncodeError
        If there is a character that is not ASCII.
    """
    name.encode("ascii")
    if any(character.isspace() for character in name):
        warnings.warn(f"the item name {name!r} has white space, which SPEAD does not allow", stacklevel=3)


def _check_id(_: object, __: object, item_id: int) -> None:
    if not LAST_RESERVED_ID < item_id <= _MAX_ID:
        raise ValueError(f"Item ID out of range: {item_id:#x} must be from {LAST_RESERVED_ID + 1:#x} to {_MAX_ID:#x}")


def _to_shape(shape: Iterable[int | None]) -> tuple[int | None, ...]:
    sizes = tuple(None if size is None else index(size) for size in shape)
    if any(size is not None and not 0 <= size < 1 << 63 for size in sizes):
        raise ValueError(f"the sizes in shape {sizes} must not be negative, and be less than 2**63")
    if sizes.count(None) > 1:
        raise ValueError(f"Cannot have multiple unknown dimensions, as in {sizes}")
    return sizes


def _to_dtype(dtype: npt.DTypeLike | None) -> np.dtype[Any] | None:
    return None if dtype is None else np.dtype(dtype)


def _to_format(format: Iterable[tuple[str, int]] | None) -> list[tuple[str, int]] | None:
    return None if format is None else [(code, index(bits)) for code, bits in format]


@attrs.define(eq=False, on_setattr=attrs.setters.frozen)
class Descriptor:
    """The description of an item; it cannot be changed.

    Parameters
    ----------
    id
        Item id, at least 7.
    name
        Without white space.
    description
        Free text.
    shape
        Size of each dimension. With `format`, one may be ``None``: it varies.
    dtype
        Type of the elements, as NumPy calls it. It must be of plain data: no Python objects.
    order
        With `dtype`, whether the last (``"C"``) or the first (``"F"``) dimension is contiguous in memory.
    format
        Instead of `dtype`, the fields of an element as pairs of a code and a number of bits: ``u`` unsigned, ``i``
        signed, ``f`` floating point (32 or 64 bits), ``b`` boolean, ``c`` character (8 bits), ``0`` the address of
        another item (a number to this package). Any other width is possible, and elements lie without gaps.

    Raises
    ------
    ValueError
        If one of them is not as described, or not just one of `dtype` and `format` is given.
    """

    id: int = attrs.field(validator=_check_id)
    name: str = attrs.field(validator=attrs.validators.instance_of(str))
    description: str = attrs.field(validator=attrs.validators.instance_of(str))
    shape: tuple[int | None, ...] = attrs.field(converter=_to_shape)
    dtype: np.dtype[Any] | None = attrs.field(default=None, converter=_to_dtype)
    order: Order = "C"
    format: list[tuple[str, int]] | None = attrs.field(default=None, converter=_to_format)
    #: Encodes and decodes values.
    codec: Codec = attrs.field(
        init=False, repr=False, default=attrs.Factory(lambda self: self._plan(), takes_self=True)
    )
    _encoded: dict[Flavour, Bytes] = attrs.field(init=False, repr=False, factory=dict)

    def _plan(self) -> Codec:
        if self.format is None and self.dtype is None:
            raise ValueError("One of dtype and format must be specified")
        if self.format is not None and self.dtype is not None:
            raise ValueError("Only one of dtype and format can be specified")
        if self.order not in ("C", "F"):
            raise ValueError(f"Order must be 'C' or 'F', not {self.order!r}")
        if self.dtype is not None:
            _check_dtype(self.dtype)
            if None in self.shape:
                raise ValueError("Cannot have unknown dimensions when using dtype; use format")
            return NativeCodec(self.shape, self.dtype, self.order)
        if self.order != "C":
            raise ValueError("When specifying format, order must be 'C'")
        if self.format == _TEXT and len(self.shape) == 1:
            return TextCodec(self.shape)
        elements = ElementFormat.parse(self.format or [])
        wire_dtype = elements.wire_dtype
        return NativeCodec(self.shape, wire_dtype, "C") if wire_dtype else PackedCodec(self.shape, elements)

    @property
    def itemsize_bits(self) -> int:
        """Size of an element, in bits."""
        return self.codec.bits

    def is_variable_size(self) -> bool:
        """Whether a dimension varies."""
        return None in self.shape

    def allow_immediate(self) -> bool:
        """Whether a value may be put in its item pointer if it is small enough.

        So it is if its size is fixed and its elements are whole bytes, as in the packages that came before.
        """
        return self.codec.fixed_bytes

    def dynamic_shape(self, max_elements: int) -> tuple[int, ...]:
        """The shape, with the dimension that varies as large as `max_elements` elements allow."""
        return self.codec.resolve(max_elements)

    def compatible_shape(self, shape: Sequence[int]) -> bool:
        """Whether a value may have this shape."""
        return self.codec.accepts(tuple(shape))

    def same_item(self, other: Descriptor) -> bool:
        """Whether `other` describes the same item in the same way."""
        return (
            self.id == other.id
            and self.name == other.name
            and self.description == other.description
            and self.shape == other.shape
            and self.dtype == other.dtype
            and self.order == other.order
            and self.format == other.format
        )

    @classmethod
    def from_raw(cls, raw_descriptor: RawDescriptor, flavour: Flavour) -> Descriptor:
        """Understand a descriptor that arrived.

        Raises
        ------
        ValueError
            If one of the parts is not as a :class:`Descriptor` has it; :exc:`UnicodeDecodeError` if name or
            description is not ASCII.
        """
        raw = raw_descriptor
        name, description = raw.name.decode("ascii"), raw.description.decode("ascii")
        if not raw.numpy_header:
            return Descriptor(raw.id, name, description, raw.shape, format=raw.format)
        header = NumpyHeader.decode(raw.numpy_header)
        dtype = header.dtype
        if flavour.bug_compat & BUG_COMPAT_SWAP_ENDIAN:
            dtype = dtype.newbyteorder()
        return Descriptor(raw.id, name, description, header.shape, dtype, header.order)

    def to_raw(self, flavour: Flavour) -> RawDescriptor:
        """The descriptor as it is sent.

        Raises
        ------
        UnicodeEncodeError
            If name or description has characters that are not ASCII.
        """
        name, description = self.name.encode("ascii"), self.description.encode("ascii")
        if self.format is not None:
            return RawDescriptor(self.id, name, description, self.shape, self.format)
        assert self.dtype is not None  # one of the two is given
        dtype = self.dtype.newbyteorder() if flavour.bug_compat & BUG_COMPAT_SWAP_ENDIAN else self.dtype
        shape = self.codec.resolve(0)
        return RawDescriptor(
            self.id, name, description, self.shape, numpy_header=NumpyHeader(dtype, self.order, shape).encode()
        )

    def encode(self, flavour: Flavour) -> Bytes:
        """The packet that describes the item, read-only: the value of a descriptor item.

        Raises
        ------
        ValueError
            As :meth:`to_raw`, or if the description is too large for the flavour.
        """
        packet = self._encoded.get(flavour)
        if packet is None:
            packet = encode_descriptor(self.to_raw(flavour), flavour)
            packet.flags.writeable = False
            self._encoded[flavour] = packet
        return packet


def _check_dtype(dtype: np.dtype[Any]) -> None:
    if dtype.hasobject:
        raise ValueError("Cannot use dtype that has reference-counted objects")
    if dtype.itemsize == 0:
        raise ValueError("Cannot use zero-sized dtype")
    if dtype.subdtype is not None:
        raise ValueError(f"the dtype {dtype} has dimensions of its own; give them in shape")
    if dtype.kind not in "biufcSUVmM":
        raise ValueError(f"the dtype {dtype} is not of plain data of fixed size")
