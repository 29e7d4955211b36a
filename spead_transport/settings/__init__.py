"""What can be said of a stream in text: its transport and its settings, in one URL or merged from several places."""

from __future__ import annotations

from .spec import STREAM_PART, Specification, StreamSpec, Value, merge
from .stream_settings import StreamSettings
from .targets import Target, as_spec, as_transport, common_settings

__all__ = [
    "STREAM_PART",
    "Specification",
    "StreamSettings",
    "StreamSpec",
    "Target",
    "Value",
    "as_spec",
    "as_transport",
    "common_settings",
    "merge",
]
