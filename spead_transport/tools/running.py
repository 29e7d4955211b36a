"""How the tools start, are interrupted, show progress, and fail."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable, Coroutine, Iterator
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Final

import click
from rich.console import Console
from rich.live import Live
from rich.logging import RichHandler
from rich.text import Text

__all__ = ["give_up_on_errors", "log_to_stderr", "progress", "run"]

_SIGNALS: Final = (signal.SIGINT, signal.SIGTERM)
_stderr: Final = Console(stderr=True)


def log_to_stderr(level: str) -> None:
    """Show log messages of `level` and above, on a terminal beside the progress."""
    if _stderr.is_terminal:
        handler: logging.Handler = RichHandler(console=_stderr, show_path=False, show_time=False)
        form = "%(message)s"
    else:
        handler, form = logging.StreamHandler(), "%(levelname)s: %(message)s"
    logging.basicConfig(level=level.upper(), format=form, handlers=[handler])


def progress(text: Callable[[], str]) -> AbstractContextManager[object]:
    """Show what `text` gives, again and again, to whoever looks at a terminal."""
    if not _stderr.is_terminal:
        return nullcontext()
    return Live(get_renderable=lambda: Text(text()), console=_stderr, refresh_per_second=4, transient=True)


def run(work: Coroutine[object, object, None]) -> int:
    """Run `work`, which Ctrl-C and SIGTERM cancel.

    Returns
    -------
    int
        The exit code: 0, or by convention 128 and the number of the signal.
    """
    return asyncio.run(_run(work))


async def _run(work: Coroutine[object, object, None]) -> int:
    task = asyncio.ensure_future(work)
    received: list[int] = []

    def interrupt(number: int) -> None:
        received.append(number)
        task.cancel()

    loop = asyncio.get_running_loop()
    for number in _SIGNALS:
        loop.add_signal_handler(number, interrupt, number)
    try:
        await task
    except asyncio.CancelledError:
        if not received:
            raise
    finally:
        for number in _SIGNALS:
            loop.remove_signal_handler(number)
    return 128 + received[0] if received else 0


@contextmanager
def give_up_on_errors() -> Iterator[None]:
    """Turn the errors that a user can do something about into a message and an exit code: 2 for bad arguments, 1 for
    what the system refuses."""
    try:
        yield
    except (ValueError, TypeError) as error:
        raise click.UsageError(str(error)) from error
    except OSError as error:
        raise click.ClickException(str(error)) from error
