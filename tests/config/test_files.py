"""Streams by name: from files, the environment and the program, in this order of precedence from below."""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from spead_transport import recv, send
from spead_transport.config import (
    CONFIG_VARIABLE,
    Config,
    UnknownStreamError,
    load_config,
    to_environment,
    to_toml,
)
from spead_transport.config.toml import specification_of
from spead_transport.errors import TransportLookupError
from spead_transport.settings import StreamSettings, StreamSpec, merge
from spead_transport.transport import transport_from_url

from ..items import heap_of

FILE = """
[visibilities]
url = "udp://239.2.3.4+15:7148"
ttl = 4
rate = "10 Gbit/s"
engine = ["python", "native"]
stream.max_packet_size = "8 KiB"

[gains]
url = "inproc://gains?ring_heaps=9"
max_heaps = 5

[elsewhere]
url = "ibverbs://239.2.3.4:7148"
comp_vector = 3

[later]
max_heaps = 7
"""


@pytest.fixture
def path(tmp_path: Path) -> Path:
    path = tmp_path / "telescope.toml"
    path.write_text(FILE)
    return path


def load(path: Path, text: str | None = None, environ: Mapping[str, str] | None = None) -> Config:
    if text is not None:
        path.write_text(text)
    return load_config(path, environ=environ or {})


def test_a_table_is_a_stream(path: Path) -> None:
    spec = load(path)["visibilities"].spec
    assert spec.transport == transport_from_url("udp://239.2.3.4+15:7148?ttl=4")
    assert spec.settings == StreamSettings(rate=1.25e9, engine="python,native", max_packet_size=8192)
    assert spec == StreamSpec.from_url(
        "udp://239.2.3.4+15:7148?ttl=4&rate=10Gbit/s&engine=python,native&stream.max_packet_size=8192"
    )


def test_options_may_stand_in_the_url_or_beside_it(path: Path) -> None:
    assert load(path)["gains"].spec.settings == StreamSettings(ring_heaps=9, max_heaps=5)


def test_streams_are_opened_by_name(path: Path, engine: str) -> None:
    gains = load(path)["gains"]
    with gains.open_receiver(engine=engine) as receiver, gains.open_sender(engine=engine) as sender:
        assert (receiver.ring_config.heaps, receiver.config.max_heaps, sender.config.max_heaps) == (9, 5, 5)
        sender.send_heap(heap_of(), 6)
        assert receiver.get(timeout=5).cnt == 6


async def test_streams_are_opened_by_name_for_asyncio(path: Path) -> None:
    gains = load(path)["gains"]
    async with gains.open_async_receiver() as receiver, gains.open_async_sender() as sender:
        assert isinstance(receiver, recv.asyncio.Stream)
        assert isinstance(sender, send.asyncio.AsyncStream)
        await sender.async_send_heap(heap_of(), 6)
        assert (await receiver.get()).cnt == 6


def test_arguments_count_more_than_a_url_than_the_file_than_the_environment(path: Path) -> None:
    environ = {
        "SPEAD_TRANSPORT_GAINS_URL": "inproc://elsewhere?rate=3",
        "SPEAD_TRANSPORT_GAINS_MAX_HEAPS": "6",
        "SPEAD_TRANSPORT_GAINS_RING_HEAPS": "6",
        "SPEAD_TRANSPORT_GAINS_SUBSTREAMS": "6",
        "SPEAD_TRANSPORT_GAINS_MAX_HEAP_SIZE": "1 MiB",
    }
    stream = load(path, environ=environ)["gains"].at("inproc://called?ring_heaps=10&substreams=10")
    with stream.open_receiver(config=recv.StreamConfig(substreams=11)) as receiver:
        assert receiver.urls == ["inproc://called"]
        assert receiver.config.substreams == 11
        assert receiver.ring_config.heaps == 10
        assert receiver.config.max_heaps == 5
        assert receiver.config.max_heap_size == 1 << 20
        assert receiver.config.allow_out_of_order is False
    with stream.open_sender() as sender:
        assert sender.config.rate == 3


