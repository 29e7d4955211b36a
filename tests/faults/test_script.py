from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st
from spead_transport_faults import FaultsConfig, Ranges, Rule, Script, Windows


@pytest.mark.parametrize(
    ("text", "canonical"),
    [
        ("drop packet 3 of heap 17", "drop packets 3 of heaps 17"),
        ("drop packets 3-5,8 of heaps 17-20", "drop packets 3-5,8 of heaps 17-20"),
        ("drop packet 1000", "drop packets 1000"),
        ("drop packets 10-", "drop packets 10-"),
        ("drop heap 4", "drop every packet of heaps 4"),
        ("corrupt every packet of every heap", "corrupt every packet of every heap"),
        ("duplicate last packet of heaps 1,3", "duplicate last packet of heaps 1,3"),
        ("truncate packet 2", "truncate packets 2"),
        ("truncate packet 2 to 20 bytes", "truncate packets 2 to 20 bytes"),
        ("truncate packet 2 to 1 byte", "truncate packets 2 to 1 bytes"),
        ("delay packet 2 by 50 ms", "delay packets 2 by 0.05 s"),
        ("hold  packet 2 of heap 5 for 3 packets", "hold packets 2 of heaps 5 for 3 packets"),
    ],
)
def test_statements(text: str, canonical: str) -> None:
    rule = Rule.parse(text)
    assert str(rule) == canonical
    assert Rule.parse(canonical) == rule


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("lose packet 3", "actions: drop, duplicate, corrupt, truncate, delay, hold"),
        ("drop packet three", "expected 'drop packet 3 of heap 17'"),
        ("drop packet 3 of", "expected 'drop packet 3 of heap 17'"),
        ("drop packet 0", "packets are counted from 1"),
        ("drop packet 0-3", "packets are counted from 1"),
        ("drop packet 5-3", "ends before it begins"),
        ("drop last packet", "last packet of heap 3"),
        ("drop packet 3 by 5 ms", "drop takes no amount"),
        ("delay packet 3", "delay needs an amount, such as 'by 50 ms'"),
        ("delay packet 3 for 50 ms", "it is delay … by 50 ms"),
        ("delay packet 3 by -1 s", "0 or more"),
        ("delay packet 3 by 5 bytes", "unknown unit 'bytes'"),
        ("hold packet 3 for 0 packets", "at least one packet"),
        ("truncate packet 3 to 5 ms", "expected a number of bytes"),
    ],
)
def test_malformed_statements(text: str, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Rule.parse(text)


def test_script_in_a_url() -> None:
    config = FaultsConfig.from_url("faults://?script=drop packet 3 of heap 17;delay packets 10-20 by 50 ms")
    assert [rule.action for rule in config.script.rules] == ["drop", "delay"]
    assert FaultsConfig.from_url(config.to_url("faults")) == config


def test_message_names_the_statement_and_the_option() -> None:
    with pytest.raises(ValueError, match=r"script.*'drop packet x'"):
        FaultsConfig.from_url("faults://?script=drop packet 1;drop packet x")


_ranges = st.lists(
    st.tuples(st.integers(1, 50), st.integers(0, 9) | st.none()).map(
        lambda pair: (pair[0], None if pair[1] is None else pair[0] + pair[1])
    ),
    min_size=1,
    max_size=4,
).map(lambda parts: Ranges(tuple(parts)))


@given(_ranges)
def test_ranges_and_their_text(ranges: Ranges) -> None:
    assert Ranges.parse(str(ranges)) == ranges


@given(st.lists(st.builds(Rule, action=st.just("drop"), packets=_ranges, heaps=_ranges, within_heap=st.just(True))))
def test_scripts_and_their_text(rules: list[Rule]) -> None:
    script = Script(tuple(rules))
    assert Script.parse(str(script)) == script


@pytest.mark.parametrize(
    ("text", "inside", "outside"),
    [("2s-2.5s", [2.0, 2.4], [1.9, 2.5]), ("1e-3-4e-3,10s-", [0.002, 10, 1e9], [0, 0.005]), ("", [], [0.0, 1.0])],
)
def test_outages(text: str, inside: list[float], outside: list[float]) -> None:
    windows = Windows.parse(text)
    assert all(time in windows for time in inside)
    assert not any(time in windows for time in outside)
    assert Windows.parse(str(windows)) == windows


@pytest.mark.parametrize("text", ["5", "3-2", "2s-2s", "x-y"])
def test_malformed_outages(text: str) -> None:
    with pytest.raises(ValueError, match=r"from-until|before it begins|expected a number"):
        Windows.parse(text)


@pytest.mark.parametrize(
    "option",
    ["loss=1.5", "loss=-0.1", "loss=nan", "bandwidth=0", "delay=-1", "delay=inf", "queue=0", "side=left", "full=x"],
)
def test_options_out_of_range(option: str) -> None:
    with pytest.raises(ValueError, match=option.partition("=")[0]):
        FaultsConfig.from_url(f"faults://?{option}")
