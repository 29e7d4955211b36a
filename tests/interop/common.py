"""The same calls to this package and to spead2, and values to send with them."""

from __future__ import annotations

from typing import Any

import attrs
import numpy as np
import numpy.typing as npt
import spead2
import spead2.recv.asyncio
import spead2.send.asyncio
from hypothesis import strategies as st

import spead_transport

#: Either package: the point of these tests is that the same calls work with both, which no type can express.
Package = Any
PACKAGES: dict[str, Package] = {"ours": spead_transport, "spead2": spead2}

FLAVOURS = [(bits, bug_compat) for bits in (24, 32, 40, 48, 56) for bug_compat in range(8)]


@attrs.frozen
class ItemSpec:
    """Arguments of ``add_item``."""

    name: str
    value: Any
    shape: tuple[int | None, ...]
    dtype: Any = None
    order: str = "C"
    format: list[tuple[str, int]] | None = None


def make_group(package: Package, items: list[ItemSpec], bits: int = 40, bug_compat: int = 0) -> Any:
    """A sender's item group with `items`."""
    group = package.send.ItemGroup(flavour=package.Flavour(4, 64, bits, bug_compat))
    for index, item in enumerate(items):
        group.add_item(
            0x40 + index,  # small enough for every flavour
            item.name,
            f"description of {item.name}",
            shape=item.shape,
            dtype=item.dtype,
            order=item.order,
            format=item.format,
            value=item.value,
        )
    return group


def encode(package: Package, group: Any, *, ends: bool = True, **config: Any) -> bytes:
    """A heap with all descriptors and values, then one with the end of the stream, as packets back to back."""
    stream = package.send.BytesStream(package.ThreadPool(), package.send.StreamConfig(**config))
    stream.send_heap(group.get_heap(descriptors="all", data="all"))
    if ends:
        stream.send_heap(group.get_end())
    data: bytes = stream.getvalue()
    return data


def receive(package: Package, data: bytes, bug_compat: int = 0, **ring: Any) -> list[Any]:
    """The heaps in `data`."""
    stream = package.recv.Stream(
        package.ThreadPool(),
        package.recv.StreamConfig(bug_compat=bug_compat),
        package.recv.RingStreamConfig(**ring),
    )
    stream.add_buffer_reader(data)
    return list(stream)


def decode(package: Package, data: bytes, bug_compat: int = 0) -> dict[str, Any]:
    """The values in `data`, by name."""
    group = package.ItemGroup()
    for heap in receive(package, data, bug_compat):
        group.update(heap)
    return {name: item.value for name, item in group.items()}


def assert_same_values(actual: dict[str, Any], expected: dict[str, Any]) -> None:
    """Compare values by content: shapes and numbers count, types of containers do not."""
    assert list(actual) == list(expected)
    for name, value in expected.items():
        assert_same_value(actual[name], value, name)


def assert_same_value(actual: Any, expected: Any, name: str) -> None:
    if isinstance(expected, str):
        assert actual == expected, name
        return
    if isinstance(expected, tuple):
        assert tuple(map(_scalar, actual)) == expected, name
        return
    left, right = np.asarray(actual), np.asarray(expected)
    assert left.shape == right.shape, name
    if left.dtype.names or right.dtype.names or "O" in (left.dtype.kind, right.dtype.kind):
        assert _plain(left) == _plain(right), name
    else:
        np.testing.assert_array_equal(left, right, name)


def _plain(value: npt.NDArray[Any]) -> list[Any]:
    """Elements as Python values; records as tuples."""
    return [tuple(map(_scalar, x)) if isinstance(x, tuple) else _scalar(x) for x in value.ravel().tolist()]


def _scalar(value: Any) -> Any:
    return value.item() if isinstance(value, np.generic) else value


SHAPES = st.lists(st.integers(1, 4), max_size=3).map(tuple)
DTYPES = st.sampled_from(["u1", "i1", "<u2", ">u2", "<i4", ">i4", "<f4", ">f8", "<c8", ">c16", "?", "<u8"])


@st.composite
def array_items(draw: st.DrawFn, name: str) -> ItemSpec:
    """An item with a numpy header."""
    shape = draw(SHAPES)
    dtype = np.dtype(draw(DTYPES))
    count = int(np.prod(shape))
    raw = draw(st.binary(min_size=count * dtype.itemsize, max_size=count * dtype.itemsize))
    value = np.frombuffer(raw, np.uint8) & (1 if dtype.kind == "b" else 0x3F)  # no NaN
    order = draw(st.sampled_from("CF")) if shape else "C"
    array = np.array(value.view(dtype).reshape(shape), order=order, copy=True)  # type: ignore[call-overload]
    return ItemSpec(name, array, shape, dtype=dtype, order=order)


@st.composite
def format_items(draw: st.DrawFn, name: str) -> ItemSpec:
    """An item with a SPEAD format of one integer field, of any width."""
    shape = draw(SHAPES)
    width = draw(st.integers(1, 64))
    code = draw(st.sampled_from("ui")) if shape else "u"  # spead2 fails to encode a single negative number
    low, high = (0, 2**width - 1) if code == "u" else (-(2 ** (width - 1)), 2 ** (width - 1) - 1)
    count = int(np.prod(shape))
    numbers = draw(st.lists(st.integers(low, high), min_size=count, max_size=count))
    value: Any = np.array(numbers, np.uint64 if code == "u" else np.int64).reshape(shape)
    return ItemSpec(name, value if shape else numbers[0], shape, format=[(code, width)])


@st.composite
def text_items(draw: st.DrawFn, name: str) -> ItemSpec:
    """A string of at least one character."""
    text = draw(st.text(st.characters(min_codepoint=32, max_codepoint=126), min_size=1, max_size=20))
    return ItemSpec(name, text, (None,), format=[("c", 8)])


@st.composite
def item_specs(draw: st.DrawFn) -> list[ItemSpec]:
    """Items for a group."""
    kinds = draw(st.lists(st.sampled_from([array_items, format_items, text_items]), min_size=1, max_size=5))
    return [draw(kind(f"item{index}")) for index, kind in enumerate(kinds)]
