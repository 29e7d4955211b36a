"""The comparison of transports does what it times; how fast is not tested."""

from __future__ import annotations

from multiprocessing import resource_tracker

import pytest

from benchmarks.transports import carry, compare, main


@pytest.mark.parametrize("scheme", ["inproc", "cqueue"])
def test_heaps_are_carried(scheme: str, engine: str) -> None:
    with carry(scheme, engine) as operation:
        operation.run(1)
        operation.run(5)


# It goes on to the end of the program, which is nothing that a test leaves behind.
resource_tracker.ensure_running()


@pytest.mark.parametrize("scheme", ["udp", "shm", "tcp"])
def test_heaps_are_carried_between_processes(scheme: str) -> None:
    with carry(scheme, "python", processes=True) as operation:
        operation.run(5)


def test_what_stays_in_a_process_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main(["--processes", "inproc"])
    assert "inproc does not reach other processes" in capsys.readouterr().err


def test_each_has_its_turn_in_each_round(engine: str) -> None:
    rates = compare(["inproc", "cqueue"], engine, rounds=2, seconds=0.001)
    assert {scheme: len(rounds) for scheme, rounds in rates.items()} == {"inproc": 2, "cqueue": 2}
    assert all(rate > 0 for rounds in rates.values() for rate in rounds)


def test_the_first_is_compared_with_itself(engine: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["inproc", "--rounds=1", "--seconds=0.001", f"--engine={engine}"]) == 0
    assert "1.00" in capsys.readouterr().out
