"""The plugin: the protocol in memory, and the program as a manager runs it."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Coroutine, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from namecoin_resolver import prop279
from namecoin_resolver.outcome import Kind, Outcome

from tests.launcher.doubles import PASSWORD, USER, Daemon, Respond, StemNs, error, onion, serving

A, B = onion(1), onion(2)
GOOD = {"map": {"_tor": {"txt": A}}}
LAUNCHER = Path(__file__).parents[2] / "launcher"
#: Far more than anything here takes; a test that needs it fails.
PATIENCE = 60


@dataclass
class Answers:
    """A resolver whose answers a test gives out one by one."""

    waiting: dict[str, asyncio.Future[Outcome]] = field(default_factory=dict)
    asked: list[tuple[str, str]] = field(default_factory=list)
    cancelled: list[str] = field(default_factory=list)

    async def resolve(self, host: str, stream_id: str) -> Outcome:
        self.asked.append((host, stream_id))
        future = self.waiting[host] = asyncio.get_running_loop().create_future()
        try:
            outcome: Outcome = await future
            return outcome
        except asyncio.CancelledError:
            self.cancelled.append(host)
            raise


def converse(*steps: bytes | tuple[str, Outcome | Exception]) -> tuple[list[str], Answers]:
    """Send lines, and give answers to hosts, in order; what the plugin wrote, and what it asked."""
    answers, written = Answers(), list[str]()

    async def main() -> None:
        plugin = prop279.Plugin(answers, lambda line: written.append(line.decode("ascii")))
        for step in steps:
            if isinstance(step, bytes):
                plugin.line(step)
            elif isinstance(step[1], Outcome):
                answers.waiting[step[0]].set_result(step[1])
            else:
                answers.waiting[step[0]].set_exception(step[1])
            await asyncio.sleep(0)
            await asyncio.sleep(0)
        await plugin.close(0)

    asyncio.run(main())
    return written, answers


FOUND = Outcome(Kind.FOUND, A)


def test_answers_come_in_any_order() -> None:
    written, answers = converse(
        b"RESOLVE 1 a.bit s1",
        b"RESOLVE 2 b.bit s2",
        ("b.bit", FOUND),
        b"RESOLVE 3 c.bit",
        ("a.bit", Outcome(Kind.FOUND, B)),
    )
    assert written == [f"RESOLVED 2 0 {A}\n", f"RESOLVED 1 0 {B}\n"]
    assert answers.asked == [("a.bit", "s1"), ("b.bit", "s2"), ("c.bit", "")]
    assert answers.cancelled == ["c.bit"]


@pytest.mark.parametrize(
    ("outcome", "line"),
    [
        (Outcome(Kind.UNAVAILABLE, detail="down"), 'RESOLVED 7 1 "a.bit: unavailable (down)"\n'),
        (Outcome(Kind.NOT_SYNCHRONISED), 'RESOLVED 7 1 "a.bit: not synchronised yet"\n'),
        (Outcome(Kind.NOT_NAMECOIN), 'RESOLVED 7 2 "a.bit: not a .bit name"\n'),
        (Outcome(Kind.NOT_REGISTERED), 'RESOLVED 7 3 "a.bit: not registered"\n'),
        (Outcome(Kind.EXPIRED), 'RESOLVED 7 3 "a.bit: expired"\n'),
        (Outcome(Kind.NO_ADDRESS), 'RESOLVED 7 3 "a.bit: no address"\n'),
        (Outcome(Kind.MALFORMED), 'RESOLVED 7 3 "a.bit: malformed value"\n'),
        (Outcome(Kind.TIMEOUT), 'RESOLVED 7 4 "a.bit: timed out"\n'),
        (
            Outcome(Kind.UNAVAILABLE, detail='"\\\r\n\x00\u00e4\ud800'),
            'RESOLVED 7 1 "a.bit: unavailable (\\"\\\\?????)"\n',
        ),
    ],
)
def test_statuses(outcome: Outcome, line: str) -> None:
    assert converse(b"RESOLVE 7 a.bit s", ("a.bit", outcome))[0] == [line]


def test_every_kind_has_a_status() -> None:
    assert set(prop279.STATUS) == set(Kind)
    # StemNS sends again for 1 and 4: only what can change by itself may have these.
    assert {kind for kind, status in prop279.STATUS.items() if status in (1, 4)} == {
        kind for kind in Kind if kind.transient
    }


def test_a_query_that_is_cancelled_is_not_answered() -> None:
    written, answers = converse(b"RESOLVE 1 a.bit s", b"CANCEL 1", b"RESOLVE 2 b.bit s", ("b.bit", FOUND))
    assert written == ["CANCELED 1\n", f"RESOLVED 2 0 {A}\n"]
    assert answers.cancelled == ["a.bit"]


def test_a_query_that_is_cancelled_as_its_answer_comes_is_not_answered() -> None:
    answers, written = Answers(), list[bytes]()

    async def main() -> None:
        plugin = prop279.Plugin(answers, written.append)
        plugin.line(b"RESOLVE 1 a.bit s")
        await asyncio.sleep(0)
        answers.waiting["a.bit"].set_result(FOUND)
        plugin.line(b"CANCEL 1")
        await asyncio.sleep(0.01)

    asyncio.run(main())
    assert written == [b"CANCELED 1\n"]


def test_a_resolver_that_will_not_be_cancelled_is_not_heard() -> None:
    class Stubborn:
        async def resolve(self, host: str, stream_id: str) -> Outcome:
            with suppress(asyncio.CancelledError):
                await asyncio.sleep(PATIENCE)
            return FOUND

    written: list[bytes] = []

    async def main() -> None:
        plugin = prop279.Plugin(Stubborn(), written.append)
        plugin.line(b"RESOLVE 1 a.bit s")
        await asyncio.sleep(0)
        plugin.line(b"CANCEL 1")
        plugin.line(b"RESOLVE 1 b.bit s")
        await asyncio.sleep(0.01)
        await plugin.close(0)

    asyncio.run(main())
    assert written == [b"CANCELED 1\n"]


def test_cancelling_what_is_not_there() -> None:
    assert converse(b"CANCEL 5", b"RESOLVE 5 a.bit s", ("a.bit", FOUND), b"CANCEL 5")[0] == [
        "CANCELED 5\n",
        f"RESOLVED 5 0 {A}\n",
        "CANCELED 5\n",
    ]


def test_an_id_used_again() -> None:
    # The same question twice is one; another question takes the place of the first.
    written, answers = converse(b"RESOLVE 1 a.bit s", b"RESOLVE 1 a.bit s", b"RESOLVE 1 b.bit s", ("b.bit", FOUND))
    assert written == [f"RESOLVED 1 0 {A}\n"]
    assert answers.asked == [("a.bit", "s"), ("b.bit", "s")]
    assert answers.cancelled == ["a.bit"]
    # Once answered, an id is free: StemNS asks again under it.
    assert (
        converse(b"RESOLVE 1 a.bit s", ("a.bit", FOUND), b"RESOLVE 1 a.bit s", ("a.bit", FOUND))[0]
        == [f"RESOLVED 1 0 {A}\n"] * 2
    )


@pytest.mark.parametrize(
    "line",
    [
        *(b"", b" ", b"\r", b"RESOLVE", b"RESOLVE ", b"RESOLVE x a.bit", b"RESOLVE 1.5 a.bit", b"CANCEL", b"CANCEL x"),
        *(b"resolve 1 a.bit", b"NEWS 1 2", b"INIT 1 0", b"RESOLVED 1 0 x", b"\xff\x00\x1b"),
        b"RESOLVE " + b"1" * 20 + b" a.bit",
    ],
)
def test_lines_that_mean_nothing(line: bytes) -> None:
    assert converse(line) == ([], Answers())


def test_a_query_without_a_name_is_answered() -> None:
    assert converse(b"RESOLVE 4", ("", Outcome(Kind.NOT_NAMECOIN)))[0] == ['RESOLVED 4 2 ": not a .bit name"\n']


def test_names_of_any_bytes_are_quoted() -> None:
    name = "a\\xff.bit"
    assert converse(b'RESOLVE -4 a\xff.bit "\xfe', (name, Outcome(Kind.NOT_REGISTERED)))[0] == [
        'RESOLVED -4 3 "a\\\\xff.bit: not registered"\n'
    ]


def test_a_mistake_of_ours_costs_one_answer() -> None:
    written, _ = converse(b"RESOLVE 1 a.bit s", ("a.bit", ValueError("x")), b"RESOLVE 2 b.bit s", ("b.bit", FOUND))
    assert written == ['RESOLVED 1 1 "a.bit: unavailable (internal error: ValueError)"\n', f"RESOLVED 2 0 {A}\n"]


def test_too_many_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(prop279, "MAX_PENDING", 2)
    written, answers = converse(
        b"RESOLVE 1 a.bit s", b"RESOLVE 2 b.bit s", b"RESOLVE 3 c.bit s", ("a.bit", FOUND), b"RESOLVE 4 d.bit s"
    )
    assert written == ['RESOLVED 3 1 "c.bit: unavailable (too many look-ups at once)"\n', f"RESOLVED 1 0 {A}\n"]
    assert [host for host, _ in answers.asked] == ["a.bit", "b.bit", "d.bit"]


def test_a_refusal_is_one_line() -> None:
    assert prop279.refusal('no "x"\n') == b'INIT 1 1 "no \\"x\\"?"\n'


@given(st.lists(st.binary(max_size=30)), st.data())
def test_lines_come_whole_however_they_are_cut(lines: list[bytes], data: st.DataObject) -> None:
    lines = [line.replace(b"\n", b"") for line in lines]
    stream = b"".join(line + b"\n" for line in lines)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(stream)), max_size=6)))
    splitter = prop279.LineSplitter()
    parts = [stream[start:end] for start, end in zip([0, *cuts], [*cuts, len(stream)], strict=True)]
    assert [line for part in parts for line in splitter.feed(part)] == lines


@pytest.mark.parametrize("size", [1, 7, 4096, 4097, 100000])
def test_long_lines_are_skipped(size: int) -> None:
    stream = b"a\n" + b"x" * 4096 + b"\n" + b"x" * 4097 + b"\nb\n" + b"x" * 50000 + b"\n\nc\n" + b"x" * 9000
    splitter = prop279.LineSplitter()
    lines = [line for start in range(0, len(stream), size) for line in splitter.feed(stream[start : start + size])]
    assert lines == [b"a", b"x" * 4096, b"b", b"", b"c"]


@given(
    st.lists(
        st.binary(max_size=60)
        | st.builds(b"RESOLVE %d %b %b".__mod__, st.tuples(st.integers(), st.binary(), st.binary()))
    )
)
def test_any_lines_are_survived(lines: list[bytes]) -> None:
    written, _ = converse(*lines, b"RESOLVE 1 end.bit s", b"CANCEL 1")
    assert written[-1] == "CANCELED 1\n"
    assert all(line.count("\n") == 1 and line.isascii() for line in written)


# The program


@dataclass
class Program:
    """The plugin's process."""

    process: asyncio.subprocess.Process

    def send(self, text: str | bytes) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(text.encode() if isinstance(text, str) else text)

    async def line(self) -> str:
        assert self.process.stdout is not None
        return (await self.process.stdout.readline()).decode("ascii")

    async def ended(self) -> tuple[int, str]:
        """Exit code, and all that was still on stdout."""
        assert self.process.stdout is not None
        rest = (await self.process.stdout.read()).decode("ascii")
        return await self.process.wait(), rest

    def end_input(self) -> None:
        assert self.process.stdin is not None
        self.process.stdin.close()


