"""The schema says the same as the reader of files."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path
from typing import Any

import jsonschema
import pytest

from spead_transport.config import json_schema, load_config


@pytest.fixture
def validator(drop: str) -> Any:
    schema = json.loads(json.dumps(json_schema()))
    jsonschema.Draft202012Validator.check_schema(schema)
    return jsonschema.Draft202012Validator(schema)


@pytest.mark.parametrize(
    ("text", "good"),
    [
        ('url = "udp://239.2.3.4+15:7148"\nttl = 4\nrate = "10 Gbit/s"\nengine = ["python", "native"]', True),
        ('url = "udp://239.2.3.4:7148"\nudp.ttl = 4\nstream.rate = 3', True),
        ('url = "inproc://x"\npolicy = "error"\nmax_packets = "3"', True),
        ('url = "drop+udp://127.0.0.1:1"\nevery = 3\nttl = 3\ndrop.max_packet_size = "3 kB"', True),
        ('url = "inproc://x"\ncontiguous_only = false\nrate_method = "sw"', True),
        ('url = "inproc://x"\ncontiguous_only = "no"', True),
        ("max_heaps = 3", True),
        ('url = "ibverbs,udp://127.0.0.1:1"\nttl = 3\nibverbs.comp_vector = 3', True),
        ('url = "udp,inproc://127.0.0.1:1"\nttl = "often"', False),
        ('url = "inproc://x"\nttl = 4', False),
        ('url = "udp://127.0.0.1:1"\nevery = 4', False),
        ('url = "udp://127.0.0.1:1"\nudp.tll = 4', False),
        ('url = "inproc://x"\npolicy = "never"', False),
        ('url = "inproc://x"\nrate_method = "soft"', False),
        ('url = "inproc://x"\nmax_heaps = [3, 4]', False),
        ('url = "inproc://x"\nmax_heaps = "many"', False),
        ('url = "inproc://x"\ncontiguous_only = "perhaps"', False),
        ('url = "inproc"', False),
        ("url = 3", False),
    ],
)
def test_schema_and_reader_agree(validator: Any, tmp_path: Path, text: str, good: bool) -> None:
    path = tmp_path / "streams.toml"
    path.write_text(f"[x]\n{text}\n")
    assert validator.is_valid(tomllib.loads(path.read_text())) == good
    if good:
        _ = load_config(path, environ={})["x"]
    else:
        with pytest.raises(ValueError, match=r"streams\.toml"):
            _ = load_config(path, environ={})["x"]


def test_secrets_have_no_default_in_it(validator: Any) -> None:
    options = validator.schema["$defs"]["drop.options"]["properties"]
    assert "default" not in options["token"]
    assert options["every"]["default"] == 2
    assert "multiple of this" in options["every"]["description"]
