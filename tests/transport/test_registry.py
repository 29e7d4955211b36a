"""The registry, with distributions made up on ``sys.path`` as an installer would leave them."""

from __future__ import annotations

import itertools
import pickle
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import TypeAlias

import pytest

from spead_transport.errors import TransportError, TransportLookupError
from spead_transport.transport import (
    CONTRACT_VERSION,
    PREFER_VARIABLE,
    Transport,
    get_transport_class,
    installed_transports,
    known_schemes,
    transport_from_url,
)

GOOD = """
import attrs
from spead_transport.transport import Capabilities, Transport, TransportConfig, option

@attrs.frozen
class Config(TransportConfig):
    address: str = option("", "where", address=True)
    size: int = option(1, "how much", unit="bytes")

class Fake(Transport[Config]):
    contract = {contract}
    scheme = "{scheme}"
    config_type = Config
    capabilities = Capabilities(lossy=False, ordered=True, reach="process")

    def open_sender(self):
        raise NotImplementedError

    def open_receiver(self):
        raise NotImplementedError
"""

#: Makes a distribution that provides a scheme: its name, the scheme, the module's source and optionally a version.
Install: TypeAlias = Callable[..., str]

_serial = itertools.count()


def good(scheme: str, contract: int = CONTRACT_VERSION) -> str:
    return GOOD.format(scheme=scheme, contract=contract)


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Install:
    monkeypatch.delenv(PREFER_VARIABLE, raising=False)
    monkeypatch.syspath_prepend(str(tmp_path))

    def install(distribution: str, scheme: str, source: str, version: str = "1.2", attribute: str = "Fake") -> str:
        module = f"made_up_transport_{next(_serial)}"
        (tmp_path / f"{module}.py").write_text(source)
        info = tmp_path / f"{distribution.replace('-', '_')}-{version}.dist-info"
        info.mkdir()
        (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (info / "entry_points.txt").write_text(f"[spead_transport.transports]\n{scheme} = {module}:{attribute}\n")
        return module

    return install


def test_installed_scheme_becomes_a_configured_transport(install: Install) -> None:
    module = install("dist-a", "fake", good("fake"))
    transport = transport_from_url("fake://here?size=8KiB")
    assert type(transport) is get_transport_class("fake")
    assert type(transport).__module__ == module
    assert transport.url == "fake://here?size=8192"


@pytest.mark.parametrize("scheme", ["fake", "FAKE"])
def test_case_of_a_scheme_does_not_matter(install: Install, scheme: str) -> None:
    install("dist-a", "fake", good("fake"))
    assert issubclass(get_transport_class(scheme), Transport)
    assert transport_from_url(f"{scheme}://x") == transport_from_url("fake://x")


def test_nothing_is_imported_before_it_is_asked_for(install: Install) -> None:
    install("dist-a", "fake", good("fake"))
    install("dist-b", "trap", "raise RuntimeError('imported')")
    assert {"fake", "trap"} <= set(known_schemes())
    assert get_transport_class("fake").scheme == "fake"


def test_distribution_that_appears_later_is_found(install: Install) -> None:
    with pytest.raises(TransportLookupError):
        get_transport_class("fake")
    install("dist-a", "fake", good("fake"))
    assert get_transport_class("fake").scheme == "fake"


def test_error_is_in_every_family_and_can_be_pickled() -> None:
    with pytest.raises(TransportLookupError) as caught:
        get_transport_class("nonesuch")
    for family in (ValueError, TransportError, OSError, RuntimeError):
        assert isinstance(caught.value, family)
    again = pickle.loads(pickle.dumps(caught.value))
    assert type(again) is TransportLookupError
    assert str(again) == str(caught.value)


def test_unknown_scheme_lists_the_known_ones_and_what_to_install(install: Install) -> None:
    install("dist-a", "fake", good("fake"))
    with pytest.raises(TransportLookupError, match="no installed transport has the scheme 'faek'") as caught:
        transport_from_url("faek://x")
    message = str(caught.value)
    assert "known: " in message
    assert "fake" in message
    assert "did you mean 'fake'?" in message
    assert "pip install spead-transport-faek" in message


@pytest.mark.parametrize("scheme", ["", "no spaces", "x;y", "1st"])
def test_impossible_scheme_gives_no_hint_to_install(scheme: str) -> None:
    with pytest.raises(TransportLookupError) as caught:
        get_transport_class(scheme)
    assert "pip install" not in str(caught.value)


def test_url_without_scheme_is_a_value_error() -> None:
    with pytest.raises(ValueError, match="expected a URL such as"):
        transport_from_url("127.0.0.1:7148")


def test_options_are_checked(install: Install) -> None:
    install("dist-a", "fake", good("fake"))
    with pytest.raises(ValueError, match=r"unknown option 'sise'; did you mean 'size'\?"):
        transport_from_url("fake://x?sise=3")


# ------------------------------------------------------------------------------------------------------ two providers


@pytest.fixture
def two(install: Install) -> dict[str, str]:
    """Modules of two distributions that provide one scheme."""
    return {
        "dist-b": install("dist-b", "fake", good("fake"), version="2.0"),
        "dist-a": install("dist-a", "fake", good("fake")),
    }


def test_two_providers_are_an_error_that_names_both_and_the_setting(two: dict[str, str]) -> None:
    with pytest.raises(TransportLookupError) as caught:
        get_transport_class("fake")
    message = str(caught.value)
    assert message.index("dist-a 1.2") < message.index("dist-b 2.0")
    assert "prefer={'fake': 'dist-a'}" in message
    assert "SPEAD_TRANSPORT_PREFER=fake:dist-a" in message


@pytest.mark.parametrize("name", ["dist-a", "Dist_A", "dist.a"])
def test_preference_by_argument(two: dict[str, str], name: str) -> None:
    assert get_transport_class("fake", prefer={"fake": name}).__module__ == two["dist-a"]
    assert type(transport_from_url("fake://x", prefer={"fake": "dist-b"})).__module__ == two["dist-b"]


def test_preference_by_environment(two: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(PREFER_VARIABLE, "other:thing, fake:dist-b")
    assert get_transport_class("fake").__module__ == two["dist-b"]
    assert get_transport_class("fake", prefer={"fake": "dist-a"}).__module__ == two["dist-a"]
    assert get_transport_class("fake", prefer={"other": "dist-a"}).__module__ == two["dist-b"]


@pytest.mark.parametrize("text", ["fake", "fake:", ":dist-a", "fake=dist-a", "fake:dist-a,fake:dist-b"])
def test_malformed_environment(two: dict[str, str], monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv(PREFER_VARIABLE, text)
    with pytest.raises(ValueError, match=PREFER_VARIABLE):
        get_transport_class("fake")


def test_preferred_distribution_must_provide_the_scheme(two: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(TransportLookupError, match="prefer=fake:dist-c asks for a distribution") as caught:
        get_transport_class("fake", prefer={"fake": "dist-c"})
    assert "dist-a 1.2" in str(caught.value)
    monkeypatch.setenv(PREFER_VARIABLE, "fake:dist-c")
    with pytest.raises(TransportLookupError, match="SPEAD_TRANSPORT_PREFER=fake:dist-c asks"):
        get_transport_class("fake")


# ---------------------------------------------------------------------------------------------------- broken plugins


def test_broken_plugin_tells_its_own_traceback_and_harms_nobody(install: Install) -> None:
    module = install("dist-a", "broken", "def start():\n    import no_such_module_here\nstart()\n")
    install("dist-b", "fake", good("fake"))
    with pytest.raises(TransportLookupError, match=r"dist-a 1\.2 .* does not load: ModuleNotFoundError") as caught:
        get_transport_class("broken")
    cause = caught.value.__cause__
    assert isinstance(cause, ModuleNotFoundError)
    frames = traceback.extract_tb(cause.__traceback__)
    assert (Path(frames[-1].filename).stem, frames[-1].name) == (module, "start")
    assert get_transport_class("fake").scheme == "fake"


@pytest.mark.parametrize("source", ["assert False", "1 / 0", "x = ("])
def test_whatever_an_import_raises_is_the_cause(install: Install, source: str) -> None:
    install("dist-a", "broken", source)
    with pytest.raises(TransportLookupError, match="does not load") as caught:
        get_transport_class("broken")
    assert isinstance(caught.value.__cause__, AssertionError | ZeroDivisionError | SyntaxError)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        (good("fake", CONTRACT_VERSION + 1), r"written for version 2 .* is version 1(.|\n)*upgrade spead-transport$"),
        (good("fake", CONTRACT_VERSION - 1), r"written for version 0 .* is version 1(.|\n)*upgrade dist-a$"),
        ("class Fake:\n    contract = 99\n", r"version 99 of the transport contract"),
        ("class Fake:\n    contract = 1\n", r"is not a subclass of spead_transport\.transport\.Transport"),
        ("def Fake(): pass", r"is not a subclass of"),
        ("Fake = 3", r"is not a subclass of"),
        (good("other"), r"has the scheme 'other', but its entry point says 'fake'"),
        (good("fake").replace("def open_receiver", "def open_reciever"), r"leaves out open_receiver"),
        (good("fake").replace("    contract = ", "    covenant = "), r"does not state the contract"),
        (good("fake").replace("    scheme = ", "    skheme = "), r"has the scheme None"),
        (good("fake").replace("config_type = Config", "config_type = None"), r"does not state its config_type"),
        (good("fake").replace("    capabilities =", "    abilities ="), r"does not state its capabilities"),
    ],
)
def test_class_that_does_not_keep_the_contract_is_refused_by_name(
    install: Install, source: str, message: str
) -> None:
    module = install("dist-a", "fake", source)
    with pytest.raises(TransportLookupError, match=message) as caught:
        get_transport_class("fake")
    assert f"dist-a 1.2 ({module}:Fake)" in str(caught.value)


def test_missing_attribute_is_a_broken_plugin(install: Install) -> None:
    install("dist-a", "fake", good("fake"), attribute="Absent")
    with pytest.raises(TransportLookupError, match="does not load: AttributeError"):
        get_transport_class("fake")


def test_list_of_installed_transports(install: Install) -> None:
    good_module = install("dist-b", "aaa-fake", good("aaa-fake"), version="3.1")
    bad_module = install("dist-a", "aaa-fake", "1 / 0")
    broken, fine = [entry for entry in installed_transports() if entry.scheme == "aaa-fake"]
    assert (fine.distribution, fine.version, fine.class_path) == ("dist-b", "3.1", f"{good_module}:Fake")
    assert fine.error is None
    assert (broken.distribution, broken.class_path) == ("dist-a", f"{bad_module}:Fake")
    assert isinstance(broken.error, TransportLookupError)
    assert isinstance(broken.error.__cause__, ZeroDivisionError)
