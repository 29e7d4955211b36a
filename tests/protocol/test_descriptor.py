"""Descriptors: what they may say, and how they go over the wire."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import pytest
import spead2
import spead2.send
from hypothesis import given

from spead_transport.protocol.descriptor import Descriptor
from spead_transport.protocol.outgoing import Heap
from spead_transport.protocol.raw_descriptor import RawDescriptor, decode_descriptor, encode_descriptor

from ..wire import addressed, immediate
from . import strategies, wire
from .strategies import Definition


def _descriptor(**changes: Any) -> Descriptor:
    arguments: dict[str, Any] = {"id": 0x1000, "name": "name", "description": "text", "shape": ()}
    return Descriptor(**(arguments | changes))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({}, "One of dtype and format must be specified"),
        ({"dtype": "u1", "format": [("u", 8)]}, "Only one of dtype and format can be specified"),
        ({"dtype": "u1", "shape": (None,)}, "Cannot have unknown dimensions"),
        ({"format": [("u", 8)], "shape": (None, None)}, "Cannot have multiple unknown dimensions"),
        ({"dtype": "u1", "shape": (-1,)}, "must not be negative"),
        ({"dtype": "u1", "shape": (1 << 63,)}, "less than"),
        ({"dtype": "O"}, "reference-counted"),
        ({"dtype": [("a", "u1"), ("b", "O")]}, "reference-counted"),
        ({"dtype": "S0"}, "zero-sized"),
        ({"dtype": "S"}, "zero-sized"),
        ({"dtype": ("u1", (3,))}, "dimensions of its own"),
        ({"format": [("u", 8)], "order": "F"}, "order must be 'C'"),
        ({"dtype": "u1", "order": "Z"}, "Order must be 'C' or 'F'"),
        ({"format": []}, "empty format"),
        ({"format": [("z", 8)]}, "illegal format"),
        ({"format": [("", 8)]}, "illegal format"),
        ({"format": [("u", 0)]}, "illegal format"),
        ({"format": [("u", -8)]}, "illegal format"),
        ({"format": [("f", 16)]}, "illegal format"),
        ({"format": [("c", 16)]}, "illegal format"),
        ({"dtype": "u1", "id": 0}, "Item ID out of range"),
        ({"dtype": "u1", "id": 6}, "Item ID out of range"),
        ({"dtype": "u1", "id": -1}, "Item ID out of range"),
        ({"dtype": "u1", "id": 1 << 55}, "Item ID out of range"),
    ],
)
def test_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        _descriptor(**changes)


@pytest.mark.parametrize(
    "changes",
    [
        {"shape": 5},
        {"shape": (2.5,)},
        {"name": b"name"},
        {"description": None},
        {"format": [("u", 1.5)]},
        {"dtype": 5},
    ],
)
def test_wrong_types(changes: dict[str, Any]) -> None:
    with pytest.raises(TypeError):
        _descriptor(**({"dtype": "u1"} if "format" not in changes else {}) | changes)


def test_properties() -> None:
    fixed = _descriptor(shape=(2, 3), format=[("u", 12), ("i", 12)])
    assert fixed.itemsize_bits == 24
    assert not fixed.is_variable_size()
    assert fixed.allow_immediate()
    assert not _descriptor(shape=(2,), format=[("u", 12)]).allow_immediate()  # no whole bytes
    varying = _descriptor(shape=[2, None, 3], format=[("u", 8), ("f", 32)])
    assert varying.shape == (2, None, 3)
    assert varying.itemsize_bits == 40
    assert varying.is_variable_size()
    assert not varying.allow_immediate()
    assert varying.dynamic_shape(29) == (2, 4, 3)
    assert varying.compatible_shape((2, 9, 3))
    assert not varying.compatible_shape((3, 9, 3))
    assert not varying.compatible_shape((2, 9))
    assert _descriptor(shape=(0, None), format=[("u", 8)]).dynamic_shape(5) == (0, 0)
    assert _descriptor(dtype="f4").dtype == np.dtype("f4")


def test_cannot_be_changed() -> None:
    descriptor = _descriptor(dtype="u1")
    with pytest.raises(attrs.exceptions.FrozenAttributeError):
        descriptor.name = "other"


@pytest.mark.parametrize("name", ["n\xe9e", "a\u2003b"])
def test_names_that_cannot_be_sent(name: str) -> None:
    with pytest.raises(UnicodeEncodeError, match="ascii"):
        Heap().add_descriptor(_descriptor(name=name, dtype="u1"))


def test_description_that_may_not_be_sent() -> None:
    with pytest.raises(UnicodeEncodeError, match="ascii"):
        Heap().add_descriptor(_descriptor(description="\xe9", dtype="u1"))


def test_name_with_white_space_is_received() -> None:
    raw = RawDescriptor(0x1000, b"two words", b"", [], [("u", 8)])
    assert Descriptor.from_raw(raw, wire.flavour()).name == "two words"


@pytest.mark.parametrize(
    "raw",
    [
        RawDescriptor(0x1000, b"\xe9", b"", [], [("u", 8)]),
        RawDescriptor(0x1000, b"name", b"\xe9", [], [("u", 8)]),
        RawDescriptor(0x1000, b"name", b"", [], []),
        RawDescriptor(0x1000, b"name", b"", [None, None], [("u", 8)]),
        RawDescriptor(0x1000, b"name", b"", [], [("u", 0)]),
        RawDescriptor(0x1000, b"name", b"", [], [("\xff", 8)]),
        RawDescriptor(0x1000, b"name", b"", [], [], b"nonsense"),
        RawDescriptor(0x1000, b"name", b"", [], [], b"{'descr': '|S0', 'fortran_order': False, 'shape': ()}"),
        RawDescriptor(3, b"name", b"", [], [("u", 8)]),
    ],
)
def test_received_and_not_understood(raw: RawDescriptor) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 - what each says is tested where it comes from
        Descriptor.from_raw(raw, wire.flavour())


def test_numpy_header_is_what_counts() -> None:
    """Specification section 5: it overrides shape and type."""
    header = b"{'descr': '<i4', 'fortran_order': True, 'shape': (2, 3)}"
    descriptor = Descriptor.from_raw(RawDescriptor(0x1000, b"name", b"", [7], [("u", 8)], header), wire.flavour())
    assert (descriptor.shape, descriptor.dtype, descriptor.order) == ((2, 3), np.dtype("<i4"), "F")
    assert descriptor.format is None


@given(strategies.definitions(), strategies.FLAVOURS)
def test_round_trip(definition: Definition, flavour: Any) -> None:
    item = definition.item()
    heap = Heap(flavour)
    heap.add_descriptor(item)
    (raw,) = wire.transmit(heap, 65536).get_descriptors()
    descriptor = Descriptor.from_raw(raw, flavour)
    assert descriptor.same_item(item)
    assert item.same_item(descriptor)


def test_same_item() -> None:
    one = _descriptor(dtype="u1")
    assert one.same_item(_descriptor(dtype="|u1", shape=[]))
    for changes in (
        {"id": 0x1001}, {"name": "x"}, {"description": ""}, {"shape": (1,)}, {"dtype": "i1"}, {"order": "F"},
        {"dtype": None, "format": [("u", 8)]},
    ):  # fmt: skip
        assert not one.same_item(_descriptor(**({"dtype": "u1"} | changes)))


@pytest.mark.parametrize("bug_compat", wire.BUG_COMPAT)
@pytest.mark.parametrize("bits", wire.ADDRESS_BITS)
def test_fields_as_spead2(bits: int, bug_compat: int) -> None:
    """Widths and flags of shape and format fields in every flavour."""
    flavour = wire.flavour(bits, bug_compat)
    arguments: Any = (0x21, "name", "text", (2, None), None, "C", [("u", 12), ("c", 8)])
    theirs = spead2.send.Heap(strategies.spead2_flavour(flavour))
    theirs.add_descriptor(spead2.Descriptor(*arguments))
    (packet,) = spead2.send.PacketGenerator(theirs, 1, 1472)
    assert Descriptor(*arguments).encode(flavour).tobytes() in packet
    (raw,) = wire.join([packet], bug_compat).get_descriptors()
    assert raw == RawDescriptor(0x21, b"name", b"text", [2, None], [("u", 12), ("c", 8)])


def test_swapped_endianness_is_in_the_header_only() -> None:
    descriptor = _descriptor(dtype=[("a", "<i2"), ("b", ">f4"), ("c", "u1")])
    swapped = descriptor.to_raw(wire.flavour(bug_compat=4)).numpy_header
    assert b"[('a', '>i2'), ('b', '<f4'), ('c', '|u1')]" in swapped


@pytest.mark.parametrize(
    ("raw", "bits", "message"),
    [
        (RawDescriptor(0x1000, b"a", b"", [], [("u", 8)]), 8, "does not fit in 8 bits"),
        (RawDescriptor(0x10, b"a", b"", [1 << 40], [("u", 8)]), 40, "each dimension"),
        (RawDescriptor(0x10, b"a", b"", [256], [("u", 8)]), 8, "each dimension"),
        (RawDescriptor(0x10, b"a", b"", [], [("u", 256)]), 56, "each width"),
        (RawDescriptor(0x10, b"a" * 300, b"", [], [("u", 8)]), 8, "too large"),
    ],
)
def test_too_large_for_the_flavour(raw: RawDescriptor, bits: int, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        encode_descriptor(raw, wire.flavour(bits))


def test_reserved_bits_of_a_shape_mean_nothing() -> None:
    """Only one bit of a dimension's first byte is the flag."""
    shape = bytes([0xFE, 0, 0, 0, 0, 5, 0xFF, 0, 0, 0, 0, 0])
    data = wire.to_bytes(wire.packet([immediate(0x14, 0x21), addressed(0x12, 0)], shape))
    assert decode_descriptor(data, 0).shape == [5, None]


def test_encoding_is_shared_and_cannot_be_written() -> None:
    descriptor = _descriptor(dtype="u1")
    assert descriptor.encode(wire.flavour()) is descriptor.encode(wire.flavour())
    assert not descriptor.encode(wire.flavour()).flags.writeable
    assert len(descriptor.encode(wire.flavour(48))) > 0
