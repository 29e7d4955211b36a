"""The options of ``file://``."""

from __future__ import annotations

from typing import Final, Literal, TypeAlias

import attrs

from spead_transport.transport import TransportConfig, option

__all__ = ["STANDARD_STREAM", "FileConfig", "Follow", "Mode"]

#: The path that means standard input or output.
STANDARD_STREAM: Final = "-"
Mode: TypeAlias = Literal["create", "append", "new"]
Follow: TypeAlias = Literal["no", "yes", "until-closed"]


def _check_path(_: object, __: object, path: str) -> None:
    if not path or "\0" in path:
        raise ValueError(f"expected the path of a file, or - for standard input or output, not {path!r}")


@attrs.frozen(kw_only=True)
class FileConfig(TransportConfig):
    """Options of files. Those that concern one direction have no effect on the other."""

    path: str = option(
        STANDARD_STREAM,
        "a file, a named pipe, a serial line or the like; - is standard output for sending, or input for receiving",
        address=True,
        validator=[attrs.validators.instance_of(str), _check_path],
    )
    mode: Mode = option(
        "create",
        "sending: create (a file that exists is replaced), append (to a file that exists), new (it must not exist)",
        validator=attrs.validators.in_(("create", "append", "new")),
    )
    open_timeout: float = option(
        10.0,
        "sending: how long opening may take, until somebody opens a named pipe for reading",
        unit="seconds",
        validator=[attrs.validators.ge(0), attrs.validators.le(3600)],
    )
    follow: Follow = option(
        "no",
        "receiving, at the end of a file: no (the stream ends), yes (wait for more, forever; from a named pipe too), "
        "until-closed (wait for more until somebody who wrote to the file closes it)",
        validator=attrs.validators.in_(("no", "yes", "until-closed")),
    )
    max_packet_size: int = option(
        16 << 20,
        "receiving: a larger packet is counted as truncated and skipped",
        unit="bytes",
        validator=attrs.validators.in_(range(1, 1 << 30)),
    )
