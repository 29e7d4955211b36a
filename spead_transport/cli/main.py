"""The command line, and what all commands have in common: clear errors and exit codes.

0 is success, 1 means that something is wrong with what the command looked at, 2 that the command line is.
"""

from __future__ import annotations

import click

from .. import tools
from ..config import json_schema
from .checking import check
from .listing import transports
from .output import print_json
from .scaffold import new_transport

__all__ = ["main"]


class _Commands(click.Group):
    """Commands whose expected failures are messages, not tracebacks."""

    def invoke(self, ctx: click.Context) -> object:
        try:
            return super().invoke(ctx)
        except BrokenPipeError:
            raise  # who reads our output has seen enough, as in "| head"
        except (ValueError, OSError) as error:
            raise click.ClickException(str(error)) from error


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(package_name="spead-transport", prog_name="spead-transport")
def main() -> None:
    """Send and receive SPEAD streams over any transport, chosen by configuration."""


@main.group(name="config")
def config_group() -> None:
    """Check configuration files of streams."""


@config_group.command()
def schema() -> None:
    """Print the JSON Schema of configuration files.

    It knows the options of the transports that are installed. Editors complete and check files by it.
    """
    print_json(json_schema())


config_group.add_command(check)
for _command in (transports, new_transport, tools.send, tools.recv, tools.bench):
    main.add_command(_command)
