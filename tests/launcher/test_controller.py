"""The controller against a stand-in for tor's control port: what becomes of streams, however things end."""

from __future__ import annotations

import asyncio
import contextlib
import functools
import os
import signal
import statistics
import sys
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import pytest
from namecoin_resolver import controller as module
from namecoin_resolver.controller import Controller
from namecoin_resolver.outcome import Kind, Outcome
from namecoin_resolver.torport import Address, TorError

from tests.launcher.doubles import onion
from tests.launcher.tor_double import ISOLATION, OPTION, Stream, Tor

ROOT = Path(__file__).parents[2]
A = onion(1)


@dataclass
class Names:
    """A resolver: hosts to outcomes; those in ``held`` take forever."""

    hosts: dict[str, Outcome | Exception] = field(default_factory=lambda: {"example.bit": Outcome(Kind.FOUND, A)})
    held: set[str] = field(default_factory=set)
    asked: list[tuple[str, str]] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)
    forgotten: int = 0

    async def resolve(self, host: str, stream_id: str) -> Outcome:
        self.asked.append((host, stream_id))
        if host in self.held:
            try:
                await asyncio.Event().wait()
            finally:
                self.cancelled.append(host)
        answer = self.hosts.get(host, Outcome(Kind.NOT_REGISTERED))
        if isinstance(answer, Exception):
            raise answer
        return answer

    def forget(self) -> None:
        self.forgotten += 1


class Listens(Protocol):
    """A tor, real or not: where its control port is, and what opens it."""

    port: int
    password: str | None


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_RETRIES", (0.0, 0.0))


def run(main: Coroutine[Any, Any, None]) -> None:
    """Run a test's coroutine; one that hangs fails, and one that leaves tasks behind."""

    async def checked() -> None:
        await asyncio.wait_for(main, 60)
        # Those that serve the double's connections end with them.
        left = asyncio.all_tasks() - {asyncio.current_task()}
        assert not left, f"left behind: {left}"

    asyncio.run(checked())


@contextlib.asynccontextmanager
async def controlled(tor: Listens, names: Names | None = None, **options: Any) -> AsyncIterator[Controller]:
    """A controller at work, ended as a supervisor ends it."""
    controller = Controller(names or Names(), Address(port=tor.port), **options)
    task = asyncio.create_task(controller.run())
    serving = asyncio.create_task(controller.serving.wait())
    await asyncio.wait((task, serving), return_when=asyncio.FIRST_COMPLETED)
    serving.cancel()
    if task.done():
        await task
    try:
        yield controller
    finally:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
        assert not alive(controller.watchdog_pid)


def alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


def replaced(controller: Controller, old: int) -> bool:
    return controller.watchdog_pid != old


async def ended(pid: int) -> None:
    while alive(pid):
        await asyncio.sleep(0.005)


def scenario(tmp_path: Path, test: Callable[[Tor], Coroutine[Any, Any, None]], **options: Any) -> None:
    async def main() -> None:
        async with Tor(tmp_path / "cookie", **options) as tor:
            await test(tor)

    run(main())


def test_a_name_gets_its_address_and_all_else_goes_on(tmp_path: Path) -> None:
    async def test(tor: Tor) -> None:
        async with controlled(tor) as controller:
            assert tor.leave and controller.serving.is_set()
            hosts = ("example.bit:80", "example.com:443", f"{A}:80", "[2001:db8::1]:22", "1.2.3.4:0")
            streams = [tor.open(target) for target in hosts]
            await tor.settled(*streams)
            assert [s.state for s in streams] == ["attached"] * 5
            assert [s.target for s in streams] == [f"{A}:80", *hosts[1:]]
            assert len([c for c in tor.commands if c.startswith("ATTACHSTREAM")]) == 5
        assert not tor.leave

    scenario(tmp_path, test)


@pytest.mark.parametrize(
    ("answer", "reason"),
    [
        (Outcome(Kind.NOT_REGISTERED), 2),
        (Outcome(Kind.EXPIRED), 2),
        (Outcome(Kind.MALFORMED), 2),
        (Outcome(Kind.NO_ADDRESS), 2),
        (Outcome(Kind.TIMEOUT), 7),
        (Outcome(Kind.NOT_SYNCHRONISED), 1),
        (Outcome(Kind.UNAVAILABLE), 1),
        (RuntimeError("a mistake"), 1),
    ],
)
def test_a_name_without_an_address_fails_with_its_reason(
    tmp_path: Path, answer: Outcome | Exception, reason: int
) -> None:
    async def test(tor: Tor) -> None:
        async with controlled(tor, Names({"bad.bit": answer})):
            stream = tor.open("bad.bit:80")
            await tor.settled(stream)
            assert (stream.state, stream.reason) == ("closed", reason)

    scenario(tmp_path, test)


