"""The command: ``python -m application spectrometer.toml``."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import spead_transport as spead

from .spectrometer import Spectrometer

__all__ = ["main"]


class _Arguments(argparse.Namespace):
    config: Path
    average: int
    spectra: int | None


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the spectrometer; the exit code."""
    parser = argparse.ArgumentParser(prog="application", description="Average power spectra.")
    parser.add_argument("config", type=Path, help="file with the streams 'samples' and 'spectra'")
    parser.add_argument("--average", type=int, default=4, help="how many heaps make a spectrum")
    parser.add_argument("--spectra", type=int, help="stop after so many")
    given = parser.parse_args(arguments, namespace=_Arguments())
    try:
        streams = spead.load_config(given.config)
        with streams["samples"].open_receiver() as receiver, streams["spectra"].open_sender() as sender:
            spectrometer = Spectrometer(receiver, sender, given.average)
            print(f"receiving at {', '.join(receiver.urls)}, sending to {sender.url}", flush=True)
            spectrometer.run(given.spectra)
    except (ValueError, KeyError, OSError) as error:
        print(f"application: {error}", file=sys.stderr)
        return 1
    print(spectrometer.counts)
    return 0


if __name__ == "__main__":
    sys.exit(main())
