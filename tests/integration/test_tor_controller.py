"""The controller with a real tor: options, events and SOCKS replies, and kills.

Tor's only directory authority is a port of this machine where nobody listens, so nothing leaves it. Streams to
addresses wait for circuits that never come, which is enough to see who looks after them.
"""

from __future__ import annotations

import asyncio
import base64
import contextlib
import hashlib
import os
import re
import signal
import statistics
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from namecoin_resolver import torport
from namecoin_resolver.outcome import Kind, Outcome
from namecoin_resolver.torport import Address, Connection

from tests.launcher.test_controller import Names, alive, controlled, ended, program, run
from tests.tor import program as debian
from tests.tor.client import request

OPTION = "__LeaveStreamsUnattached"
TORRC = """DataDirectory {folder}/data
ControlPort auto
ControlPortWriteToFile {folder}/control
CookieAuthentication 1
SocksPort auto {flags}
UseDefaultFallbackDirs 0
DirAuthority nobody orport=1 127.0.0.1:1 0000000000000000000000000000000000000001
Log notice stdout
{more}
"""
FAILURE, UNREACHABLE, EXPIRED = 1, 4, 6
#: What tor refuses at once when a stream is attached, and not before.
REFUSED = ("127.0.0.1", 9)


def service(key: str) -> str:
    """The onion address of a public key; tor gives up streams to those that are no point of the curve."""
    checksum = hashlib.sha3_256(b".onion checksum" + bytes.fromhex(key) + b"\x03").digest()[:2]
    return base64.b32encode(bytes.fromhex(key) + checksum + b"\x03").decode().lower() + ".onion"


#: The first three public keys of RFC 8032, 7.1.
A = service("d75a980182b10ab7d54bfed3c964073a0ee172f3daa62325af021a68f707511a")
B = service("3d4017c3e843895a92b70aa74d1b7ebc9c982ccf2ec4968cc0cd55f12af4660c")
C = service("fc51cd8e6218a1a38da47ed00230f0580816ed13ba3303ac5deb911548908025")


@dataclass
class Tor:
    """A tor that runs, and our own eyes on it; has what tests of the controller want of its stand-in."""

    process: asyncio.subprocess.Process
    port: int
    socks: int
    control: Connection
    events: list[tuple[str, ...]]
    password: str | None = None

    async def option(self) -> str:
        return (await self.control.command(f"GETCONF {OPTION}")).lines[0]

    async def status(self) -> dict[str, str]:
        """What state the stream to each target is in. Asking changes nothing, as trying to attach one would."""
        lines = (await self.control.command("GETINFO stream-status")).value("stream-status").splitlines()
        return {line.split()[3]: line.split()[1] for line in lines if line}

    async def until_sent(self, target: str) -> None:
        """Wait for an onion service's stream to be attached: tor looks for the service then."""
        while (await self.status()).get(target) != "SENTCONNECT":
            await asyncio.sleep(0.01)

    def seen(self, *words: str) -> bool:
        return any(all(word in event[0] for word in words) for event in self.events)

    async def reply(self, host: str, port: int = 80, user: str = "") -> int:
        """What a SOCKS client hears; waits as long as that takes."""
        async with self.client(host, port, user) as reader:
            return (await reader.readexactly(2))[1]

    @contextlib.asynccontextmanager
    async def client(self, host: str, port: int = 80, user: str = "") -> AsyncIterator[asyncio.StreamReader]:
        """A SOCKS client that has asked for a host."""
        reader, writer = await asyncio.open_connection("127.0.0.1", self.socks)
        try:
            await request(reader, writer, host, port, user)
            yield reader
        finally:
            writer.close()


@contextlib.asynccontextmanager
async def running(folder: Path, flags: str = "", more: str = "") -> AsyncIterator[Tor]:
    folder.chmod(0o700)
    (folder / "torrc").write_text(TORRC.format(folder=folder, flags=flags, more=more))
    (folder / "control").unlink(missing_ok=True)
    with (folder / "log").open("wb") as log:
        process = await asyncio.create_subprocess_exec(
            debian.find().tor, "--defaults-torrc", "/dev/null", "-f", str(folder / "torrc"),
            env=debian.find().env, stdout=log, stderr=log,
        )  # fmt: skip
    control = None
    try:
        # The cookie may come after the port.
        while not ((folder / "control").exists() and (folder / "data" / "control_auth_cookie").exists()):
            assert process.returncode is None, (folder / "log").read_text()
            await asyncio.sleep(0.02)
        port = int((folder / "control").read_text().rpartition(":")[2])
        events: list[tuple[str, ...]] = []
        cookie = str(folder / "data" / "control_auth_cookie")
        control = Connection(
            await asyncio.to_thread(torport.open_port, Address(port=port, cookie=cookie)), events.append
        )
        listener = (await control.command("GETINFO net/listeners/socks")).value("net/listeners/socks")
        await control.command("SETEVENTS STREAM SIGNAL CONF_CHANGED")
        yield Tor(process, port, int(listener.strip('"').rpartition(":")[2]), control, events)
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()
        if control is not None:
            await control.close()


