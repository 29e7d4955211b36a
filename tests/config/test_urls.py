"""One URL says everything of a stream: its transport, wrappers around it, and the stream's own settings."""

from __future__ import annotations

import os
import traceback
from typing import Any

import attrs
import hypothesis
import pytest
from hypothesis import given
from hypothesis import strategies as st

from spead_transport import open_receiver, open_sender, recv, send
from spead_transport.engine.recv_config import RingStreamConfig
from spead_transport.settings import StreamSettings, StreamSpec
from spead_transport.transport import TransportConfig, WrapperTransport, option, transport_from_url

from ..items import heap_of
from .wrapping import DropConfig, DropTransport


def refusal(url: str) -> str:
    """What is said of a URL that cannot be used, with all of its causes."""
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - the callers look at the text
        StreamSpec.from_url(url)
    return "".join(traceback.format_exception_only(caught.value))


def test_settings_of_the_stream_stand_beside_the_transports() -> None:
    spec = StreamSpec.from_url("udp://239.2.3.4:7148?ttl=4&rate=10Gbit/s&max_packet_size=8972&engine=python")
    assert spec.transport == transport_from_url("udp://239.2.3.4:7148?ttl=4&max_packet_size=8972")
    assert spec.settings == StreamSettings(rate=1.25e9, max_packet_size=8972, engine="python")
    assert spec.settings.send_config() == send.StreamConfig(rate=1.25e9, max_packet_size=8972)


def test_a_name_with_its_part_is_for_that_part_alone() -> None:
    spec = StreamSpec.from_url("udp://127.0.0.1:7148?max_packet_size=2000&stream.max_packet_size=8KiB")
    assert spec.settings.max_packet_size == 8192
    assert spec.transport == transport_from_url("udp://127.0.0.1:7148?max_packet_size=2000")


def test_defaults_and_limits_are_the_engines() -> None:
    settings = StreamSettings()
    assert settings.send_config() == send.StreamConfig()
    assert vars_of(settings.recv_config()) == vars_of(recv.StreamConfig())
    assert settings.ring_config() == RingStreamConfig()


def vars_of(config: recv.StreamConfig) -> dict[str, Any]:
    """The settings that can be compared."""
    return {
        field.name: getattr(config, field.name)
        for field in attrs.fields(recv.StreamConfig)
        if field.init and field.name != "memory_allocator"
    }


def test_every_setting_of_the_engines_can_be_configured() -> None:
    """All but code: an allocator of memory, and statistics."""
    names = {field.name for field in attrs.fields(send.StreamConfig)}
    names |= {field.name for field in attrs.fields(recv.StreamConfig) if field.init} - {"memory_allocator"}
    names |= {field.name for field in attrs.fields(RingStreamConfig)} - {"heaps"} | {"ring_heaps"}
    assert names | {"engine", "end"} == set(StreamSettings.fields())


@pytest.mark.parametrize("name", sorted(StreamSettings.fields()))
def test_each_setting_has_an_effect(name: str) -> None:
    text = {
        "engine": "python",
        "end": "any",
        "memcpy": "nontemporal",
        "rate_method": "hw",
        "bug_compat": "3",
        "burst_rate_ratio": "1.5",
    }.get(name)
    default = getattr(StreamSettings(), name)
    if text is None:
        text = ("no" if default else "yes") if isinstance(default, bool) else str(default + 8)
    settings = StreamSpec.from_url(f"inproc://x?{name}={text}").settings
    assert settings != StreamSettings()
    changed = (settings.send_config(), vars_of(settings.recv_config()), settings.ring_config())
    defaults = (send.StreamConfig(), vars_of(recv.StreamConfig()), RingStreamConfig())
    assert changed != defaults or name in ("engine", "end")


URLS = st.builds(
    StreamSettings,
    engine=st.sampled_from(["", "python", "native,python"]),
    max_heaps=st.integers(1, 2**40),
    max_packet_size=st.integers(1, 2**40),
    rate=st.floats(0, 1e300),
    rate_method=st.sampled_from(send.RateMethod),
    contiguous_only=st.booleans(),
    burst_rate_ratio=st.floats(1, 1e9),
)


