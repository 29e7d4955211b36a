"""The spectrometer over in-process queues, and as it is configured, over UDP."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

import numpy as np
import pytest

import spead_transport as spead
from spead_transport import recv, send

from .__main__ import main
from .arrays import CHANNELS, SAMPLES, Samples, Spectrum, as_spectrum, as_timestamp
from .spectrometer import SAMPLES_ID, TIMESTAMP_ID, Spectrometer

CONFIG: Final = Path(__file__).with_name("spectrometer.toml")
CHANNEL: Final = 300


def tone(amplitude: int) -> Samples:
    """A signal that is all in one channel."""
    samples: Samples = (amplitude * np.sin(2 * np.pi * CHANNEL / SAMPLES * np.arange(SAMPLES))).astype(np.int16)
    return samples


def send_tones(sender: send.SyncStream, count: int) -> None:
    """Heaps of samples, then the end."""
    group = send.ItemGroup(descriptor_frequency=4)
    group.add_item(TIMESTAMP_ID, "timestamp", "Number of the first sample", (), format=[("u", 48)])
    group.add_item(SAMPLES_ID, "samples", "Samples of the signal", (SAMPLES,), dtype="<i2")
    for heap in range(count):
        group["timestamp"].value = heap * SAMPLES
        group["samples"].value = tone(1000)
        sender.send_heap(group.get_heap())
    sender.send_heap(group.get_end())


def received_spectra(receiver: recv.Stream) -> Iterator[tuple[int, Spectrum]]:
    """Each spectrum, and when it ends."""
    group = spead.ItemGroup()
    for heap in receiver:
        assert isinstance(heap, recv.Heap)
        updated = group.update(heap)
        yield as_timestamp(updated["timestamp"]), as_spectrum(updated["spectrum"])


def test_spectra_are_averaged() -> None:
    with (
        spead.open_receiver("inproc://samples") as samples,
        spead.open_sender("inproc://spectra") as spectra,
        spead.open_sender("inproc://samples") as source,
        spead.open_receiver("inproc://spectra") as result,
    ):
        send_tones(source, 9)
        spectrometer = Spectrometer(samples, spectra, average=4)
        spectrometer.run()
        found = list(received_spectra(result))
    assert [timestamp for timestamp, _ in found] == [4 * SAMPLES - 1, 8 * SAMPLES - 1]
    for _, spectrum in found:
        assert spectrum.shape == (CHANNELS,)
        assert int(spectrum.argmax()) == CHANNEL
    assert spectrometer.counts.heaps == 9
    assert spectrometer.counts.spectra == 2


def test_heaps_that_make_no_sense_are_counted(caplog: pytest.LogCaptureFixture) -> None:
    with (
        spead.open_receiver("inproc://samples") as samples,
        spead.open_sender("inproc://spectra") as spectra,
        spead.open_sender("inproc://samples") as source,
        spead.open_receiver("inproc://spectra"),
    ):
        group = send.ItemGroup()
        group.add_item(TIMESTAMP_ID, "timestamp", "", (), format=[("u", 48)], value=5)
        group.add_item(SAMPLES_ID, "samples", "", (3,), dtype="<i2", value=[1, 2, 3])
        source.send_heap(group.get_heap())
        send_tones(source, 1)
        spectrometer = Spectrometer(samples, spectra, average=1)
        spectrometer.run()
    assert spectrometer.counts.bad_heaps == 1
    assert spectrometer.counts.spectra == 1
    assert "expected 4096 samples" in caplog.text


def test_as_configured_but_in_process(spead_inproc: object, capsys: pytest.CaptureFixture[str]) -> None:
    """The file says UDP; the fixture sends that to queues of the same name."""
    streams = spead.load_config(CONFIG)
    with streams["samples"].open_sender() as source, streams["spectra"].open_receiver() as result:
        send_tones(source, 8)
        assert main([str(CONFIG), "--average", "2", "--spectra", "4"]) == 0
        assert len(list(received_spectra(result))) == 4
    assert "spectra=4" in capsys.readouterr().out


def test_over_udp(tmp_path: Path) -> None:
    """A process of its own, at ports that are free."""
    config = tmp_path / "spectrometer.toml"
    with spead.open_receiver("udp://127.0.0.1:0") as result:
        text = (
            CONFIG.read_text()
            .replace("127.0.0.1:7148", "127.0.0.1:0")
            .replace("udp://127.0.0.1:7149", result.urls[0])
        )
        config.write_text(text)
        command = [sys.executable, "-m", "application", str(config), "--average", "1"]
        with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[1]) as process:
            assert process.stdout is not None
            url = re.search(r"udp://\S+(?=,)", process.stdout.readline())
            assert url is not None
            with spead.open_sender(url[0], config=send.StreamConfig(rate=10e6)) as source:
                send_tones(source, 6)
            assert [int(spectrum.argmax()) for _, spectrum in received_spectra(result)] == [CHANNEL] * 6
            assert "heaps=6" in process.stdout.read()
            assert process.wait(30) == 0


def test_an_average_of_nothing_is_refused() -> None:
    with (
        spead.open_receiver("inproc://samples") as samples,
        spead.open_sender("inproc://spectra") as spectra,
        pytest.raises(ValueError, match="at least one heap"),
    ):
        Spectrometer(samples, spectra, average=0)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "samples"),
        ('[samples]\nurl = "udp://127.0.0.1:0"\nmax_heap = 3\n', "max_heap"),
        ('[samples]\nurl = "nonsense://x"\n', "nonsense"),
    ],
)
def test_a_wrong_configuration_is_explained(
    text: str, message: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    config = tmp_path / "wrong.toml"
    config.write_text(text)
    assert main([str(config)]) == 1
    assert message in capsys.readouterr().err