def scenario(folder: Path, test: Callable[[Tor], Coroutine[Any, Any, None]], flags: str = "", more: str = "") -> None:
    try:
        debian.find()
    except debian.MissingError as exc:
        pytest.skip(str(exc))

    async def main() -> None:
        async with running(folder, flags, more) as tor:
            await test(tor)

    run(main())


def test_streams_of_a_real_tor(tmp_path: Path) -> None:
    async def test(tor: Tor) -> None:
        names = Names(
            {
                "example.bit": Outcome(Kind.FOUND, A),
                "example.bit.onion": Outcome(Kind.FOUND, B),
                "slow.bit": Outcome(Kind.TIMEOUT),
                "down.bit": Outcome(Kind.UNAVAILABLE),
            }
        )
        async with controlled(tor, names), tor.client("example.bit"), tor.client("example.bit.onion", 81):
            assert await tor.option() == f"{OPTION}=1"
            await tor.until_sent(f"{A}:80")
            await tor.until_sent(f"{B}:81")
            async with tor.client(C):
                await tor.until_sent(f"{C}:80")
            assert await tor.reply(*REFUSED) == FAILURE
            assert await tor.reply("nothing.bit") == UNREACHABLE
            assert await tor.reply("slow.bit") == EXPIRED
            assert await tor.reply("down.bit") == FAILURE
        assert await tor.option() == f"{OPTION}=0"
        assert tor.seen("STREAM", "CONTROLLER_WAIT", "example.bit:80")

    scenario(tmp_path, test)


def test_streams_that_wait_already_and_those_left_at_the_end(tmp_path: Path) -> None:
    async def test(tor: Tor) -> None:
        await tor.control.command(f"SETCONF {OPTION}=1")
        names = Names({"example.bit": Outcome(Kind.FOUND, A)}, held={"slow.bit"})
        async with tor.client(*REFUSED) as refused, tor.client("example.bit", 81):
            while len(await tor.status()) < 2:
                await asyncio.sleep(0.01)
            async with tor.client("slow.bit") as slow:
                async with controlled(tor, names):
                    await tor.until_sent(f"{A}:81")
                    assert (await refused.readexactly(2))[1] == FAILURE
                    while not any(host == "slow.bit" for host, _ in names.asked):
                        await asyncio.sleep(0.01)
                assert (await slow.readexactly(2))[1] == FAILURE
            assert await tor.option() == f"{OPTION}=0"

    scenario(tmp_path, test)


def test_isolation_by_every_flag_of_a_real_tor(tmp_path: Path) -> None:
    async def test(tor: Tor) -> None:
        names = Names()
        async with controlled(tor, names):
            for host, user in [
                ("x.bit", ""),
                ("x.bit", ""),
                ("y.bit", ""),
                ("x.bit", "u"),
                ("x.bit", "u"),
                ("x.bit", "v"),
            ]:
                assert await tor.reply(host, user=user) == UNREACHABLE
            await tor.control.command("SIGNAL NEWNYM")
            while not names.forgotten:
                await asyncio.sleep(0.01)
            assert await tor.reply("x.bit") == UNREACHABLE
        ids = [stream_id for _, stream_id in names.asked]
        assert ids[0] == ids[1] and ids[3] == ids[4], "every field that tor isolates by is known"
        assert len(set(ids)) == 5

    flags = "IsolateClientAddr IsolateSOCKSAuth IsolateClientProtocol IsolateDestPort IsolateDestAddr"
    scenario(tmp_path, test, flags)


def test_a_reload_drops_the_option_for_a_moment_only(tmp_path: Path) -> None:
    async def test(tor: Tor) -> None:
        async with controlled(tor):
            await tor.control.command("SIGNAL RELOAD")
            while not tor.seen("CONF_CHANGED") or tor.events[-1][0] != "CONF_CHANGED":
                await asyncio.sleep(0.01)
            changes = [event[1] for event in tor.events if event[0] == "CONF_CHANGED"]
            while changes[-2:] != [f"{OPTION}=0", f"{OPTION}=1"]:
                await asyncio.sleep(0.01)
                changes = [event[1] for event in tor.events if event[0] == "CONF_CHANGED"]
            assert await tor.reply("nothing.bit") == UNREACHABLE

    scenario(tmp_path, test)