@hypothesis.settings(max_examples=30, deadline=None)
@given(settings=URLS, ttl=st.none() | st.integers(0, 255), size=st.integers(1, 65535), name=st.text())
def test_a_url_keeps_everything(settings: StreamSettings, ttl: int | None, size: int, name: str) -> None:
    for transport in (
        transport_from_url(f"udp://[ff02::1]:7148,239.1.1.1+3:7149?ttl={'' if ttl is None else ttl}"),
        transport_from_url(f"udp://:1?max_packet_size={size}"),
        transport_from_url("inproc://a,b"),
    ):
        spec = StreamSpec(transport, settings)
        assert StreamSpec.from_url(spec.to_url()) == spec
    if name and "," not in name:
        spec = StreamSpec(type(transport)(attrs.evolve(transport.config, name=name)), settings)  # type: ignore[call-arg]
        assert StreamSpec.from_url(spec.to_url()) == spec


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("udp", "expected a URL such as"),
        ("uddp://x", "did you mean 'udp'"),
        ("udp://127.0.0.1:1?rtae=3", "unknown option 'rtae'; did you mean 'rate'?"),
        ("udp://127.0.0.1:1?rate=3ms", "option 'rate': unknown unit 'ms'"),
        ("udp://127.0.0.1:1?rate=fast", "option 'rate': expected a number such as 1e9 or 10Gbit/s, not 'fast'"),
        ("udp://127.0.0.1:1?rate=-1", "option 'rate': rate must be a finite number"),
        ("udp://127.0.0.1:1?max_heaps=0", "option 'max_heaps': max_heaps must be at least 1"),
        ("udp://127.0.0.1:1?max_heaps=-1", "option 'max_heaps': max_heaps must not be negative"),
        ("udp://127.0.0.1:1?max_heaps=1.5", "option 'max_heaps': expected a whole number"),
        ("udp://127.0.0.1:1?ttl=300", "option 'ttl': 'ttl' must be in"),
        ("udp://127.0.0.1:1?ttl=3&ttl=4", "option 'ttl' is given twice"),
        ("udp://127.0.0.1:1?ttl", "expected name=value"),
        ("udp://127.0.0.1:1?stream.rat=1", "stream: unknown option 'rat'; did you mean 'rate'?"),
        ("udp://127.0.0.1:1?tcp.ttl=1", "'tcp' is no part of this stream (its parts: udp, stream)"),
        ("udp://127.0.0.1:1?rate_method=soft", "expected one of sw, hw, auto, not 'soft'"),
        ("udp://127.0.0.1:1?contiguous_only=perhaps", "expected yes or no"),
        ("udp://127.0.0.1:99999", "port"),
        ("inproc+udp://127.0.0.1:1", "'inproc' wraps no other transport"),
    ],
)
def test_mistakes_are_named_with_their_place(url: str, message: str) -> None:
    text = refusal(url)
    assert message in text
    assert url.split("?")[0].split("://")[0].split("+")[-1] in text


@pytest.mark.parametrize(
    "url",
    [
        "udp://user:hush@127.0.0.1:1",
        "udp://user:hush@127.0.0.1:1?ttl=999",
        "udp://127.0.0.1:1?password=hush",
        "nothing://user:hush@host?api_key=hush&stream.token=hush",
        "udp://127.0.0.1:1?secret=hush&secret=hush",
    ],
)
def test_secrets_are_in_no_message(url: str) -> None:
    with pytest.raises(ValueError) as caught:  # noqa: PT011 - see below
        StreamSpec.from_url(url)
    assert "hush" not in "".join(traceback.format_exception_only(caught.value))
    assert caught.value.__cause__ is None


WORDS = st.sampled_from(
    [
        *("udp", "inproc", "faults", "://", "?", "&", "=", "+", ",", ".", "%", "%zz", "@", ":", "[", "]"),
        *("ttl", "rate", "stream.", "udp.", "max_heaps", "engine", "1e999", "1e99", "nan", "-1", "10Gbit/s"),
        *("\xe9", "\ud800", "\udcff", "\0", "9" * 99),
    ]
)


@hypothesis.settings(max_examples=200, deadline=None)
@given(
    st.lists(WORDS | st.text(max_size=3), max_size=14).map("".join), st.sampled_from(["", "udp://", "inproc://x?"])
)
def test_any_text_is_a_url_or_refused(text: str, start: str) -> None:
    """Whatever comes, it is understood, and then written so that it is understood again, or it is a ValueError."""
    try:
        spec = StreamSpec.from_url(start + text)
    except ValueError:
        return
    assert StreamSpec.from_url(spec.to_url()) == spec


def test_bytes_that_are_no_text_pass_through() -> None:
    """Names of files can have them."""
    spec = StreamSpec.from_url("inproc://a%ff%C3%A9")
    assert spec.to_url() == "inproc://a%FF%C3%A9"
    assert spec.transport.config == attrs.evolve(spec.transport.config, name=os.fsdecode(b"a\xff\xc3\xa9"))


