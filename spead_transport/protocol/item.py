"""Items: descriptors with a value."""

from __future__ import annotations

from typing import Any, Final, get_args

import attrs
import numpy as np

from .batch import Bytes
from .casting import Casting
from .codec import ByteOrder, check_order
from .descriptor import Descriptor
from .located import located
from .received import RawItem

__all__ = ["Item"]


@attrs.define(eq=False, on_setattr=attrs.setters.frozen)
class Item(Descriptor):
    """A descriptor with a value.

    Parameters
    ----------
    id, name, description, shape, dtype, order, format
        As for :class:`Descriptor`.
    value
        An array, a scalar, a string, or anything that NumPy makes an array of; ``None`` if there is none yet.
    casting
        What happens when a value is sent that does not fit: ``"checked"`` raises :exc:`ValueError`, ``"unsafe"``
        cuts it to fit, as C would: integers lose their upper bits, fractions are dropped, strings are cut.
    """

    _value: Any = attrs.field(default=None, alias="value", on_setattr=attrs.setters.NO_OP)
    casting: Casting = attrs.field(
        default="checked",
        kw_only=True,
        validator=attrs.validators.in_(get_args(Casting)),
        on_setattr=attrs.setters.validate,
    )
    #: Counts the changes of the value; add 1 after changing an array in place, so that it is sent again.
    version: int = attrs.field(default=1, init=False, on_setattr=attrs.setters.NO_OP)

    @property
    def value(self) -> Any:
        """The value. After it was received: a scalar if the shape is ``()``, a string if it is one-dimensional
        characters, otherwise an array."""
        return self._value

    @value.setter
    def value(self, new_value: Any) -> None:
        if new_value is None:
            raise ValueError(f"the value of item {self.name!r} cannot be set to None")
        _set_value(self, new_value)
        _set_version(self, self.version + 1)

    def to_buffer(self) -> Bytes:
        """The value as it is sent: its own memory if it is an array that can be sent as it is, else a copy.

        Raises
        ------
        ValueError
            If there is no value, it has the wrong shape, or it does not fit the type.
        """
        if self._value is None:
            raise ValueError(f"Cannot send a value of None: item {self.name!r} has no value yet")
        try:
            return self.codec.encode(self._value, self.casting)
        except ValueError as error:
            raise located(error, f"item {self.name!r}") from error

    def set_from_raw(self, raw_item: RawItem, new_order: ByteOrder = "=") -> None:
        """Take the value from a raw item.

        Parameters
        ----------
        raw_item
            From :meth:`~spead_transport.recv.Heap.get_items`.
        new_order
            Byte order of an array: ``"<"``, ``">"``, ``"="`` for the machine's, ``"|"`` for the one it arrived in.

        Raises
        ------
        ValueError
            If the bytes do not make a value of this item, or `new_order` is not a byte order.
        """
        check_order(new_order)
        if raw_item.is_immediate:
            self.value = self.codec.decode_immediate(raw_item.immediate_value, len(raw_item), new_order)
        else:
            data = raw_item.view(np.ndarray)
            self.value = self.codec.decode(data, 0, len(data), new_order)


# Straight into the slots: attrs' __setattr__ takes longer than the rest of an update.
_set_value: Final = Item.__dict__["_value"].__set__
_set_version: Final = Item.__dict__["version"].__set__
