"""The benchmark's parts in C: made by the compiler when they are first asked for."""

from __future__ import annotations

import ctypes
import os
import subprocess
from functools import lru_cache
from pathlib import Path
from typing import Final

__all__ = ["FOLDER", "NoCompilerError", "build", "load"]

_SOURCES: Final = Path(__file__).parent
#: Where they are kept.
FOLDER: Final = _SOURCES.parent / "build" / "benchmarks"


class NoCompilerError(RuntimeError):
    """There is no C compiler, or it refused the program."""


def build(name: str, folder: Path = FOLDER) -> Path:
    """Compile the program of that name into a library in a folder, unless that was done already.

    Raises
    ------
    NoCompilerError
        If that does not work.
    """
    source = _SOURCES / f"{name}.c"
    library = folder / f"{name}.so"
    if library.exists() and library.stat().st_mtime >= source.stat().st_mtime:
        return library
    folder.mkdir(parents=True, exist_ok=True)
    fresh = library.with_suffix(f".{os.getpid()}")  # whoever reads the library never sees half of it
    compiler = os.environ.get("CC", "cc")
    command = [compiler, "-O3", "-Wall", "-Wextra", "-Werror", "-fPIC", "-shared", "-pthread", str(source)]
    try:
        subprocess.run([*command, "-o", str(fresh)], check=True, capture_output=True, text=True)
    except FileNotFoundError:
        raise NoCompilerError(f"there is no C compiler {compiler!r}: apt-get install gcc, or set CC") from None
    except subprocess.CalledProcessError as error:
        raise NoCompilerError(f"{compiler} does not compile {source.name}:\n{error.stderr}") from None
    fresh.replace(library)
    return library


@lru_cache
def load(name: str) -> ctypes.CDLL:
    """The library of that name.

    Raises
    ------
    NoCompilerError
        If it is not there and cannot be made.
    """
    return ctypes.CDLL(str(build(name)))
