"""An environment with spead2 built from its source, which then has what its wheel lacks: UDP_SEGMENT and UDP_GRO.

``python -m benchmarks.source_build`` makes it.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Final

__all__ = ["ENVIRONMENT", "PYTHON", "build", "missing"]

_ROOT: Final = Path(__file__).parents[1]
_REQUIREMENTS: Final = _ROOT / "requirements" / "spead2-source.in"
_CONSTRAINTS: Final = _ROOT / "requirements" / "constraints.txt"
ENVIRONMENT: Final = _ROOT / "build" / "spead2-source"
PYTHON: Final = ENVIRONMENT / "bin" / "python"


def missing() -> list[str]:
    """The Debian packages that the build needs and that are not here."""
    return [*_missing()]


def _missing() -> Iterator[str]:
    compiler = os.environ.get("CXX", "c++")
    if shutil.which(compiler) is None:
        yield "g++"
        yield "libboost-dev"
        return
    program = b"#include <boost/asio.hpp>\n"
    command = [compiler, "-E", "-x", "c++", "-", "-o", os.devnull]
    if subprocess.run(command, input=program, capture_output=True).returncode:
        yield "libboost-dev"


def build(environment: Path = ENVIRONMENT) -> None:
    """Make the environment, unless it is there and younger than what it is made from.

    Raises
    ------
    subprocess.CalledProcessError
        If something goes wrong, which is then on the standard error.
    """
    stamp = environment / ".installed"
    if stamp.exists() and stamp.stat().st_mtime >= _REQUIREMENTS.stat().st_mtime:
        return
    python = environment / "bin" / "python"
    shutil.rmtree(environment, ignore_errors=True)
    subprocess.run([sys.executable, "-m", "venv", environment], check=True)
    install = [str(python), "-m", "pip", "install", "-qq", "--disable-pip-version-check"]
    subprocess.run([*install, "-c", str(_CONSTRAINTS), "-r", str(_REQUIREMENTS)], check=True)
    stamp.touch()


def main() -> int:
    """Make it, or say what is missing; that is no error: the comparison goes on without it."""
    packages = missing()
    if packages and not PYTHON.exists():
        sys.stderr.write(
            "spead2 cannot be built from its source here, so the comparison goes on without it. It needs\n"
            f"    apt-get install {' '.join(packages)}\n"
        )
        return 0
    if not (ENVIRONMENT / ".installed").exists():
        sys.stderr.write("building spead2 from its source: some minutes\n")
    build()
    return 0


if __name__ == "__main__":
    sys.exit(main())