# --------------------------------------------------------------------------------------------------------- wrappers


def test_a_wrapper_stands_before_the_scheme(drop: str) -> None:
    spec = StreamSpec.from_url("drop+udp://127.0.0.1:7148?every=3&ttl=4&max_heaps=9")
    inner = transport_from_url("udp://127.0.0.1:7148?ttl=4")
    assert spec.transport == DropTransport(DropConfig(every=3), inner)
    assert spec.transport != DropTransport(DropConfig(every=4), inner)
    assert hash(spec.transport) == hash(DropTransport(DropConfig(every=3), inner))
    assert isinstance(spec.transport, WrapperTransport)
    assert spec.settings == StreamSettings(max_heaps=9)
    assert spec.transport.url == "drop+udp://127.0.0.1:7148?every=3&ttl=4"


@pytest.mark.parametrize(
    "options",
    [
        "max_packet_size=2000",
        "drop.max_packet_size=2000",
        "udp.max_packet_size=2000&stream.max_packet_size=1000",
        "max_packet_size=9200",
        "token=hush&every=5",
    ],
)
def test_a_chain_keeps_everything(drop: str, options: str) -> None:
    spec = StreamSpec.from_url(f"drop+udp://127.0.0.1:7148?{options}")
    assert StreamSpec.from_url(spec.to_url()) == spec
    assert DropTransport.from_url(f"drop+udp://127.0.0.1:7148?{options.split('&stream')[0]}") == spec.transport


def test_plain_names_are_for_each_part_that_knows_them(drop: str) -> None:
    spec = StreamSpec.from_url("drop+udp://127.0.0.1:7148?max_packet_size=2000&udp.max_packet_size=3000")
    sizes = {part: options.texts()["max_packet_size"] for part, options in spec.parts().items()}
    assert sizes == {"drop": "2000", "udp": "3000", "stream": "2000"}


def test_an_option_marked_as_secret_is_hidden(drop: str) -> None:
    spec = StreamSpec.from_url("drop+inproc://x?token=hush")
    assert spec.to_url() == "drop+inproc://x?token=hush"
    for shown in (repr(spec), spec.url, spec.explain(), repr(spec.transport), spec.transport.url):
        assert "hush" not in shown
        assert "***" in shown


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("drop://x", "wraps another transport; say which"),
        ("drop+drop+inproc://x", "a wrapper can stand once in a chain"),
        ("inproc+drop://x", "'inproc' wraps no other transport"),
        ("drop+nothing://x", "no installed transport has the scheme 'nothing'"),
        ("drop+inproc://x?every=0", "option 'every': 'every' must be >= 1"),
        ("drop+inproc://x?evry=2", "did you mean 'every'?"),
    ],
)
def test_mistakes_in_a_chain_are_told(drop: str, url: str, message: str) -> None:
    assert message in refusal(url)


def test_a_wrapper_is_asked_for_by_its_own_class(drop: str) -> None:
    with pytest.raises(ValueError, match=r"expected drop\+…://… for DropTransport"):
        DropTransport.from_url("inproc://x")


def test_streams_run_through_a_wrapper(drop: str, engine: str) -> None:
    with (
        open_receiver("drop+inproc://wrapped", engine=engine) as receiver,
        open_sender("drop+inproc://wrapped?every=2", engine=engine) as sender,
    ):
        for cnt in range(1, 5):
            sender.send_heap(heap_of(), cnt)
        sender.close()
        assert [heap.cnt for heap in receiver] == [1, 3]


# ----------------------------------------------------------------------------------------------------- alternatives


@pytest.mark.parametrize("schemes", ["ibverbs,udp", "udp,ibverbs", "ibverbs,rdma,udp,inproc"])
def test_the_first_transport_that_is_installed_is_taken(schemes: str) -> None:
    url = f"{schemes}://127.0.0.1:7148?ttl=3&ibverbs.comp_vector=4&udp.loop=no&max_heaps=9"
    assert StreamSpec.from_url(url) == StreamSpec.from_url("udp://127.0.0.1:7148?ttl=3&loop=no&max_heaps=9")
    assert transport_from_url("ibverbs,inproc://x?ibverbs.ttl=3").url == "inproc://x"


