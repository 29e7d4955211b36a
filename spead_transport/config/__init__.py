"""Streams that are configured from outside: by a file, by the environment, or by both.

::

    [visibilities]
    url = "udp://239.2.3.4+15:7148"
    interface = "eth0"
    max_heaps = 32

``load_config("telescope.toml")["visibilities"].open_receiver()`` receives them, and with
``SPEAD_TRANSPORT_VISIBILITIES_RING_HEAPS=64`` in the environment, where the file does not say, has a larger ring.
"""

from __future__ import annotations

from .environment import CONFIG_VARIABLE, to_environment
from .named import Config, NamedStream, UnknownStreamError, load_config
from .schema import json_schema
from .toml import to_toml

__all__ = [
    "CONFIG_VARIABLE",
    "Config",
    "NamedStream",
    "UnknownStreamError",
    "json_schema",
    "load_config",
    "to_environment",
    "to_toml",
]
