"""Receive a digitiser's stream from spead2 over UDP, then send and receive the same over inproc and udp.

Prints what arrived and draws its spectrum. The exit code is 0 if every heap arrived, bit by bit.
"""

from __future__ import annotations

import argparse
import select
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Final
from urllib.parse import urlsplit

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeElapsedColumn, TransferSpeedColumn
from rich.table import Table

import spead_transport as spead
from spead_transport.engine import get_engine

from . import digitiser
from .digitiser import Reading
from .spectrum import plot
from .streaming import RING, Outcome, Settings, Watch, receive, stream

_HOST: Final = "127.0.0.1"
#: How long the spead2 process may take until it sends, and to end after its last packet, in seconds.
_START_PATIENCE: Final = 60.0
_EXIT_PATIENCE: Final = 10.0
_PACKAGE_FOLDER: Final = Path(__file__).parent.parent


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the demonstration; returns the exit code."""
    options = _parser().parse_args(arguments)
    console = Console(width=None if sys.stdout.isatty() else 110)
    try:
        outcomes, received = _run(options, console)
    except KeyboardInterrupt:
        console.print("interrupted")
        return 130
    path = options.out / "spectrum.png"
    plot(received, f"What {len(received)} heaps from spead2 carried over UDP", path)
    console.print(_table(outcomes))
    console.print(f"spectrum: {path}", soft_wrap=True)
    exact = all(outcome.exact for outcome in outcomes)
    console.print("every heap arrived, bit by bit" if exact else "[bold red]not every heap arrived bit by bit[/]")
    return 0 if exact else 1


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="demo", description=__doc__)
    parser.add_argument("--heaps", type=_at_least(1), default=48, help="how many heaps each stream has (%(default)s)")
    parser.add_argument(
        "--packet-size", type=_at_least(256), default=8192, help="bytes, SPEAD header included (%(default)s)"
    )
    parser.add_argument(
        "--rate", type=_at_least(1), default=25, help="MB/s over UDP, which loses what comes too fast (%(default)s)"
    )
    parser.add_argument("--out", type=Path, default=Path("out"), help="folder for the picture (%(default)s)")
    return parser


def _at_least(minimum: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        value = int(text)
        if value < minimum:
            raise argparse.ArgumentTypeError(f"{value} is less than {minimum}")
        return value

    return number


def _run(options: argparse.Namespace, console: Console) -> tuple[list[Outcome], list[Reading]]:
    """What became of each stream, and what came from spead2."""
    settings = Settings(options.packet_size, options.rate * 1e6)
    received: list[Reading] = []
    with _progress(console) as progress:
        task = progress.add_task("computing", total=None)
        readings = [digitiser.reading(heap) for heap in range(options.heaps)]
        progress.remove_task(task)

        with _watching(progress, "spead2 over udp", readings) as watch:

            def watch_and_keep(reading: Reading) -> None:
                received.append(reading)
                watch(reading)

            outcomes = [_receive_from_spead2(readings, settings, watch_and_keep)]
        port = _free_port()
        for url in ("inproc://demo", f"udp://{_HOST}:{port}"):
            with _watching(progress, url, readings) as watch:
                outcomes.append(stream(url, url, readings, settings, watch))
    return outcomes, received


def _progress(console: Console) -> Progress:
    return Progress(
        TextColumn("{task.description:<22}"),
        BarColumn(),
        DownloadColumn(),
        TransferSpeedColumn(),
        TimeElapsedColumn(),
        console=console,
    )


@contextmanager
def _watching(progress: Progress, description: str, readings: Sequence[Reading]) -> Iterator[Watch]:
    """A bar that moves on with each reading."""
    task = progress.add_task(description, total=sum(reading.nbytes for reading in readings))
    yield lambda reading: progress.advance(task, reading.nbytes)
    progress.stop_task(task)


def _receive_from_spead2(readings: Sequence[Reading], settings: Settings, watch: Watch) -> Outcome:
    with (
        spead.open_receiver(f"udp://{_HOST}:0", ring_config=RING) as receiver,
        _spead2_sender(receiver.urls[0], len(readings), settings) as sender,
    ):
        outcome = receive(receiver, readings, watch)
        code = sender.wait(_EXIT_PATIENCE)
    if code != 0:
        raise RuntimeError(f"the spead2 process ended with exit code {code}")
    return outcome


@contextmanager
def _spead2_sender(url: str, heaps: int, settings: Settings) -> Iterator[subprocess.Popen[bytes]]:
    """The process that sends with spead2, once it is ready to; it is gone when the context is left."""
    module = f"{__package__}.spead2_sender"
    command = [sys.executable, "-m", module, _HOST, str(urlsplit(url).port), f"--heaps={heaps}"]
    command += [f"--packet-size={settings.packet_size}", f"--rate={settings.rate}"]
    with subprocess.Popen(
        command,
        cwd=_PACKAGE_FOLDER,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        start_new_session=True,  # Ctrl-C is for this process, which then ends that one
    ) as process:
        try:
            _wait_until_ready(process)
            yield process
        finally:
            process.kill()  # does nothing to a process that has ended


def _wait_until_ready(process: subprocess.Popen[bytes]) -> None:
    assert process.stdout is not None
    readable, _, _ = select.select([process.stdout], [], [], _START_PATIENCE)
    if not readable:
        raise RuntimeError(f"the spead2 process was not ready within {_START_PATIENCE:g} seconds")
    if not process.stdout.readline():
        raise RuntimeError(
            f"the spead2 process ended with exit code {process.wait(_EXIT_PATIENCE)} instead of sending"
        )


def _free_port() -> int:
    """A UDP port that nobody uses now: both ends of a stream must be told."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as probe:
        probe.bind((_HOST, 0))
        port: int = probe.getsockname()[1]
        return port


def _table(outcomes: Sequence[Outcome]) -> Table:
    table = Table(title=f"Streams of a digitiser, received with the {get_engine().name} engine")
    for heading in ("from", "transport"):
        table.add_column(heading)
    for heading in ("heaps", "bytes", "MB/s", "wrong"):
        table.add_column(heading, justify="right")
    table.add_column("lost, by reason")
    senders = ["spead2", *["spead_transport"] * (len(outcomes) - 1)]
    for sender, outcome in zip(senders, outcomes, strict=True):
        table.add_row(
            sender,
            outcome.transport,
            f"{outcome.heaps} of {outcome.expected}",
            f"{outcome.nbytes:,}",
            f"{outcome.rate / 1e6:.1f}",
            str(outcome.wrong),
            _describe_losses(outcome),
        )
    return table


def _describe_losses(outcome: Outcome) -> str:
    lost = outcome.expected - outcome.heaps
    reasons = ", ".join(f"{reason}: {count}" for reason, count in outcome.losses.items())
    if not lost:
        return reasons or "none"
    return f"{lost} heaps ({reasons or 'nobody saw a packet of them'})"


if __name__ == "__main__":
    sys.exit(main())