def test_a_slow_name_holds_nothing_up_and_has_an_end(tmp_path: Path) -> None:
    async def test(tor: Tor) -> None:
        names = Names(held={"slow.bit"})
        async with controlled(tor, names, limit=1.0):
            slow = tor.open("slow.bit:80")
            others = [tor.open("example.bit:80"), tor.open("example.com:80")]
            await tor.settled(*others)
            assert slow.state == "waiting"
            await tor.settled(slow)
            assert (slow.state, slow.reason, names.cancelled) == ("closed", 7, ["slow.bit"])

    scenario(tmp_path, test)


def test_a_stream_that_goes_away_ends_its_look_up(tmp_path: Path) -> None:
    async def test(tor: Tor) -> None:
        names = Names(held={"slow.bit"})
        async with controlled(tor, names):
            stream = tor.open("slow.bit:80")
            await tor.until(lambda: len(names.asked) == 1)
            tor.end(stream)
            await tor.until(lambda: names.cancelled == ["slow.bit"])
        assert not [c for c in tor.commands if c.startswith(("CLOSESTREAM", "REDIRECTSTREAM"))]

    scenario(tmp_path, test)


def test_a_stream_that_goes_away_unseen_is_no_matter(tmp_path: Path) -> None:
    async def test(tor: Tor) -> None:
        async with controlled(tor):

            def gone(command: str) -> str | None:
                return '552 Unknown stream "1"' if command.startswith("REDIRECTSTREAM 1 ") else None

            tor.hook = gone
            lost = tor.open("example.bit:80")
            await tor.until(lambda: "CLOSESTREAM 1 1" in tor.commands)
            assert "ATTACHSTREAM 1 0" not in tor.commands, "an exit would see the name"
            after = tor.open("example.bit:80")
            await tor.settled(lost, after)
            assert after.target == f"{A}:80"

    scenario(tmp_path, test)


def test_streams_that_wait_already_are_seen_to(tmp_path: Path) -> None:
    async def test(tor: Tor) -> None:
        for count in (2, 1):
            tor.leave = True
            streams = [tor.open(target) for target in ("example.bit:80", "example.com:80")[:count]]
            async with controlled(tor):
                await tor.settled(*streams)
                assert [s.target for s in streams] == [f"{A}:80", "example.com:80"][:count]
                tor.streams.clear()

    scenario(tmp_path, test)


def test_a_stream_that_a_circuit_failed_is_attached_again(tmp_path: Path) -> None:
    async def test(tor: Tor) -> None:
        names = Names()
        async with controlled(tor, names):
            streams = [tor.open("example.bit:80"), tor.open("example.com:80")]
            await tor.settled(*streams)
            for stream in streams:
                tor.detach(stream)
            await tor.settled(*streams)
            assert len(names.asked) == 1

    scenario(tmp_path, test)


def test_isolation_is_kept_in_stream_ids(tmp_path: Path) -> None:
    async def test(tor: Tor) -> None:
        names = Names()
        first = f'SOCKS_USERNAME="one" SOCKS_PASSWORD="0" SESSION_GROUP=-4 NYM_EPOCH=0 {ISOLATION}'
        async with controlled(tor, names):
            contexts = [("127.0.0.1", first), ("127.0.0.1", first.replace("one", "two")), ("127.0.0.2", first)]
            await tor.settled(*[tor.open("example.bit:80", fields, source) for source, fields in contexts * 2])
        ids = [stream_id for _, stream_id in names.asked]
        assert len(set(ids)) == 3 and ids[:3] == ids[3:]

    scenario(tmp_path, test)


def test_a_new_identity_forgets(tmp_path: Path) -> None:
    async def test(tor: Tor) -> None:
        names = Names()
        async with controlled(tor, names):
            tor.tell("SIGNAL", "RELOAD")
            tor.tell("SIGNAL", "NEWNYM")
            await tor.until(lambda: names.forgotten == 1)

    scenario(tmp_path, test)


@pytest.mark.parametrize("before", [True, False])
def test_bootstrapping_is_told_once(tmp_path: Path, before: bool) -> None:
    async def test(tor: Tor) -> None:
        told: list[bool] = []
        tor.progress = 100 if before else 85
        async with controlled(tor, bootstrapped=lambda: told.append(True)):
            stream = tor.open("example.com:80")
            await tor.settled(stream)
            assert told == [True] * before
            for progress in (90, 100, 100):
                tor.tell("STATUS_CLIENT", f"NOTICE BOOTSTRAP PROGRESS={progress} TAG=x")
            await tor.until(lambda: told == [True])

    scenario(tmp_path, test)


