"""Settings: where they come from, and which comes first."""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from namecoin_resolver import settings
from namecoin_resolver.rpc import Endpoint
from namecoin_resolver.settings import Settings, SettingsError


def write(path: Path, content: object, mode: int = 0o600) -> str:
    path.write_text(content if isinstance(content, str) else json.dumps(content))
    path.chmod(mode)
    return str(path)


def test_a_password_is_enough() -> None:
    assert settings.read({}, {"NAMECOIN_RPC_PASSWORD": "p"}) == Settings(Endpoint(8336, "user", "p"), True, 60.0)


def test_the_command_line_comes_first_and_the_file_last(tmp_path: Path) -> None:
    config = write(
        tmp_path / "config", {"rpcport": 1, "rpcuser": "f", "rpcpassword": "f", "proxy": "x", "timeout": "x"}
    )
    assert settings.read({"config": config}, {}) == Settings(Endpoint(1, "f", "f"))
    environ = {"NAMECOIN_RPC_CONFIG": config, "NAMECOIN_RPC_PORT": "2", "NAMECOIN_RPC_USER": "e"}
    assert settings.read({}, environ) == Settings(Endpoint(2, "e", "f"))
    environ["TOR_NS_PLUGIN_OPTIONS"] = r"rpcuser=o;rpcpassword=a\;b\=c\\d;timeout=5;allowip=1"
    assert settings.read({}, environ) == Settings(Endpoint(2, "o", r"a;b=c\d"), False, 5.0)
    assert settings.read({"rpcport": "3", "timeout": "7"}, environ) == Settings(
        Endpoint(3, "o", r"a;b=c\d"), False, 7.0
    )


@pytest.mark.parametrize(
    ("arguments", "environ", "message"),
    [
        ({}, {}, "no RPC password: set NAMECOIN_RPC_PASSWORD, or name the daemon's config file"),
        ({"rpcport": "x"}, {"NAMECOIN_RPC_PASSWORD": "p"}, "rpcport: expected a number from 1 to 65535, found x"),
        (
            {"rpcport": "65536"},
            {"NAMECOIN_RPC_PASSWORD": "p"},
            "rpcport: expected a number from 1 to 65535, found 65536",
        ),
        ({"timeout": "0"}, {"NAMECOIN_RPC_PASSWORD": "p"}, "timeout: expected a number from 1 to 3600, found 0"),
        ({}, {"TOR_NS_PLUGIN_OPTIONS": "timeout"}, "TOR_NS_PLUGIN_OPTIONS: expected key=value;key=value"),
        ({}, {"TOR_NS_PLUGIN_OPTIONS": "=5"}, "TOR_NS_PLUGIN_OPTIONS: expected key=value;key=value"),
        (
            {},
            {"TOR_NS_PLUGIN_OPTIONS": "url=x"},
            "TOR_NS_PLUGIN_OPTIONS: url: expected one of rpcport, rpcuser, rpcpassword, config, timeout, allowip",
        ),
        (
            {},
            {"TOR_NS_PLUGIN_OPTIONS": "allowip=yes", "NAMECOIN_RPC_PASSWORD": "p"},
            "allowip: expected 0 or 1, found yes",
        ),
    ],
)
def test_what_cannot_be_used(arguments: dict[str, str], environ: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings.read(arguments, environ)
    assert str(caught.value) == message


def test_files_that_cannot_be_used(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"absent: No such file or directory$"):
        settings.config_file(tmp_path / "absent")
    for content in ("", "[]", "{", "[" * 100000, "\udcff"):
        path = tmp_path / "broken"
        path.write_bytes(content.encode(errors="surrogateescape"))
        path.chmod(0o600)
        with pytest.raises(SettingsError, match=r"broken: expected a JSON object$"):
            settings.config_file(path)


@pytest.mark.skipif(os.name != "posix", reason="only POSIX has modes of files")
def test_a_file_that_others_can_read_is_refused(tmp_path: Path) -> None:
    for mode in (0o640, 0o604, 0o620):
        with pytest.raises(SettingsError, match="others can read it, and a password stands there: chmod 600"):
            settings.config_file(Path(write(tmp_path / "config", {"rpcpassword": "p"}, mode)))


@given(st.dictionaries(st.text(min_size=1), st.text()))
def test_options_come_back_as_they_were_escaped(options: dict[str, str]) -> None:
    def escaped(text: str) -> str:
        return "".join("\\" + char if char in ":;=\\" else char for char in text)

    text = ";".join(f"{escaped(key)}={escaped(value)}" for key, value in options.items())
    assert settings.plugin_options(text) == options


@pytest.mark.parametrize(
    ("versions", "expected"), [(None, True), ("1", True), ("2, 1,x", True), ("", False), ("2", False), ("11", False)]
)
def test_versions(versions: str | None, expected: bool) -> None:
    assert settings.supports(versions) is expected
