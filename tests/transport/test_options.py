"""Options as a URL and as an attrs class."""

from __future__ import annotations

import string
from typing import Any

import attrs
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spead_transport.transport import TransportConfig, option, split_url


@attrs.frozen
class Names:
    """A value with a text form of its own."""

    names: tuple[str, ...] = ()

    @classmethod
    def parse(cls, value: str | Names) -> Names:
        if isinstance(value, Names):
            return value
        if "!" in value:
            raise ValueError(f"expected names without '!', not {value!r}")
        return cls(tuple(filter(None, value.split(","))))

    def __str__(self) -> str:
        return ",".join(self.names)


@attrs.frozen(kw_only=True)
class Config(TransportConfig):
    address: str = option("", "where", address=True)
    size: int = option(1024, "how much", unit="bytes", validator=attrs.validators.ge(1))
    limit: int | None = option(None, "how many", unit="packets")
    wait: float = option(0.5, "how long", unit="seconds")
    rate: float | None = option(None, "how fast", unit="bytes/s")
    fast: bool = option(False, "whether")
    slow: bool = option(True, "whether")
    name: str = option("", "what", validator=attrs.validators.max_len(30))
    names: Names = option(Names(), "which", converter=Names.parse)


@attrs.frozen
class NoAddress(TransportConfig):
    size: int = option(1, "how much")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("x://", Config()),
        ("x://here", Config(address="here")),
        ("X://here?", Config(address="here")),
        ("x://a/b:c@[d],*;+?size=2", Config(address="a/b:c@[d],*;+", size=2)),
        ("x://with%20space%3F", Config(address="with space?")),
        ("x://?size=8KiB&wait=20ms&rate=1Gbit/s", Config(size=8192, wait=0.02, rate=1.25e8)),
        ("x://?limit=", Config()),
        ("x://?limit=7&rate=", Config(limit=7)),
        ("x://?fast=yes&slow=no", Config(fast=True, slow=False)),
        ("x://?fast=&slow=OFF", Config(fast=True, slow=False)),
        ("x://?name=a+b%20c%26d=e", Config(name="a+b c&d=e")),
        ("x://?names=p,q", Config(names=Names(("p", "q")))),
    ],
)
def test_url_to_options(url: str, expected: Config) -> None:
    assert Config.from_url(url) == expected
    assert Config.from_url(expected.to_url("x")) == expected


def test_options_to_url() -> None:
    assert Config().to_url("x") == "x://"
    config = Config(address="239.1.1.1+3:7148", size=3, fast=True, limit=0, names=Names(("a", "b")))
    assert config.to_url("x") == "x://239.1.1.1+3:7148?size=3&limit=0&fast=yes&names=a,b"
    assert Config(slow=False, name="100% & more").to_url("x") == "x://?slow=no&name=100%25%20%26%20more"


texts = st.text(st.characters(codec="utf-8"), max_size=20)


@given(
    address=texts,
    size=st.integers(1, 2**80),
    limit=st.none() | st.integers(),
    wait=st.floats(allow_nan=False, allow_infinity=False, width=32),
    flags=st.tuples(st.booleans(), st.booleans()),
    name=texts,
    names=st.lists(st.text(string.ascii_letters, min_size=1), max_size=3),
)
def test_any_options_survive_as_url(
    address: str,
    size: int,
    limit: int | None,
    wait: float,
    flags: tuple[bool, bool],
    name: str,
    names: list[str],
) -> None:
    config = Config(
        address=address,
        size=size,
        limit=limit,
        wait=wait,
        fast=flags[0],
        slow=flags[1],
        name=name,
        names=Names(tuple(names)),
    )
    assert Config.from_url(config.to_url("scheme")) == config


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("here", "expected a URL such as udp://"),
        ("://here", "expected a URL such as udp://"),
        ("x:here", "expected a URL such as udp://"),
        ("x://?size", r"expected name=value&name=value after the '\?', not 'size'"),
        ("x://?size=1&", "expected name=value"),
        ("x://?=1", "expected name=value"),
        ("x://?size=1&size=1", "option 'size' is given twice"),
        (
            "x://?sise=1",
            r"unknown option 'sise'; did you mean 'size'\? \(known: fast, limit, name, names, rate, size",
        ),
        ("x://?address=1", "unknown option 'address'"),
        ("x://?size=0", r"^x://\?size=0: option 'size': 'size' must be >= 1: 0$"),
        ("x://?size=", "option 'size': expected a number such as 65536 or 8MiB, not ''"),
        ("x://?size=1.5", "option 'size': expected a whole number of bytes, not '1.5'"),
        ("x://?size=1s", "option 'size': unknown unit 's'"),
        ("x://?wait=1MiB", "option 'wait': unknown unit 'MiB'"),
        ("x://?limit=1kB", "option 'limit': unknown unit 'kB'"),
        ("x://?fast=maybe", "option 'fast': expected yes or no, not 'maybe'"),
        ("x://?names=a!", "^x://.*: expected names without '!', not 'a!'$"),
        (f"x://?name={'n' * 31}", "Length of 'name' must be <= 30"),
    ],
)
def test_bad_urls_name_the_part(url: str, message: str) -> None:
    with pytest.raises(ValueError, match=message) as caught:
        Config.from_url(url)
    assert url.partition("?")[0] in str(caught.value)


def test_transport_without_address() -> None:
    assert NoAddress.from_url("x://?size=3") == NoAddress(3)
    assert NoAddress(3).to_url("x") == "x://?size=3"
    with pytest.raises(ValueError, match="takes no address"):
        NoAddress.from_url("x://here")


def test_help_and_unit_are_kept() -> None:
    field: attrs.Attribute[Any] = attrs.fields(Config).size
    assert (field.metadata["help"], field.metadata["unit"]) == ("how much", "bytes")


def test_split_url() -> None:
    assert split_url("UDP://a:1?x=1&y=%26") == ("udp", "a:1", {"x": "1", "y": "&"})
