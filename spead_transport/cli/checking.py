"""``spead-transport config check``."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import click

from ..config import Config, load_config
from ..engine import get_engine

__all__ = ["check"]


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--table", default="", metavar="NAME", help="The table that holds the streams': tool.spead, say.")
@click.option("--no-environment", is_flag=True, help="Leave out what SPEAD_TRANSPORT_… variables say.")
@click.option("-v", "--verbose", is_flag=True, help="Print each value and where it came from.")
def check(files: tuple[Path, ...], table: str, no_environment: bool, verbose: bool) -> None:
    """Check every stream of configuration FILES.

    Transports and engines have to be installed here; nothing is opened. Exits with 1 if there is a mistake.
    """
    mistakes = 0
    for file in files:
        try:
            config = load_config(file, table=table, environ={} if no_environment else None)
        except ValueError as error:
            click.echo(f"error: {error}", err=True)
            mistakes += 1
            continue
        mistakes += sum(_check_stream(config, name, verbose) for name in config)
    if mistakes:
        raise click.ClickException(f"{mistakes} mistake{'s' if mistakes > 1 else ''}")


def _check_stream(config: Config, name: str, verbose: bool) -> bool:
    """Whether there is a mistake; it is printed."""
    try:
        spec = config.unchecked(name).spec
        get_engine(spec.settings.engine or None)
    except ValueError as error:
        click.echo(f"error: {error}", err=True)
        return True
    click.echo(f"{name}: {spec.url}")
    if verbose:
        click.echo("\n".join(_indented(spec.explain(defaults=True))))
    return False


def _indented(text: str) -> Iterator[str]:
    return (f"    {line}" for line in text.splitlines())