def test_it_is_told_where_each_value_came_from(path: Path) -> None:
    stream = load(path, environ={"SPEAD_TRANSPORT_GAINS_RATE": "3", "SPEAD_TRANSPORT_GAINS_URL": "udp://:1?ttl=3"})[
        "gains"
    ]
    assert stream.explain().splitlines() == [
        f"transport         = inproc://gains  ({path}: [gains]: inproc://gains?ring_heaps=9)",
        f"stream.max_heaps  = 5  ({path}: [gains])",
        "stream.rate       = 3.0  (SPEAD_TRANSPORT_GAINS_RATE)",
        f"stream.ring_heaps = 9  ({path}: [gains]: inproc://gains?ring_heaps=9)",
    ]
    assert "stream.end                            = all  (default)" in stream.explain(defaults=True)
    assert f"stream.max_heaps=5 ({path}: [gains])" in repr(stream)
    assert "inproc://other" in stream.at("inproc://other").explain()


def test_options_of_a_transport_that_is_replaced_have_no_effect(path: Path) -> None:
    """So a stream can be pointed elsewhere without touching its file; mistakes are told all the same."""
    stream = load(path, environ={"SPEAD_TRANSPORT_VISIBILITIES_LOOP": "no"})["visibilities"].at("inproc://test")
    assert stream.spec.transport == transport_from_url("inproc://test")
    assert stream.spec.settings.rate == 1.25e9
    with pytest.raises(ValueError, match=r"inproc://test\?ttl=3: unknown option 'ttl'"):
        stream.at("inproc://test?ttl=3").open_receiver()
    config = load(path, environ={"SPEAD_TRANSPORT_VISIBILITIES_LOPP": "no"})
    with pytest.raises(ValueError, match=r"SPEAD_TRANSPORT_VISIBILITIES_LOPP: unknown option 'lopp'; did .* 'loop'"):
        config.unchecked("visibilities").at("inproc://test").open_receiver()


def test_what_is_not_used_need_not_be_installed(path: Path) -> None:
    config = load(path)
    assert list(config) == ["visibilities", "gains", "elsewhere", "later"]
    with pytest.raises(TransportLookupError, match=r"telescope.toml: \[elsewhere\].* the scheme 'ibverbs'"):
        config["elsewhere"]
    stream = config.unchecked("elsewhere").at("inproc://here")
    assert stream.spec.transport == transport_from_url("inproc://here")
    assert "cannot be used" in repr(config.unchecked("elsewhere"))


def test_a_stream_may_get_its_url_later(path: Path) -> None:
    later = load(path)["later"]
    assert later.at("inproc://x").spec.settings.max_heaps == 7
    with pytest.raises(ValueError, match=r"\[later\].*SPEAD_TRANSPORT_LATER_URL: expected a url"):
        later.open_receiver()
    assert load(path, environ={"SPEAD_TRANSPORT_LATER_URL": "inproc://x"})["later"].spec.settings.max_heaps == 7


def test_the_environment_alone_is_enough() -> None:
    environ = {
        "SPEAD_TRANSPORT_BEAM_0_URL": "udp://[ff02::1]:7148",
        "SPEAD_TRANSPORT_BEAM_0_UDP__MAX_PACKET_SIZE": "2 KiB",
        "SPEAD_TRANSPORT_BEAM_URL": "inproc://beam",
        "SPEAD_TRANSPORT_BEAM_MAX_HEAPS": "6",
        "SPEAD_TRANSPORT_ENGINE": "python",
        "SPEAD_TRANSPORT_REDIRECT": "udp->inproc",
    }
    config = load_config(environ=environ)
    assert list(config) == ["beam", "beam_0"]
    assert config["beam_0"].spec == StreamSpec.from_url("udp://[ff02::1]:7148?udp.max_packet_size=2048")
    assert config["beam"].spec == StreamSpec.from_url("inproc://beam?max_heaps=6")


