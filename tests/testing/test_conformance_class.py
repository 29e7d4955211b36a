"""The conformance suite as a class to inherit."""

from __future__ import annotations

import unittest
from collections.abc import Callable

import attrs
import pytest
from spead_transport_inproc import InprocTransport

from spead_transport.testing import TransportConformance, TransportUnderTest, checks_for

pytest_plugins = ["pytester"]

_CHECKS = checks_for(InprocTransport.capabilities)


class Modest(InprocTransport):
    """Promises less, so that fewer rules apply."""

    capabilities = attrs.evolve(InprocTransport.capabilities, ordered=False, several_destinations=False)


class Demanding(Modest):
    """Promises everything again."""

    capabilities = InprocTransport.capabilities


def methods_of(kind: type[TransportConformance]) -> dict[str, Callable[..., object]]:
    case = kind()
    found = {name: getattr(case, name) for name in dir(kind) if name.startswith("test_")}
    return {name: test for name, test in found.items() if callable(test)}


def test_there_is_a_test_for_each_rule_that_applies() -> None:
    class Conformance(TransportConformance):
        transport = InprocTransport

    assert set(methods_of(Conformance)) == {f"test_{check.name}" for check in _CHECKS}
    sentence = Conformance.rules["test_wake_ends_a_wait"].sentence
    assert methods_of(Conformance)["test_wake_ends_a_wait"].__doc__ == sentence


def test_a_class_that_inherits_tests_has_those_of_its_own_transport() -> None:
    class Conformance(TransportConformance):
        transport = InprocTransport

        def test_wake_ends_a_wait(self) -> None:
            """Another test in its place."""

    class Less(Conformance):
        transport = Modest

    class More(Less):
        transport = Demanding

    lost = methods_of(Conformance).keys() - methods_of(Less).keys()
    assert "test_order_is_kept_from_batch_to_batch" in lost
    assert methods_of(Less).keys() == {f"test_{check.name}" for check in checks_for(Modest.capabilities)}
    assert methods_of(More).keys() == methods_of(Conformance).keys()
    for kind in (Conformance, Less, More):
        assert methods_of(kind)["test_wake_ends_a_wait"].__doc__ == "Another test in its place."


def test_a_class_without_transport_is_refused() -> None:
    with pytest.raises(TypeError, match="Forgotten does not say what it tests"):
        type("Forgotten", (TransportConformance,), {})


def test_options_and_subjects() -> None:
    class Bounded(TransportConformance):
        transport = InprocTransport
        options = "max_packets=3"

    class Elsewhere(TransportConformance):
        transport = InprocTransport

        def subject(self) -> TransportUnderTest:
            return TransportUnderTest.of("inproc://elsewhere")

    assert Bounded().subject().receiver_url().endswith("?max_packets=3")
    assert Elsewhere().subject().receiver_url() == "inproc://elsewhere"


def test_unittest_runs_it() -> None:
    class Conformance(TransportConformance, unittest.TestCase):
        transport = InprocTransport

    suite = unittest.TestSuite([Conformance("test_wake_ends_a_wait"), Conformance("test_release_is_harmless")])
    result = unittest.TestResult()
    suite.run(result)
    assert result.testsRun == 2
    assert result.wasSuccessful()


def test_a_failure_names_the_sentence_of_the_contract(pytester: pytest.Pytester) -> None:
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile("""
        from spead_transport.testing import TransportConformance
        from spead_transport_inproc import InprocReceiver, InprocTransport

        class Miscounting(InprocReceiver):
            def drops(self):
                return {"lost": 1}

        class Mine(InprocTransport):
            def open_receiver(self):
                receiver = super().open_receiver()
                receiver.__class__ = Miscounting
                return receiver

        class TestMine(TransportConformance):
            transport = Mine
    """)
    result = pytester.runpytest_subprocess("-k", "drops_are_counted or wake_ends")
    result.assert_outcomes(passed=1, failed=1, deselected=len(_CHECKS) - 2)
    result.stdout.fnmatch_lines(
        [
            "*TestMine.test_drops_are_counted_by_reason*",
            "E*inproc fails the check 'drops_are_counted_by_reason'.",
            "E*The contract: Packets that this endpoint saw or knows of and did not hand out, counted by reason.",
            "E*But: {'lost': 1} were dropped*",
        ]
    )
    assert "self.function(subject)" not in result.stdout.str()


@pytest.mark.parametrize(
    ("target", "url"),
    [
        ("inproc", "inproc://*"),
        ("inproc?max_packets=2", "inproc://*?max_packets=2"),
        ("faults+inproc?loss=0.5", "faults+inproc://*?loss=0.5"),
        ("tcp?connect_timeout=1s", "tcp://127.0.0.1:0?max_packet_size=*&connect_timeout=1s"),
        ("udp://127.0.0.1:0", "udp://127.0.0.1:0"),
    ],
)
def test_what_names_a_transport(target: str, url: str) -> None:
    subject = TransportUnderTest.of(target)
    assert str(subject) == target
    before, _, after = url.partition("*")
    assert subject.receiver_url().startswith(before)
    assert subject.receiver_url().endswith(after.rpartition("*")[2])
    assert subject.scheme == url.partition(":")[0].partition("+")[0]
    with subject.pair() as (sender, receiver):
        assert sender.url.partition(":")[0] == receiver.url.partition(":")[0] == url.partition(":")[0]


def test_names_of_no_transport() -> None:
    for target in ("inprok", "inprok://x"):
        with pytest.raises(ValueError, match="did you mean 'inproc'"):
            TransportUnderTest.of(target)
    with pytest.raises(ValueError, match="option 'max_packets'"):
        TransportUnderTest.of("inproc?max_packets=0").open_receiver()
