"""Item groups from either package, read by either package, and compared byte by byte."""

from __future__ import annotations

import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from .common import (
    FLAVOURS,
    PACKAGES,
    ItemSpec,
    array_items,
    assert_same_value,
    assert_same_values,
    decode,
    encode,
    format_items,
    item_specs,
    make_group,
)

KINDS = {
    "number": ItemSpec("number", 1234, (), format=[("u", 48)]),
    "signed": ItemSpec("signed", -5, (), format=[("i", 16)]),
    "text": ItemSpec("text", "hello", (None,), format=[("c", 8)]),
    "samples": ItemSpec("samples", np.arange(1000, dtype=np.int8), (1000,), dtype=np.int8),
    "matrix": ItemSpec("matrix", np.arange(60, dtype=">u4").reshape(3, 4, 5), (3, 4, 5), dtype=">u4"),
    "fortran": ItemSpec(
        "fortran", np.asfortranarray(np.arange(12, dtype="<f4").reshape(3, 4)), (3, 4), dtype="<f4", order="F"
    ),
    "packed": ItemSpec("packed", np.arange(-8, 8).reshape(4, 4), (4, 4), format=[("i", 10)]),
    "bits": ItemSpec("bits", np.array([True, False, True]), (3,), format=[("b", 1)]),
    "floats": ItemSpec("floats", np.linspace(0, 1, 5), (5,), format=[("f", 64)]),
    "variable": ItemSpec("variable", np.arange(30).reshape(3, 10), (3, None), format=[("u", 16)]),
    "record": ItemSpec("record", (5, -3), (), format=[("u", 12), ("i", 20)]),
}


@pytest.mark.parametrize(("bits", "bug_compat"), FLAVOURS)
@pytest.mark.parametrize("kind", KINDS)
def test_both_encode_alike(kind: str, bits: int, bug_compat: int) -> None:
    """The same bytes for the same item, whatever the flavour."""
    ours, theirs = (
        encode(package, make_group(package, [KINDS[kind]], bits, bug_compat)) for package in PACKAGES.values()
    )
    assert ours == theirs


@pytest.mark.parametrize(("sender", "receiver"), list(itertools.product(PACKAGES, PACKAGES)))
@pytest.mark.parametrize(("bits", "bug_compat"), FLAVOURS)
def test_each_decodes_the_other(sender: str, receiver: str, bits: int, bug_compat: int) -> None:
    items = list(KINDS.values())
    data = encode(PACKAGES[sender], make_group(PACKAGES[sender], items, bits, bug_compat))
    assert_same_values(decode(PACKAGES[receiver], data, bug_compat), {item.name: item.value for item in items})


@given(item_specs(), st.sampled_from([32, 40, 48, 56]), st.sampled_from([0, 1, 2, 3, 7]))
@settings(deadline=None, max_examples=60)
def test_any_group_crosses_over(items: list[ItemSpec], bits: int, bug_compat: int) -> None:
    expected = {item.name: item.value for item in items}
    encoded = {}
    for sender, package in PACKAGES.items():
        encoded[sender] = encode(package, make_group(package, items, bits, bug_compat))
        for receiver in PACKAGES.values():
            assert_same_values(decode(receiver, encoded[sender], bug_compat), expected)
    assert encoded["ours"] == encoded["spead2"]


@given(array_items("data") | format_items("data"), st.sampled_from([64, 80, 104, 1472, 65000]))
@settings(deadline=None, max_examples=40)
def test_packet_sizes(item: ItemSpec, max_packet_size: int) -> None:
    encoded = [
        encode(package, make_group(package, [item]), max_packet_size=max_packet_size) for package in PACKAGES.values()
    ]
    assert encoded[0] == encoded[1]
    for package in PACKAGES.values():
        assert_same_value(decode(package, encoded[0])["data"], item.value, "data")


@pytest.mark.parametrize(
    "item",
    [
        ItemSpec("empty", np.zeros((0, 3), np.uint8), (0, 3), dtype=np.uint8),
        ItemSpec("empty", np.zeros(0, np.uint16), (None,), format=[("u", 16)]),
        ItemSpec("empty", "", (None,), format=[("c", 8)]),
    ],
)
def test_empty_items_arrive_and_do_not_disturb_spead2(item: ItemSpec) -> None:
    ours, theirs = PACKAGES["ours"], PACKAGES["spead2"]
    others = [KINDS["samples"], KINDS["number"]]
    for items in ([item, *others], [*others, item], [others[0], item, others[1]], [item]):
        data = encode(ours, make_group(ours, items))
        assert_same_values(decode(ours, data), {each.name: each.value for each in items})
        received = decode(theirs, data)
        for each in items:
            if each is not item:
                assert_same_value(received[each.name], each.value, each.name)


def test_zero_sized_heaps_of_each() -> None:
    for package in PACKAGES.values():
        data = encode(package, package.send.ItemGroup(), ends=False)
        for receiver in PACKAGES.values():
            assert decode(receiver, data) == {}