@asynccontextmanager
async def program(*arguments: str, environ: Mapping[str, str]) -> AsyncIterator[Program]:
    """Run ``namecoin-resolver``; it must write nothing to stderr, and is killed if a test leaves it running."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        "namecoin_resolver",
        *arguments,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(LAUNCHER), **environ},
    )
    try:
        yield Program(process)
    finally:
        if process.returncode is None:
            process.kill()
        # Also reads what is left on stdout: asyncio waits for the pipes' end.
        _, said = await process.communicate()
    assert said == b""


def credentials(port: int, **more: str) -> dict[str, str]:
    return {"NAMECOIN_RPC_PORT": str(port), "NAMECOIN_RPC_USER": USER, "NAMECOIN_RPC_PASSWORD": PASSWORD, **more}


def run(main: Coroutine[Any, Any, None]) -> None:
    asyncio.run(asyncio.wait_for(main, PATIENCE))


def test_a_session() -> None:
    async def main() -> None:
        names = {
            "d/a": GOOD,
            "d/bad": "[",
            "d/busy": error(1, "no interface"),
            "d/sync": error(1, "chain is still syncing"),
        }
        async with Daemon(serving(names)) as daemon, program("--prop279", environ=credentials(daemon.port)) as plugin:
            assert await plugin.line() == "INIT 1 0\n"
            talk: list[tuple[str | bytes, str]] = [
                ("RESOLVE 1 a.bit s1\n", f"RESOLVED 1 0 {A}\n"),
                ("RESOLVE 2 a.bit.onion s1\r\n", f"RESOLVED 2 0 {A}\n"),
                ("RESOLVE 3 a.com s1\n", 'RESOLVED 3 2 "a.com: not a .bit name"\n'),
                (
                    "\n\n NOISE\nRESOLVE 4 none.bit s1\n",
                    'RESOLVED 4 3 "none.bit: not registered (Name purportedly never existed)"\n',
                ),
                ("RESOLVE 5 bad.bit s1\n", 'RESOLVED 5 3 "bad.bit: malformed value (not JSON)"\n'),
                ("RESOLVE 6 busy.bit s1\n", 'RESOLVED 6 1 "busy.bit: unavailable (Electrum-NMC: no interface)"\n'),
                ("RESOLVE 7 sync.bit s1\n", 'RESOLVED 7 1 "sync.bit: not synchronised yet (chain is still syncing)"\n'),
                (b"\xff" * 100000 + b"\nCANCEL 8\n", "CANCELED 8\n"),
                ("RESOLVE 9 a.bit s2\n", f"RESOLVED 9 0 {A}\n"),
            ]
            for sent, answer in talk:
                plugin.send(sent)
                assert await plugin.line() == answer
            plugin.end_input()
            assert await plugin.ended() == (0, "")
            asked = [request["params"] for request in daemon.requests]
            assert [(params["identifier"], params["stream_id"]) for params in asked if isinstance(params, dict)] == [
                ("d/a", "s1"),
                ("d/none", "s1"),
                ("d/bad", "s1"),
                ("d/busy", "s1"),
                ("d/sync", "s1"),
                ("d/a", "s2"),
            ]

    run(main())


def test_a_slow_name_does_not_hold_up_others_and_can_be_cancelled() -> None:
    async def main() -> None:
        names = serving({f"d/a{n}": GOOD for n in range(50)} | {"d/slow": GOOD}, {"d/slow": PATIENCE})
        async with Daemon(names) as daemon, program("--prop279", environ=credentials(daemon.port)) as plugin:
            plugin.send("RESOLVE 999 slow.bit s\nRESOLVE 998 slow.bit s\n")
            plugin.send("".join(f"RESOLVE {n} a{n}.bit s\n" for n in range(50)))
            assert await plugin.line() == "INIT 1 0\n"
            assert sorted([await plugin.line() for _ in range(50)]) == sorted(
                f"RESOLVED {n} 0 {A}\n" for n in range(50)
            )
            plugin.send("CANCEL 999\n")
            assert await plugin.line() == "CANCELED 999\n"
            plugin.send("CANCEL 998\n")
            assert await plugin.line() == "CANCELED 998\n"
            # Nobody waits for it any more, so its connection has ended.
            while daemon.dropped < 1:
                await asyncio.sleep(0.01)
            plugin.end_input()
            assert await plugin.ended() == (0, "")

    run(main())


def test_the_end_of_input_lets_quick_answers_out_and_cancels_the_rest() -> None:
    async def main() -> None:
        names = serving({"d/a": GOOD, "d/slow": GOOD}, {"d/a": 0.1, "d/slow": PATIENCE})
        async with Daemon(names) as daemon, program("--prop279", environ=credentials(daemon.port)) as plugin:
            plugin.send("RESOLVE 1 slow.bit s\nRESOLVE 2 a.bit s\nRESOLVE 3 unfinished.bit s")
            plugin.end_input()
            assert await plugin.ended() == (0, f"INIT 1 0\nRESOLVED 2 0 {A}\n")

    run(main())


def test_it_ends_when_nobody_reads_its_answers() -> None:
    async def main() -> None:
        respond = serving({"d/slow": GOOD}, {"d/slow": PATIENCE})
        async with Daemon(respond) as daemon:
            receiving, sending = os.pipe()
            process = await asyncio.create_subprocess_exec(
                sys.executable,
                "-m",
                "namecoin_resolver",
                "--prop279",
                stdin=asyncio.subprocess.PIPE,
                stdout=sending,
                env={"PATH": os.environ["PATH"], "PYTHONPATH": str(LAUNCHER), **credentials(daemon.port)},
            )
            os.close(sending)
            assert os.read(receiving, 100) == b"INIT 1 0\n"
            os.close(receiving)
            assert process.stdin is not None
            process.stdin.write(b"RESOLVE 1 slow.bit s\nCANCEL 2\n")
            assert await process.wait() == 0

    run(main())


def test_a_manager_that_does_not_read_can_still_cancel() -> None:
    async def main() -> None:
        names = serving({"d/slow": GOOD}, {"d/slow": PATIENCE})
        async with Daemon(names) as daemon, program("--prop279", environ=credentials(daemon.port)) as plugin:
            plugin.send("RESOLVE 1 slow.bit s\n")
            while not daemon.requests:
                await asyncio.sleep(0.01)
            # More answers than pipes and buffers take, before the one that matters; none is read until it has acted.
            plugin.send("".join(f"RESOLVE {n} {'x' * 200}.com s\n" for n in range(2, 3000)) + "CANCEL 1\n")
            while daemon.dropped < 1:
                await asyncio.sleep(0.01)
            assert await plugin.line() == "INIT 1 0\n"
            lines = [await plugin.line() for _ in range(2999)]
            assert lines.count("CANCELED 1\n") == 1

    run(main())


@pytest.mark.skipif(os.name != "posix", reason="only POSIX has SIGTERM")
def test_it_ends_when_told_to() -> None:
    async def main() -> None:
        async with program("--prop279", environ=credentials(1)) as plugin:
            assert await plugin.line() == "INIT 1 0\n"
            plugin.process.send_signal(signal.SIGTERM)
            assert await plugin.ended() == (-signal.SIGTERM, "")

    run(main())


def test_with_stemns() -> None:
    # What its reader does with every outcome: nothing may make it die, and transient ones are asked for again.
    async def main() -> None:
        calls: dict[str, int] = {}
        steady: Respond = serving({"d/a": GOOD, "d/bad": "[", "d/flaky": GOOD, "d/sync": GOOD, "d/none": None})

        async def respond(request: dict[str, object]) -> bytes:
            params = request["params"]
            assert isinstance(params, dict)
            identifier = str(params["identifier"])
            calls[identifier] = calls.get(identifier, 0) + 1
            if identifier == "d/down" or (identifier in ("d/flaky", "d/sync") and calls[identifier] < 3):
                return error(1, "The blockchain is still syncing" if identifier == "d/sync" else "no interface")
            if identifier == "d/slow" or (identifier == "d/late" and calls[identifier] < 2):
                await asyncio.sleep(PATIENCE)
            return await steady(request)

        environ = credentials(0, TOR_NS_PLUGIN_OPTIONS="timeout=1", TOR_NS_PROTO_VERSION="1", TOR_NS_STATE_LOCATION="x")
        async with Daemon(respond) as daemon:
            environ["NAMECOIN_RPC_PORT"] = str(daemon.port)
            async with program("--prop279", environ=environ) as plugin:
                stem = StemNs(plugin.send)
                hosts = ["a.bit", "www.a.bit", "bad.bit", "flaky.bit", "sync.bit", "none.bit", "x.com", "late.bit"]
                for query, host in enumerate([*hosts, "down.bit", "slow.bit"], 1):
                    plugin.send(stem.request(query, host, f"prefix-{query}"))
                while len(stem.redirected) + len(stem.failed) < len(hosts):
                    stem.line(await plugin.line())
                # Its minute is over for the two that will never do.
                stem.still_trying = False
                while stem.queries:
                    stem.line(await plugin.line())
                plugin.end_input()
                assert await plugin.ended() == (0, "")
                assert stem.redirected == {1: A, 4: A, 5: A}
                assert stem.failed == {2: 3, 3: 3, 6: 3, 7: 2, 8: 3, 9: 1, 10: 4}
                assert calls["d/flaky"] == calls["d/sync"] == 3

    run(main())


def test_the_double_dies_where_stemns_does() -> None:
    for line in ("", "RESOLVED 5 1 x", "RESOLVED 5 4 x", "RESOLVED 1 0", "RESOLVED"):
        stem = StemNs(lambda text: None)
        stem.request(1, "a.bit", "s")
        with pytest.raises((IndexError, KeyError)):
            stem.line(line)


def test_a_daemon_that_is_not_there() -> None:
    async def main() -> None:
        async with Daemon(serving({})) as daemon:
            port = daemon.port
        async with program("--prop279", environ=credentials(port)) as plugin:
            plugin.send("RESOLVE 1 a.bit s\n")
            assert await plugin.line() == "INIT 1 0\n"
            answer = await plugin.line()
            assert answer.startswith('RESOLVED 1 1 "a.bit: unavailable (Electrum-NMC cannot be reached: ')
            assert answer.endswith('"\n')

    run(main())


def start(*arguments: str, environ: Mapping[str, str]) -> tuple[int, str, str]:
    """Run the program with no input: exit code, stdout, stderr."""

    async def main() -> tuple[int, str, str]:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-m",
            "namecoin_resolver",
            *arguments,
            stdin=asyncio.subprocess.DEVNULL,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            env={"PATH": os.environ["PATH"], "PYTHONPATH": str(LAUNCHER), **environ},
        )
        out, err = await asyncio.wait_for(process.communicate(), PATIENCE)
        assert process.returncode is not None
        return process.returncode, out.decode(), err.decode()

    return asyncio.run(main())


@pytest.mark.parametrize(
    ("environ", "reason"),
    [
        ({}, "no RPC password: set NAMECOIN_RPC_PASSWORD, or name the daemon's config file"),
        (
            {"NAMECOIN_RPC_PASSWORD": "p", "TOR_NS_PROTO_VERSION": "2,3"},
            "TOR_NS_PROTO_VERSION: version 1 is not among them",
        ),
        ({"TOR_NS_PLUGIN_OPTIONS": "x"}, "TOR_NS_PLUGIN_OPTIONS: expected key=value;key=value"),
    ],
)
def test_a_plugin_that_cannot_start_says_so_in_the_protocol(environ: Mapping[str, str], reason: str) -> None:
    assert start("--prop279", environ=environ) == (2, f'INIT 1 1 "{reason}"\n', f"namecoin-resolver: {reason}\n")


def test_an_empty_session() -> None:
    assert start("--prop279", environ={"NAMECOIN_RPC_PASSWORD": "p"}) == (0, "INIT 1 0\n", "")


@pytest.mark.parametrize("arguments", [(), ("--prop279", "a.bit"), ("--rpcpassword", "x", "a.bit")])
def test_command_lines_that_make_no_sense(arguments: tuple[str, ...]) -> None:
    code, out, err = start(*arguments, environ={})
    assert (code, out) == (2, "")
    assert "namecoin-resolver: error: " in err


def test_look_ups_by_hand(tmp_path: Path) -> None:
    async def main() -> None:
        async with Daemon(serving({"d/a": GOOD, "d/ip": {"ip": "192.0.2.1"}})) as daemon:
            config = tmp_path / "config"
            config.write_text(f'{{"rpcport": {daemon.port}, "rpcuser": "{USER}", "rpcpassword": "{PASSWORD}"}}')
            config.chmod(0o600)
            async with program("--config", str(config), "a.bit", "none.bit", "\u00e4.bit", environ={}) as look:
                assert await look.ended() == (
                    1,
                    f"a.bit: {A}\n"
                    "none.bit: not registered (Name purportedly never existed)\n"
                    "\\xe4.bit: not registered (no such name can be registered)\n",
                )
            async with program("--config", str(config), "--allowip", "a.bit", "ip.bit", environ={}) as look:
                assert await look.ended() == (0, f"a.bit: {A}\nip.bit: 192.0.2.1\n")

    run(main())
