"""Callbacks compiled by numba, where that is installed."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np
import pytest
import scipy

from .common import HEAP_SIZE, bytes_of, heap, present_in, receive


@pytest.mark.parametrize("low_level", [True, False])
def test_a_callback_of_numba(low_level: bool) -> None:
    numba: Any = pytest.importorskip("numba")
    record: Any = import_module("spead_transport.recv.numba").chunk_place_data
    intp_to_voidptr: Any = import_module("spead_transport.numba").intp_to_voidptr

    signature = numba.types.void(numba.types.CPointer(record), numba.types.uintp)

    @numba.cfunc(signature, nopython=True)  # type: ignore[untyped-decorator]
    def place(data_ptr: Any, data_size: Any) -> None:
        data = numba.carray(data_ptr, 1)
        items = numba.carray(intp_to_voidptr(data[0].items), 2, dtype=np.int64)
        data[0].chunk_id = items[0]
        data[0].heap_index = items[1]
        data[0].heap_offset = items[1] * HEAP_SIZE

    function = scipy.LowLevelCallable(place.ctypes, signature="void (void *, size_t)") if low_level else place.ctypes
    chunks, _ = receive([heap(cnt, 0, cnt) for cnt in range(3)], function)
    assert [present_in(chunk) for chunk in chunks] == [[1, 1, 1, 0]]
    assert bytes_of(chunks[0])[:3] == [0, 1, 2]
