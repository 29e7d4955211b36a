"""``spead-transport new-transport``: a complete distribution, to be changed into one's own."""

from __future__ import annotations

import keyword
import re
from importlib.metadata import version
from importlib.resources import files
from pathlib import Path
from string import Template
from typing import Final

import click

from ..transport import CONTRACT_VERSION, known_schemes

__all__ = ["new_transport"]

_SCHEME: Final = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*")
#: Where each template goes.
_FILES: Final = {
    "pyproject.toml.in": "pyproject.toml",
    "README.md.in": "README.md",
    "src/__init__.py.in": "src/$package/__init__.py",
    "src/py.typed.in": "src/$package/py.typed",
    "tests/test_conformance.py.in": "tests/test_conformance.py",
    "tests/test_transport.py.in": "tests/test_$module.py",
    "workflows/ci.yml.in": ".github/workflows/ci.yml",
}


@click.command("new-transport")
@click.argument("name")
@click.option(
    "--directory",
    type=click.Path(file_okay=False, path_type=Path),
    help="Where to put it, instead of ./spead-transport-NAME.",
)
def new_transport(name: str, directory: Path | None) -> None:
    """Begin a transport of your own, for URLs such as NAME://…

    Makes a distribution that is complete and works: code with types, an entry point, tests that run the conformance
    suite, and a file for CI. Then put your own medium in its place.
    """
    if not _SCHEME.fullmatch(name) or keyword.iskeyword(name):
        raise click.BadParameter(
            f"expected small letters, digits and single hyphens, beginning with a letter, not {name!r}",
            param_hint="NAME",
        )
    if name in known_schemes():
        raise click.BadParameter(f"an installed transport has the scheme {name!r} already", param_hint="NAME")
    names = _names(name)
    directory = Path(names["distribution"]) if directory is None else directory
    if directory.exists() and any(directory.iterdir()):
        raise click.ClickException(f"{directory} exists and is not empty; choose another --directory")
    _write(directory, names)
    click.echo(f"made {directory}; next:\n")
    click.echo(f"    cd {directory}\n    pip install -e '.[dev]'\n    pytest && mypy && pyright")


def _names(scheme: str) -> dict[str, str]:
    """What stands for the names in the templates."""
    words = "".join(word.capitalize() for word in scheme.split("-"))
    module = scheme.replace("-", "_")
    return {
        "scheme": scheme,
        "module": module,
        "package": f"spead_transport_{module}",
        "distribution": f"spead-transport-{scheme}",
        "class_name": f"{words}Transport",
        "config_name": f"{words}Config",
        "sender_name": f"{words}Sender",
        "receiver_name": f"{words}Receiver",
        "contract": str(CONTRACT_VERSION),
        "version": version("spead-transport"),
    }


def _write(directory: Path, names: dict[str, str]) -> None:
    templates = files("spead_transport.cli") / "template"
    for source, target in _FILES.items():
        path = directory / Template(target).substitute(names)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(Template((templates / source).read_text("utf-8")).substitute(names), "utf-8")