def test_let_in_by_password(tmp_path: Path) -> None:
    async def test(tor: Tor) -> None:
        done = await asyncio.create_subprocess_exec(
            debian.find().tor, "--quiet", "--hash-password", r"it's a \ secret",
            env=debian.find().env, stdout=asyncio.subprocess.PIPE,
        )  # fmt: skip
        hashed = (await done.communicate())[0].decode().split()[-1]
        await tor.control.command(f"SETCONF CookieAuthentication=0 HashedControlPassword={hashed}")
        for password in (r"it's a \ secret", r'"it\'s a \\ secret"', rb"it's a \ secret".hex()):
            port = await asyncio.to_thread(torport.open_port, Address(port=tor.port, password=password))
            port.close()
        with pytest.raises(torport.TorError, match="tor refuses TOR_CONTROL_PASSWD"):
            await asyncio.to_thread(torport.open_port, Address(port=tor.port, password="wrong"))

    scenario(tmp_path, test)


def rss(pid: int) -> float:
    match = re.search(r"VmRSS:\s+(\d+) kB", Path(f"/proc/{pid}/status").read_text())
    return int(match[1]) / 1024 if match else 0


def test_sigkill_of_the_controller(tmp_path: Path) -> None:
    async def test(tor: Tor) -> None:
        stalls = []
        for _ in range(3):
            async with program(tor) as (process, watchdog), tor.client("slow.bit") as slow:
                while not tor.seen("CONTROLLER_WAIT", "slow.bit"):
                    await asyncio.sleep(0.01)
                size = f"controller {rss(process.pid):.0f} MiB, watchdog {rss(watchdog):.0f} MiB"
                # Stopped first, so that there is a stream that it has not seen.
                process.send_signal(signal.SIGSTOP)
                async with tor.client(*REFUSED) as other:
                    while not tor.seen("CONTROLLER_WAIT", REFUSED[0]):
                        await asyncio.sleep(0.01)
                    process.kill()
                    killed = time.perf_counter()
                    assert (await other.readexactly(2))[1] == FAILURE
                    stalls.append(time.perf_counter() - killed)
                assert (await slow.readexactly(2))[1] == UNREACHABLE
                await ended(watchdog)
            assert await tor.option() == f"{OPTION}=0"
            assert await tor.reply(*REFUSED) == FAILURE
            tor.events.clear()
        print(f"\n{size}; a stream stalled after SIGKILL for {', '.join(f'{stall:.3f}' for stall in stalls)} s")

    scenario(tmp_path, test)


def test_sigkill_of_the_watchdog_and_of_both(tmp_path: Path) -> None:
    async def test(tor: Tor) -> None:
        async with controlled(tor) as controller:
            old = controller.watchdog_pid
            os.kill(old, signal.SIGKILL)
            while controller.watchdog_pid == old:
                await asyncio.sleep(0.01)
            assert await tor.option() == f"{OPTION}=1"
            assert await tor.reply("nothing.bit") == UNREACHABLE
        assert await tor.option() == f"{OPTION}=0"
        async with program(tor) as (process, watchdog):
            for number in (signal.SIGSTOP, signal.SIGKILL):
                os.kill(watchdog, number)
                process.send_signal(number)
            await process.wait()
            await ended(watchdog)
        assert await tor.option() == f"{OPTION}=1", "what remains when both are killed at once"
        async with tor.client(*REFUSED) as waiting, controlled(tor):
            assert (await waiting.readexactly(2))[1] == FAILURE
        assert await tor.option() == f"{OPTION}=0"

    scenario(tmp_path, test)


def test_sigkill_of_tor(tmp_path: Path) -> None:
    async def test(tor: Tor) -> None:
        async with program(tor) as (process, watchdog):
            tor.process.kill()
            await asyncio.wait_for(process.wait(), 30)
            assert process.returncode == 0
            await ended(watchdog)
            assert not alive(process.pid)

    scenario(tmp_path, test)


def test_how_long_streams_are_held_up(tmp_path: Path) -> None:
    """By a port of this machine, which tor refuses as soon as a stream is attached."""

    async def test(tor: Tor) -> None:
        async def timed() -> float:
            begun = time.perf_counter()
            assert await tor.reply(*REFUSED) == FAILURE
            return (time.perf_counter() - begun) * 1000

        without = [await timed() for _ in range(200)]
        async with controlled(tor):
            held = [await timed() for _ in range(200)]
            assert tor.seen("CONTROLLER_WAIT", REFUSED[0])
        print(
            f"\na SOCKS request to its reply, median of 200: {statistics.median(without):.2f} ms without,"
            f" {statistics.median(held):.2f} ms with the controller (worst {max(held):.2f} ms)"
        )

    scenario(tmp_path, test)
