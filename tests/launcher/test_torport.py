"""The control port: how to be let in, and commands and events on one connection."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest
from namecoin_resolver import torport
from namecoin_resolver.settings import SettingsError
from namecoin_resolver.torport import Address, Connection, TorError

from tests.launcher.test_resolver import run
from tests.launcher.tor_double import Tor


def test_defaults_are_tor_browsers() -> None:
    assert torport.from_environment({}) == Address("127.0.0.1", 9151)
    environ = {
        "TOR_CONTROL_HOST": "::1",
        "TOR_CONTROL_PORT": "9051",
        "TOR_CONTROL_PASSWD": '"x"',
        "TOR_CONTROL_COOKIE_AUTH_FILE": "/c",
    }
    assert torport.from_environment(environ) == Address("::1", 9051, '"x"', "/c")
    assert torport.from_environment(dict.fromkeys(environ, "")) == Address()


@pytest.mark.parametrize("port", ["0", "65536", "x", "9151 "])
def test_a_bad_port_is_refused(port: str) -> None:
    with pytest.raises(SettingsError, match="TOR_CONTROL_PORT: expected a number from 1 to 65535"):
        torport.from_environment({"TOR_CONTROL_PORT": port})


def test_a_password_does_not_show() -> None:
    assert "secret" not in repr(Address(password="secret"))


@pytest.mark.parametrize(
    ("password", "expected"),
    [
        ('"a \\" b"', '"a \\" b"'),
        ("C0ffee", "C0ffee"),
        ("coffee", "636f66666565"),
        ('"open', "226f70656e"),
        ('"a"\r\nQUIT "', "2261220d0a515549542022"),
        ('"a\\\n"', "22615c0a22"),
    ],
)
def test_a_password_is_passed_on_as_tor_browser_does(password: str, expected: str) -> None:
    assert torport.secret(password) == expected


@pytest.mark.parametrize("given", ['it\'s "quoted" \\ é', "plain"])
def test_let_in_by_password(tmp_path: Path, given: str) -> None:
    async def main() -> None:
        async with Tor(tmp_path / "cookie", password=given) as tor:
            port = await asyncio.to_thread(torport.open_port, Address(port=tor.port, password=given))
            port.close()
            with pytest.raises(TorError, match="tor refuses TOR_CONTROL_PASSWD"):
                await asyncio.to_thread(torport.open_port, Address(port=tor.port, password="wrong"))

    run(main())


def test_let_in_by_cookie_that_tor_names_or_we_do(tmp_path: Path) -> None:
    async def main() -> None:
        async with Tor(tmp_path / "cookie") as tor:
            for cookie in (None, str(tmp_path / "cookie")):
                port = await asyncio.to_thread(torport.open_port, Address(port=tor.port, cookie=cookie))
                port.close()
            (tmp_path / "other").write_bytes(bytes(32))
            for cookie in ("other", "missing"):
                with pytest.raises(TorError, match="tor does not let us in"):
                    await asyncio.to_thread(torport.open_port, Address(port=tor.port, cookie=str(tmp_path / cookie)))
            await tor.until(lambda: not tor.clients)

    run(main())


def test_nobody_listens() -> None:
    async def main() -> None:
        server = await asyncio.start_server(lambda reader, writer: None, "127.0.0.1", 0)
        port = server.sockets[0].getsockname()[1]
        server.close()
        await server.wait_closed()
        with pytest.raises(TorError, match=f"127.0.0.1:{port}: tor's control port cannot be reached"):
            await asyncio.to_thread(torport.open_port, Address(port=port))

    run(main())


def test_many_commands_at_once_get_their_own_replies(tmp_path: Path) -> None:
    async def main() -> None:
        async with Tor(tmp_path / "cookie") as tor:
            tor.hook = lambda command: f"250-name={command.split()[1]}\n250 OK" if "GETINFO" in command else None
            connection = Connection(await asyncio.to_thread(torport.open_port, Address(port=tor.port)))
            asked = [asyncio.create_task(connection.command(f"GETINFO {number}")) for number in range(50)]
            connection.post("ATTACHSTREAM 99 0")
            assert [(await task).value("name") for task in asked] == [str(number) for number in range(50)]
            assert (await connection.command("ATTACHSTREAM 99 0")).code == "552"
            await connection.close()
            with pytest.raises(TorError, match="closed"):
                await connection.command("GETINFO version")
            connection.post("GETINFO version")

    run(main())


def test_events_come_in_order_and_each_is_acknowledged(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(torport, "_FILLED", 10)

    async def main() -> None:
        async with Tor(tmp_path / "cookie") as tor:
            events: list[tuple[str, ...]] = []
            connection = Connection(await asyncio.to_thread(torport.open_port, Address(port=tor.port)), events.append)
            assert (await connection.listen("STREAM CONF_CHANGED")).ok
            for number in range(35):
                tor.open(f"{number}.bit:80")
            tor.configure(True)
            await tor.until(lambda: len(events) == 36)
            assert [event[0].split()[4] for event in events[:35]] == [f"{number}.bit:80" for number in range(35)]
            assert events[35] == ("CONF_CHANGED", "__LeaveStreamsUnattached=1", "OK")
            await tor.until(lambda: tor.filled >= 3 * 9)
            assert tor.commands == ["SETEVENTS STREAM CONF_CHANGED"]
            await connection.close()

    run(main())


def test_the_end_of_tor_ends_what_waits_for_it(tmp_path: Path) -> None:
    async def main() -> None:
        async with Tor(tmp_path / "cookie") as tor:
            connection = Connection(
                await asyncio.to_thread(torport.open_port, Address(port=tor.port)), lambda lines: None
            )

            def silent(command: str) -> str | None:
                tor.die()
                return None

            tor.hook = silent
            with pytest.raises(TorError, match="closed"):
                await connection.command("GETINFO version")
            await asyncio.wait_for(connection.closed.wait(), 5)
            await connection.close()

    run(main())


def test_what_is_no_message_ends_the_connection(tmp_path: Path) -> None:
    async def main() -> None:
        async with Tor(tmp_path / "cookie") as tor:
            connection = Connection(
                await asyncio.to_thread(torport.open_port, Address(port=tor.port)), lambda lines: None
            )
            tor.hook = lambda command: "what is this"
            with pytest.raises(TorError, match="closed"):
                await connection.command("GETINFO version")
            await connection.close()

    run(main())
