"""The commands that look at transports and configurations."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import click
import jsonschema
import pytest
from click.testing import CliRunner, Result

from spead_transport.cli import main
from spead_transport.transport import TransportConfig, get_transport_class, known_schemes

GOOD = '[beam]\nurl = "udp://239.2.3.4:7148"\nttl = 4\n[gains]\nurl = "inproc://gains"\n'


def run(*arguments: str | Path) -> Result:
    result = CliRunner(catch_exceptions=False).invoke(main, list(map(str, arguments)))
    assert "Traceback" not in result.output
    return result


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "streams.toml"


def test_a_good_file_is_listed(file: Path) -> None:
    file.write_text(GOOD)
    result = run("config", "check", file)
    assert result.exit_code == 0
    assert result.output == "beam: udp://239.2.3.4:7148?ttl=4\ngains: inproc://gains\n"


def test_verbose_tells_where_values_come_from(file: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file.write_text(GOOD)
    monkeypatch.setenv("SPEAD_TRANSPORT_BEAM_RATE", "8 Mbit/s")
    output = run("config", "check", "--verbose", file).output
    assert f"udp.ttl                               = 4  ({file}: [beam])" in output
    assert "stream.rate                           = 1000000.0  (SPEAD_TRANSPORT_BEAM_RATE)" in output
    assert "stream.max_heaps                      = 4  (default)" in output
    assert "RATE" not in run("config", "check", "--verbose", "--no-environment", file).output


def test_every_mistake_of_every_file_is_told(file: Path, tmp_path: Path) -> None:
    file.write_text(
        '[a]\nurl = "udp://239.2.3.4:7148"\ntll = 4\n[b]\nurl = "inproc://b"\n[c]\nurl = "uddp://x"\n'
        '[d]\nurl = "inproc://d"\nengine = "nothing"\n[e]\nmax_heaps = 4\n'
    )
    other = tmp_path / "other.toml"
    other.write_text("[a\n")
    result = run("config", "check", file, other)
    assert result.exit_code == 1
    assert result.stdout == "b: inproc://b\n"
    for message in (
        f"{file}: [a]: unknown option 'tll'; did you mean 'ttl'?",
        f"{file}: [c]: no installed transport has the scheme 'uddp'",
        "engine=nothing: no engine 'nothing' is installed",
        f"{file}: [e]",
        f"{other}: this is not TOML",
        "Error: 5 mistakes",
    ):
        assert message in result.stderr


def test_streams_in_a_larger_file(file: Path) -> None:
    file.write_text('[tool.spead.a]\nurl = "inproc://a"\n')
    assert run("config", "check", "--table", "tool.spead", file).output == "a: inproc://a\n"
    assert "there is no table [tool.spaed]" in run("config", "check", "--table", "tool.spaed", file).output


def test_secrets_are_not_printed(file: Path) -> None:
    file.write_text('[a]\nurl = "uddp://user:hush@host?token=hush"\n')
    assert "hush" not in run("config", "check", file).output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["config", "check"], "Missing argument 'FILES...'"),
        (["config", "check", "nowhere.toml"], "'nowhere.toml' does not exist"),
        (["confg"], "No such command 'confg'"),
        (["transports", "--yaml"], "No such option"),
    ],
)
def test_a_wrong_command_line_is_told(arguments: list[str], message: str) -> None:
    result = run(*arguments)
    assert result.exit_code == 2
    assert message in result.stderr


def test_the_schema_is_one() -> None:
    schema = json.loads(run("config", "schema").output)
    jsonschema.Draft202012Validator.check_schema(schema)
    assert "ttl" in schema["$defs"]["udp.options"]["properties"]


def test_transports_are_listed_with_their_options() -> None:
    result = run("transports")
    assert result.exit_code == 0
    for scheme in known_schemes():
        assert f"\n{scheme}  (" in f"\n{result.output}"
        config_type: type[TransportConfig] = get_transport_class(scheme).config_type
        for name in config_type.fields():
            assert f"    {name}" in result.output
    assert "yes|no" in result.output
    assert "whole number [bytes]" in result.output


def test_transports_as_json() -> None:
    content = json.loads(run("transports", "udp", "--json").output)
    (udp,) = content["transports"]
    assert (udp["scheme"], udp["distribution"], udp["error"]) == ("udp", "spead-transport", None)
    assert udp["capabilities"]["lossy"] is True
    options = {option["name"]: option for option in udp["options"]}
    assert options["ttl"]["type"] == "whole number or empty"
    assert options["max_packet_size"] | {"help": ""} == {
        "name": "max_packet_size",
        "type": "whole number",
        "unit": "bytes",
        "default": "9200",
        "secret": False,
        "help": "",
    }
    assert {"name": "rate_method", "type": "sw|hw|auto"}.items() <= next(
        option for option in content["stream"] if option["name"] == "rate_method"
    ).items()


def test_a_wrapper_and_its_secrets_are_listed(drop: str) -> None:
    output = run("transports", drop).output
    assert "drop+udp://…" in output
    assert "loses" not in output.partition("every")[0]
    assert "drop-wrapper 3" in output
    assert "secret" in output


def test_a_transport_that_does_not_exist_is_told() -> None:
    result = run("transports", "uddp")
    assert result.exit_code == 1
    assert "did you mean 'udp'?" in result.stderr


def test_a_broken_transport_is_told_and_the_others_listed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    info = tmp_path / "broken-1.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: broken\nVersion: 1\n")
    (info / "entry_points.txt").write_text("[spead_transport.transports]\nbroken = no_such_module:Broken\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    result = run("transports")
    assert result.exit_code == 1
    assert "cannot be used: broken 1 (no_such_module:Broken) is installed but does not load" in result.stdout
    assert "udp://ADDRESS" in result.stdout
    assert "cannot be used: broken" in result.stderr
    described = json.loads(CliRunner().invoke(main, ["transports", "broken", "--json"]).stdout)
    assert "no_such_module" in described["transports"][0]["error"]


def test_every_command_has_help() -> None:
    assert "new-transport" in run("--help").output
    commands = [
        ["config", "check"],
        ["config", "schema"],
        ["transports"],
        ["new-transport"],
        ["send"],
        ["recv"],
        ["bench"],
    ]
    for command in commands:
        result = run(*command, "--help")
        assert result.exit_code == 0
        assert "Usage:" in result.output
    assert isinstance(main, click.Group)
    assert {command[0] for command in commands} == set(main.commands)


def test_the_command_is_installed() -> None:
    command = Path(sys.executable).with_name("spead-transport")
    result = subprocess.run([command, "--version"], capture_output=True, text=True, check=True, timeout=60)
    assert result.stdout.startswith("spead-transport, version ")


def test_a_reader_that_goes_away_is_no_error() -> None:
    command = f"{Path(sys.executable).with_name('spead-transport')} transports | head -n 1"
    result = subprocess.run(["bash", "-c", command], capture_output=True, text=True, check=True, timeout=60)
    assert result.stderr == ""
