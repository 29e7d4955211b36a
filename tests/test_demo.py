"""The demonstration, with a few heaps, and that it notices what it is there to notice."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import attrs
import numpy as np
import pytest
from demo import digitiser
from demo.__main__ import main
from demo.digitiser import Reading
from demo.spectrum import Spectrum
from demo.streaming import Outcome, Settings, receive, stream

import spead_transport as spead
from spead_transport import send

SETTINGS = Settings(packet_size=8192, rate=50e6)


def ignore(reading: Reading) -> None:
    pass


def readings(count: int) -> list[Reading]:
    return [digitiser.reading(heap) for heap in range(count)]


def test_whole(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--heaps=6", f"--out={tmp_path}"]) == 0
    output = capsys.readouterr().out
    assert output.count("6 of 6") == 3
    assert "every heap arrived, bit by bit" in output
    assert (tmp_path / "spectrum.png").read_bytes().startswith(b"\x89PNG")


def test_tones_are_the_strongest() -> None:
    for polarisation in digitiser.POLARISATIONS:
        spectrum = Spectrum()
        spectrum.add(polarisation.samples(0))
        channel = spectrum.frequencies[1]
        tones = sorted(frequency for frequency, _ in polarisation.tones)
        np.testing.assert_allclose(spectrum.peaks(len(tones)), tones, atol=channel)


def test_stream(engine: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SPEAD_TRANSPORT_ENGINE", engine)
    sent = readings(5)
    seen: list[int] = []
    outcome = stream("inproc://demo", "inproc://demo", sent, SETTINGS, lambda reading: seen.append(reading.timestamp))
    assert outcome.exact
    assert not outcome.losses
    assert seen == [reading.timestamp for reading in sent]
    assert outcome.nbytes == sum(reading.nbytes for reading in sent)


def test_one_wrong_bit_is_noticed() -> None:
    sent = readings(2)
    changed = {name: samples.copy() for name, samples in sent[1].samples.items()}
    changed["samples_h"][1000] ^= 1
    outcome = receive_all(packets(sent), expected=[sent[0], attrs.evolve(sent[1], samples=changed)])
    assert (outcome.heaps, outcome.wrong, outcome.exact) == (2, 1, False)


def test_lost_heap_is_noticed() -> None:
    sent = readings(3)
    outcome = receive_all(packets(sent[:2]), expected=sent)
    assert (outcome.heaps, outcome.wrong, outcome.exact) == (2, 0, False)


def test_lost_packet_is_named() -> None:
    sent = readings(2)
    outcome = receive_all(packets(sent)[:-1], expected=sent)
    assert (outcome.heaps, outcome.wrong, outcome.exact) == (1, 0, False)
    assert outcome.losses == {"incomplete heaps": 1}


def test_lost_descriptors_are_named() -> None:
    sent = readings(2)
    first = packets(sent[:1])
    outcome = receive_all(packets(sent)[len(first) :], expected=sent)
    assert (outcome.heaps, outcome.exact) == (0, False)
    assert outcome.losses == {"heaps before the first descriptors": 1}


def packets(sent: Sequence[Reading]) -> list[bytes]:
    """What goes over the wire, descriptors in the first heap."""
    group = send.ItemGroup(flavour=spead.Flavour(4, 64, digitiser.HEAP_ADDRESS_BITS))
    digitiser.describe(group)
    result: list[bytes] = []
    for cnt, reading in enumerate(sent, 1):
        for name, value in reading.values.items():
            group[name].value = value
        result += send.PacketGenerator(group.get_heap(data="all"), cnt, SETTINGS.packet_size)
    return result


def receive_all(arriving: Sequence[bytes], expected: Sequence[Reading]) -> Outcome:
    """What the receiver says of these packets."""
    queue = spead.InprocQueue()
    for packet in arriving:
        queue.add_packet(packet)
    queue.stop()
    with spead.recv.Stream() as receiver:
        receiver.add_inproc_reader(queue)
        return receive(receiver, expected, ignore)