def test_the_environment_names_the_file(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(CONFIG_VARIABLE, str(path))
    monkeypatch.setenv("SPEAD_TRANSPORT_GAINS_RATE", "3")
    assert load_config()["gains"].spec.settings.rate == 3
    monkeypatch.delenv(CONFIG_VARIABLE)
    assert "gains" not in load_config()


def test_streams_may_be_part_of_a_larger_file(path: Path) -> None:
    path.write_text('[tool.spead.a]\nurl = "inproc://a"\n[tool.other]\nx = 1\n')
    config = load_config(path, table="tool.spead", environ={})
    assert list(config) == ["a"]
    assert config["a"].spec.sources["url"] == f"{path}: [tool.spead.a]: inproc://a"
    with pytest.raises(ValueError, match=r"there is no table \[tool.spaed\]"):
        load_config(path, table="tool.spaed", environ={})
    with pytest.raises(ValueError, match=r"expected a table"):
        load_config(path, table="tool.other", environ={})


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[x\n", "this is not TOML"),
        ("x = 1\n", r"\[x\]: expected a table"),
        ("[x]\nurl = 3\n", r"\[x\]: url: expected text such as"),
        ('[x]\nurl = "udp"\n', r"\[x\]: 'udp': expected a URL"),
        ('[x]\nurl = "uddp://x"\n', r"\[x\]: no installed transport"),
        ('[x]\nurl = "inproc://x"\nrtae = 3\n', r"\[x\]: unknown option 'rtae'; did you mean 'rate'"),
        ('[x]\nurl = "inproc://x"\nrate = "3 ms"\n', r"\[x\]: option 'rate': unknown unit 'ms'"),
        ('[x]\nurl = "inproc://x"\nrate = true\n', r"\[x\]: option 'rate': expected a number"),
        ('[x]\nurl = "inproc://x"\nrate = nan\n', r"\[x\]: option 'rate': expected a number"),
        ('[x]\nurl = "inproc://x"\nmax_heaps = 1.5\n', r"\[x\]: option 'max_heaps': expected a whole number"),
        ('[x]\nurl = "inproc://x"\nmax_heaps = 0\n', r"\[x\]: option 'max_heaps': max_heaps must be at least 1"),
        ('[x]\nurl = "inproc://x"\nend = "both"\n', r"\[x\]: option 'end': 'end' must be in"),
        ('[x]\nurl = "inproc://x"\nrate = 1979-05-27\n', r"\[x\]: rate: expected text, a number.*not a date"),
        ('[x]\nurl = "inproc://x"\nrate = [[1]]\n', r"\[x\]: rate: expected text, a number.*not a list"),
        ('[x]\nurl = "inproc://x"\nstream.rate.x = 1\n', r"\[x\]: stream.rate: expected text, a number.*not a table"),
        ('[x]\nurl = "inproc://x"\nudp.ttl = 1\n', r"'udp' is no part of this stream \(its parts: inproc, stream\)"),
        (
            '[x]\nurl = "inproc://x?rate=3"\nrate = 3\n',
            r"\[x\]: option 'rate' is given in the URL, too",
        ),
        ('[a-b]\n[a_b]\nurl = "inproc://x"\n', r"\[a-b\] and \[a_b\] cannot be told apart in the environment"),
        ('[x]\nurl = "udp://127.0.0.1:1"\nttl = 300\n', r"\[x\]: option 'ttl': 'ttl' must be in"),
    ],
)
def test_mistakes_are_named_with_their_place(path: Path, text: str, message: str) -> None:
    with pytest.raises(ValueError, match=f"^{path}: .*{message}"):
        _ = load(path, text)["x"].spec


@pytest.mark.parametrize(
    ("target", "message"),
    [
        ("no_such_module:Odd", "odd 9 .* is installed but does not load: ModuleNotFoundError"),
        ("tests.config.wrapping:DropTransport", "odd 9 .* has the scheme 'drop', but its entry point says 'odd'"),
        ("tests.config.wrapping:OtherContract", "odd 9 .* was written for version 2 of the transport contract"),
    ],
)
def test_plugins_that_cannot_be_used_are_named_with_the_place(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, target: str, message: str
) -> None:
    info = tmp_path / "odd-9.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: odd\nVersion: 9\n")
    (info / "entry_points.txt").write_text(f"[spead_transport.transports]\nodd = {target}\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    config = load(path, '[x]\nurl = "odd://x"\n[y]\nurl = "inproc://y"\n')
    with pytest.raises(TransportLookupError, match=rf"^{path}: \[x\]: {message}"):
        config["x"]
    assert config["y"].spec.transport == transport_from_url("inproc://y")


def test_bytes_that_are_no_text_are_refused(path: Path) -> None:
    path.write_bytes(b"\xff\xfe")
    with pytest.raises(ValueError, match="this is not TOML"):
        load(path)


def test_a_missing_file_is_the_systems_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError, match="nowhere"):
        load_config(tmp_path / "nowhere.toml")


def test_a_stream_that_does_not_exist_is_told(path: Path) -> None:
    with pytest.raises(UnknownStreamError) as caught:
        load(path)["gain"]
    assert str(caught.value).endswith(
        "there is no stream 'gain'; did you mean 'gains'? (known: visibilities, gains, elsewhere, later)"
    )


