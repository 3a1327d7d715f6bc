"""``launcher.json`` and Tor Browser's variables: what is taken, and each mistake's message."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from namecoin_launcher import settings
from namecoin_launcher.settings import Settings
from namecoin_resolver.settings import SettingsError


def test_without_a_file_it_is_mainnet(tmp_path: Path) -> None:
    assert settings.read(tmp_path / "launcher.json") == Settings()


def test_every_key(tmp_path: Path) -> None:
    content = {
        "chain": "regtest",
        "server": "127.0.0.1:50001:t",
        "oneserver": True,
        "allow_ip": True,
        "daemon_timeout": 30,
        "lookup_timeout": 2.5,
    }
    file = tmp_path / "launcher.json"
    file.write_text(json.dumps(content))
    assert settings.read(file) == Settings(**content)  # type: ignore[arg-type]
    assert set(content) == set(Settings.__slots__)
    assert all(f"``{key}``" in (settings.__doc__ or "") for key in content)


SECONDS = "expected a number of seconds, at most"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("[]", "launcher.json: expected a JSON object"),
        ("{", "launcher.json: expected a JSON object"),
        ("\ufffe", "launcher.json: expected a JSON object"),
        (
            '{"rpcpassword": "x"}',
            "launcher.json: rpcpassword: expected one of chain, server, oneserver, allow_ip, daemon_timeout, lookup_timeout",
        ),
        ('{"chain": "main"}', 'launcher.json: chain: expected one of mainnet, testnet, regtest, found "main"'),
        ('{"chain": []}', "launcher.json: chain: expected one of mainnet, testnet, regtest, found []"),
        (
            '{"server": "example.org"}',
            'launcher.json: server: expected a string such as "example.org:50002:s", found "example.org"',
        ),
        ('{"oneserver": 1}', "launcher.json: oneserver: expected true or false, found 1"),
        ('{"oneserver": true}', "launcher.json: oneserver: expected a server, too"),
        ('{"allow_ip": null}', "launcher.json: allow_ip: expected true or false, found null"),
        ('{"daemon_timeout": true}', f"launcher.json: daemon_timeout: {SECONDS} 600, found true"),
        ('{"daemon_timeout": 0}', f"launcher.json: daemon_timeout: {SECONDS} 600, found 0"),
        ('{"lookup_timeout": 101}', f"launcher.json: lookup_timeout: {SECONDS} 100, found 101"),
        ('{"lookup_timeout": NaN}', f"launcher.json: lookup_timeout: {SECONDS} 100, found NaN"),
    ],
)
def test_mistakes(tmp_path: Path, text: str, message: str) -> None:
    file = tmp_path / "launcher.json"
    file.write_text(text)
    with pytest.raises(SettingsError) as caught:
        settings.read(file)
    assert str(caught.value) == message


def test_a_file_that_cannot_be_read(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match=r"^launcher\.json: cannot be read: Is a directory$"):
        (tmp_path / "launcher.json").mkdir()
        settings.read(tmp_path / "launcher.json")


@pytest.mark.parametrize(
    ("environ", "proxy"),
    [
        ({}, "socks5:127.0.0.1:9150"),
        ({"TOR_SOCKS_PORT": "9050"}, "socks5:127.0.0.1:9050"),
        ({"TOR_SOCKS_HOST": "10.0.0.1", "TOR_SOCKS_PORT": ""}, "socks5:10.0.0.1:9150"),
        ({"TOR_SOCKS_PORT": "9050", "TOR_SOCKS_IPC_PATH": "/run/tor"}, "socks5:127.0.0.1:9050"),
    ],
)
def test_the_proxy_is_tors(environ: dict[str, str], proxy: str) -> None:
    assert settings.proxy(environ) == proxy


@pytest.mark.parametrize(
    ("environ", "message"),
    [
        ({"TOR_SOCKS_PORT": "0"}, "TOR_SOCKS_PORT: expected a number from 1 to 65535, found 0"),
        ({"TOR_SOCKS_PORT": "9150:x"}, "TOR_SOCKS_PORT: expected a number from 1 to 65535, found 9150:x"),
        ({"TOR_SOCKS_HOST": "::1"}, "TOR_SOCKS_HOST: expected a host name or an IPv4 address, found ::1"),
        ({"TOR_SOCKS_IPC_PATH": "/x"}, "TOR_SOCKS_IPC_PATH: expected TOR_SOCKS_PORT: only TCP is spoken here"),
    ],
)
def test_a_proxy_that_cannot_be_used(environ: dict[str, str], message: str) -> None:
    with pytest.raises(SettingsError) as caught:
        settings.proxy(environ)
    assert str(caught.value) == message