def test_the_option_is_set_again_when_tor_drops_it(tmp_path: Path) -> None:
    async def test(tor: Tor) -> None:
        async with controlled(tor):
            tor.configure(False)
            await tor.until(lambda: tor.leave)
            stream = tor.open("example.bit:80")
            await tor.settled(stream)
            assert stream.target == f"{A}:80"
        assert not tor.leave

    scenario(tmp_path, test)


def test_an_end_leaves_no_stream_waiting(tmp_path: Path) -> None:
    async def test(tor: Tor) -> None:
        names = Names(held={"slow.bit"})
        late: list[Stream] = []
        async with controlled(tor, names):
            slow = tor.open("slow.bit:80")
            await tor.until(lambda: len(names.asked) == 1)

            def clearing(command: str) -> str | None:
                if command == f"SETCONF {OPTION}=0":
                    late.extend(tor.open(target) for target in ("late.com:80", "late.bit:80"))
                    # Of these, the events are late as well.
                    late.extend(tor.open(target, told=False) for target in ("later.com:80", "later.bit:80"))
                return None

            tor.hook = clearing
        assert not tor.leave
        assert (slow.state, slow.reason) == ("closed", 1)
        assert [s.state for s in late] == ["attached", "closed"] * 2
        assert tor.commands.count(f"SETCONF {OPTION}=0") == 1, "the watchdog has nothing to do after a proper end"

    scenario(tmp_path, test)


def test_tor_ends_and_so_do_we(tmp_path: Path) -> None:
    async def test(tor: Tor) -> None:
        names = Names(held={"slow.bit"})
        controller = Controller(names, Address(port=tor.port))
        task = asyncio.create_task(controller.run())
        await controller.serving.wait()
        tor.open("slow.bit:80")
        await tor.until(lambda: len(names.asked) == 1)
        tor.die()
        await asyncio.wait_for(task, 30)
        assert names.cancelled == ["slow.bit"]
        await ended(controller.watchdog_pid)

    for _ in range(3):
        scenario(tmp_path, test)


@pytest.mark.parametrize("program", [["/nowhere/to/be/found"], [sys.executable, "-c", ""]])
def test_without_a_watchdog_the_option_is_never_set(tmp_path: Path, program: list[str]) -> None:
    async def test(tor: Tor) -> None:
        with pytest.raises(TorError, match="the watchdog does not"):
            await Controller(Names(), Address(port=tor.port), watchdog=program).run()
        assert not [c for c in tor.commands if c.startswith("SETCONF")]

    scenario(tmp_path, test)


def test_a_tor_that_refuses_the_option_is_left_alone(tmp_path: Path) -> None:
    async def test(tor: Tor) -> None:
        tor.hook = lambda command: "553 no" if command == f"SETCONF {OPTION}=1" else None
        with pytest.raises(TorError, match="tor refuses SETCONF: no"):
            await Controller(Names(), Address(port=tor.port)).run()

    scenario(tmp_path, test)


def test_a_watchdog_that_is_killed_is_replaced(tmp_path: Path) -> None:
    async def test(tor: Tor) -> None:
        async with controlled(tor) as controller:
            for _ in range(2):
                old = controller.watchdog_pid
                os.kill(old, signal.SIGKILL)
                stream = tor.open("example.bit:80")
                await tor.settled(stream)
                await tor.until(functools.partial(replaced, controller, old))
                assert tor.leave and alive(controller.watchdog_pid)

    scenario(tmp_path, test)


def test_a_connection_that_only_we_lose_leaves_tor_to_the_watchdog(tmp_path: Path) -> None:
    async def test(tor: Tor) -> None:
        controller = Controller(Names(), Address(port=tor.port))
        task = asyncio.create_task(controller.run())
        await controller.serving.wait()
        next(client for client in tor.clients if client.events).writer.close()
        await asyncio.wait_for(task, 30)
        assert not tor.leave
        assert not alive(controller.watchdog_pid)

    scenario(tmp_path, test)


PROGRAM = """
import asyncio, os
from namecoin_resolver import torport
from namecoin_resolver.controller import Controller

class Never:
    async def resolve(self, host, stream_id):
        await asyncio.Event().wait()
    def forget(self):
        pass

async def main():
    controller = Controller(Never(), torport.from_environment(os.environ))
    task = asyncio.create_task(controller.run())
    await controller.serving.wait()
    print(controller.watchdog_pid, flush=True)
    await task

asyncio.run(main())
"""