@pytest.mark.parametrize(
    ("variable", "value", "message"),
    [
        ("URL", "udp", "SPEAD_TRANSPORT_BEAM_URL: 'udp': expected a URL"),
        (
            "URL",
            "udp://x:1?tll=3",
            r"SPEAD_TRANSPORT_BEAM_URL: udp://x:1\?tll=3: unknown option 'tll'; did you",
        ),
        ("RTAE", "3", "SPEAD_TRANSPORT_BEAM_RTAE: unknown option 'rtae'; did you mean 'rate'"),
        ("RATE", "3 ms", "SPEAD_TRANSPORT_BEAM_RATE: option 'rate': unknown unit 'ms'"),
        ("STREAM__RAT", "3", "SPEAD_TRANSPORT_BEAM_STREAM__RAT: stream: unknown option 'rat'"),
        ("MAX_HEAPS", "3", "SPEAD_TRANSPORT_BEAM_MAX_HEAPS: option 'max_heaps' is given in the URL, too"),
    ],
)
def test_mistakes_in_the_environment_name_the_variable(variable: str, value: str, message: str) -> None:
    environ = {"SPEAD_TRANSPORT_BEAM_URL": "inproc://beam?max_heaps=3", f"SPEAD_TRANSPORT_BEAM_{variable}": value}
    with pytest.raises(ValueError, match=f"^{message}"):
        load_config(environ=environ)["beam"]


def test_secrets_are_in_no_message(drop: str, path: Path) -> None:
    text = '[x]\nurl = "drop+inproc://x"\ntoken = "hush"\nevery = {}\n'
    stream = load(path, text.format(2))["x"]
    for shown in (repr(stream), stream.explain(), repr(stream.specifications), repr(stream.spec)):
        assert "hush" not in shown
    with pytest.raises(ValueError, match="option 'every'") as caught:
        load(path, text.format(0))["x"]
    assert "hush" not in str(caught.value)
    with pytest.raises(ValueError, match="url: expected text") as caught:
        load(path, '[x]\nurl = ["udp://user:hush@host:1"]\n')
    assert "hush" not in str(caught.value)


# ------------------------------------------------------------------------------------------- four faces of one thing

SPECS = st.builds(
    StreamSpec,
    transport=st.sampled_from(
        [
            "udp://239.2.3.4+15:7148,[ff02::1]:7149?ttl=0&loop=no&max_packet_size=1500&interface=eth0",
            "udp://:7148?buffer_size=8MiB&source=10.0.0.1,10.0.0.2",
            "inproc://a,b?max_packets=3&policy=drop-oldest",
            "inproc://q%26a%3Fb%20%23%C3%A9",
        ]
    ).map(transport_from_url),
    settings=st.builds(
        StreamSettings,
        engine=st.sampled_from(["", "python", "native,python"]),
        max_heaps=st.integers(1, 2**70),
        max_packet_size=st.sampled_from([1472, 1500, 8192, 9200, 8_000_001]),
        rate=st.floats(0, 1e300) | st.sampled_from([1.25e9, 125.0, 1e-9]),
        rate_method=st.sampled_from(send.RateMethod),
        end=st.sampled_from(["all", "any"]),
        contiguous_only=st.booleans(),
    ),
)


@settings(max_examples=20, deadline=None)
@given(spec=SPECS, name=st.from_regex(r"[a-z]([a-z0-9_. -]*[a-z0-9])?", fullmatch=True))
def test_all_faces_say_the_same(spec: StreamSpec, name: str) -> None:
    """attrs class -> TOML -> attrs class -> environment -> attrs class -> URL -> attrs class."""
    table = tomllib.loads(to_toml(spec, name))[name]
    from_toml = merge([specification_of(table, "here")])
    assert from_toml == spec
    variable_name = "".join(character if character.isascii() and character.isalnum() else "_" for character in name)
    from_environment = load_config(environ=to_environment(from_toml, name)).unchecked(variable_name)
    assert from_environment.spec == spec
    assert StreamSpec.from_url(from_environment.spec.to_url()) == spec


def test_toml_is_written_for_people(drop: str) -> None:
    spec = StreamSpec.from_url(
        "drop+udp://[ff02::1]:7148?every=3&rate=1.25e9&max_heap_size=8388608&buffer_size=1000&loop=no"
        "&stream.max_packet_size=8192"
    )
    assert to_toml(spec, "the visibilities") == (
        '["the visibilities"]\n'
        'url = "drop+udp://[ff02::1]:7148"\n'
        "every = 3\n"
        'stream.max_packet_size = "8 KiB"\n'
        "loop = false\n"
        "buffer_size = 1000\n"
        'rate = "10 Gbit/s"\n'
        'max_heap_size = "8 MiB"\n'
    )