def test_alternatives_may_have_wrappers(drop: str) -> None:
    transport = transport_from_url("drop+ibverbs,drop+udp://127.0.0.1:7148?every=3&ibverbs.comp_vector=4")
    assert transport.url == "drop+udp://127.0.0.1:7148?every=3"


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("ibverbs,rdma://x", "none of ibverbs,rdma can be used: no installed transport has the scheme 'ibverbs'"),
        ("ibverbs,udp://127.0.0.1:7148?comp_vector=4", "unknown option 'comp_vector'"),
        ("ibverbs,udp://127.0.0.1:7148?udp.tll=4", "unknown option 'tll'"),
        ("ibverbs,udp://127.0.0.1:7148?tcp.connections=4", "'tcp' is no part of this stream"),
        ("udp,,inproc://127.0.0.1", "expected host:port"),
    ],
)
def test_mistakes_in_alternatives_are_told(url: str, message: str) -> None:
    assert message in refusal(url)


# ---------------------------------------------------------------------------------------------------------- streams


def test_opening_honours_the_settings_in_the_url(engine: str) -> None:
    url = f"inproc://settings?engine={engine}"
    with open_receiver(f"{url}&ring_heaps=7&max_heaps=5") as receiver:
        assert receiver.ring_config.heaps == 7
        assert receiver.config.max_heaps == 5
    with open_sender(f"{url}&rate=8Mbit/s&max_heaps=5") as sender:
        assert sender.config == send.StreamConfig(rate=1e6, max_heaps=5)


def test_arguments_of_the_call_count_more() -> None:
    with open_sender("inproc://call?rate=5&max_heaps=5", config=send.StreamConfig(max_heaps=6)) as sender:
        assert sender.config == send.StreamConfig(rate=5, max_heaps=6)
    config = recv.StreamConfig(max_heaps=6)
    config.add_stat("own")
    with open_receiver("inproc://call?substreams=2&max_heaps=5", config=config) as receiver:
        assert (receiver.config.max_heaps, receiver.config.substreams) == (6, 2)
        assert receiver.config.get_stat_index("own") == config.get_stat_index("own")


async def test_opening_for_asyncio_honours_them_too() -> None:
    async with send.asyncio.open_sender("inproc://aio?rate=5") as sender:
        assert sender.config.rate == 5
    async with recv.asyncio.open_receiver("inproc://aio?ring_heaps=7") as receiver:
        assert receiver.ring_config.heaps == 7


def test_urls_for_one_stream_must_agree() -> None:
    with open_receiver("inproc://one?max_heaps=5", "inproc://two", "inproc://three?max_heaps=5") as receiver:
        assert receiver.config.max_heaps == 5
    with pytest.raises(ValueError, match="different values for 'max_heaps'"):
        open_receiver("inproc://one?max_heaps=5", "inproc://two?max_heaps=6")


def test_a_reader_cannot_change_its_stream() -> None:
    with recv.Stream() as stream:
        with pytest.raises(ValueError, match="'ring_heaps' is for the stream, which exists already"):
            stream.add_reader("inproc://x?ring_heaps=3")
        url = stream.add_reader("udp://127.0.0.1:0?max_packet_size=2000")
        assert url is not None
        assert url.endswith("?max_packet_size=2000")


@pytest.mark.parametrize("engines", ["nothing,python", "python,nothing", " python "])
def test_engines_are_tried_in_order(engines: str) -> None:
    with open_receiver("inproc://order", engine=engines) as receiver:
        assert receiver.urls == ["inproc://order"]


def test_no_engine_at_all_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(ValueError, match=r"engine=one,two: no engine 'one' is installed .*; no engine 'two'"):
        open_receiver("inproc://order?engine=one,two")
    monkeypatch.setenv("SPEAD_TRANSPORT_ENGINE", "one")
    with pytest.raises(ValueError, match="SPEAD_TRANSPORT_ENGINE=one: no engine 'one'"):
        open_receiver("inproc://order")


def test_an_engine_that_does_not_exist_opens_nothing() -> None:
    """The endpoint is closed again, or was never opened: a leak would be a warning, and that an error."""
    with pytest.raises(ValueError, match="no engine"):
        open_sender("inproc://nobody?engine=one")


def test_options_that_are_enumerations_are_text() -> None:
    @attrs.frozen
    class Config(TransportConfig):
        method: send.RateMethod = option(send.RateMethod.AUTO, "an enumeration")

    assert Config.from_url("x://?method=SW").method is send.RateMethod.SW
    assert Config.from_url("x://?method=SW").to_url("x") == "x://?method=sw"