@contextlib.asynccontextmanager
async def program(tor: Listens) -> AsyncIterator[tuple[asyncio.subprocess.Process, int]]:
    """A controller in a process of its own, and its watchdog's process id."""
    env = {**os.environ, "PYTHONPATH": str(ROOT / "launcher"), "TOR_CONTROL_PORT": str(tor.port)}
    env |= {"TOR_CONTROL_PASSWD": tor.password} if tor.password else {}
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", PROGRAM, env=env, stdout=asyncio.subprocess.PIPE, start_new_session=True
    )
    try:
        assert process.stdout is not None
        yield process, int(await process.stdout.readline())
    finally:
        with contextlib.suppress(ProcessLookupError):
            process.kill()
        await process.wait()


def test_sigkill_of_the_controller_leaves_no_stream_waiting(tmp_path: Path) -> None:
    async def test(tor: Tor) -> None:
        for _ in range(3):
            async with program(tor) as (process, watchdog):
                assert tor.leave
                slow = tor.open("slow.bit:80")
                process.kill()
                await process.wait()
                # These come while nobody is there to answer, or just after.
                streams = [tor.open(target) for target in ("a.com:80", "b.bit.onion:80", "c.onion:80")]
                await tor.settled(slow, *streams)
                await ended(watchdog)
                assert not tor.leave
                assert slow.state == "closed"
                assert streams[0].state == streams[2].state == "attached"
                if streams[1].state == "attached":
                    # Only as tor's own doing, once the option was off.
                    assert not any(c.startswith(f"ATTACHSTREAM {streams[1].id} ") for c in tor.commands)

    scenario(tmp_path, test)


def test_sigkill_of_the_watchdog_then_of_the_controller(tmp_path: Path) -> None:
    async def test(tor: Tor) -> None:
        async with program(tor) as (process, watchdog):
            os.kill(watchdog, signal.SIGKILL)
            await ended(watchdog)
            # The next one can do its work once it has asked for the option.
            await tor.until(lambda: tor.commands.count(f"GETCONF {OPTION}") == 2)
            process.kill()
            stream = tor.open("a.com:80")
            await tor.settled(stream)
            await tor.until(lambda: not tor.leave)
            await tor.until(lambda: not tor.clients)

    scenario(tmp_path, test)


def test_sigkill_of_both_is_made_good_by_the_next_controller(tmp_path: Path) -> None:
    async def test(tor: Tor) -> None:
        async with program(tor) as (process, watchdog):
            for number in (signal.SIGSTOP, signal.SIGKILL):
                os.kill(watchdog, number)
                process.send_signal(number)
            await process.wait()
            await tor.until(lambda: not tor.clients)
        streams = [tor.open("a.com:80"), tor.open("example.bit:80")]
        assert tor.leave and streams[0].state == "waiting"
        async with controlled(tor):
            await tor.settled(*streams)
            assert streams[1].target == f"{A}:80"
        assert not tor.leave

    scenario(tmp_path, test)


def test_signals_to_the_group_end_the_controller_but_not_its_watchdog(tmp_path: Path) -> None:
    async def test(tor: Tor) -> None:
        async with program(tor) as (process, watchdog):
            for number in (signal.SIGINT, signal.SIGTERM):
                os.kill(watchdog, number)
            stream = tor.open("a.com:80")
            await tor.settled(stream)
            assert alive(watchdog)
            os.killpg(process.pid, signal.SIGKILL)
            await process.wait()
            await ended(watchdog)
            assert not tor.leave

    scenario(tmp_path, test)


def test_the_watchdog_gets_no_secret(tmp_path: Path) -> None:
    if not Path("/proc/self/environ").exists():
        pytest.skip("no /proc to see another process's environment in")

    async def test(tor: Tor) -> None:
        async with program(tor) as (process, watchdog):
            folder = Path("/proc") / str(watchdog)
            assert b"c0ffee" not in (folder / "environ").read_bytes() + (folder / "cmdline").read_bytes()
            assert b"c0ffee" in (Path("/proc") / str(process.pid) / "environ").read_bytes()

    scenario(tmp_path, test, password="c0ffee secret")


def test_how_long_other_streams_wait(tmp_path: Path) -> None:
    async def test(tor: Tor) -> None:
        async with controlled(tor, Names(held={f"slow{number}.bit" for number in range(100)})):
            for number in range(100):
                tor.open(f"slow{number}.bit:80")
            took = []
            for number in range(200):
                stream = tor.open(f"site{number}.com:443")
                while stream.state == "waiting":
                    await asyncio.sleep(0)
                took.append(stream.took * 1000)
            burst = [tor.open(f"site{number}.com:443") for number in range(500)]
            await tor.settled(*burst)
        every = [stream.took * 1000 for stream in burst]
        print(
            f"\nfrom event to attach, 100 look-ups under way: median {statistics.median(took):.2f} ms,"
            f" worst {max(took):.2f} ms of 200; the last of 500 at once after {max(every):.0f} ms"
        )

    scenario(tmp_path, test)
