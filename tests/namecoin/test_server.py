"""The server, spoken to as any client would: lines of JSON over TCP."""

from __future__ import annotations

import asyncio
import hashlib
import json
import ssl
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from tests.namecoin import chain, names, scenario, server, tls
from tests.namecoin.ledger import Chain
from tests.namecoin.process import network
from tests.namecoin.test_chain import fold

EXAMPLE = names.index_scripthash(b"d/example")


class Client:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer, self.count = reader, writer, 0

    async def line(self) -> dict[str, Any]:
        answer: dict[str, Any] = json.loads(await self.reader.readline())
        return answer

    async def send(self, method: str, *params: object) -> None:
        self.count += 1
        request = {"jsonrpc": "2.0", "id": self.count, "method": method, "params": params}
        self.writer.write(json.dumps(request).encode() + b"\n")
        await self.writer.drain()

    async def ask(self, method: str, *params: object) -> Any:
        await self.send(method, *params)
        answer = await self.line()
        assert answer["id"] == self.count
        assert "error" not in answer, answer
        return answer["result"]

    async def refused(self, method: str, *params: object) -> int:
        """The code of the error."""
        await self.send(method, *params)
        code: int = (await self.line())["error"]["code"]
        return code


def talk(
    conversation: Callable[[Client, server.Server], Awaitable[None]],
    fault: str | None = None,
    ledger: Chain | None = None,
) -> None:
    """Have a conversation with a server of the scenario."""

    async def run() -> None:
        made = ledger or scenario.build()
        async with server.serve(made, fault=server.FAULTS[fault] if fault else None) as running:
            # A hundred headers are longer than a line may be by default.
            reader, writer = await asyncio.open_connection(server.HOST, running.port, limit=2**24)
            try:
                async with asyncio.timeout(60):
                    await conversation(Client(reader, writer), running)
            finally:
                writer.close()

    asyncio.run(run())


def test_versions_are_agreed_on() -> None:
    async def conversation(client: Client, running: server.Server) -> None:
        # As Electrum-NMC asks, which wants that very version.
        assert (await client.ask("server.version", "4.0.6", "1.4.1"))[1] == "1.4.1"
        assert (await client.ask("server.version", "", ["1.2", "1.4.5"]))[1] == "1.4.2"
        assert (await client.ask("server.version"))[1] == "1.4"
        assert await client.refused("server.version", "", "1.3") == 1
        assert await client.refused("server.version", "", ["1.4.3", "1.5"]) == 1
        assert await client.refused("server.version", "", 14) == 1

    talk(conversation)


def test_it_is_regtest() -> None:
    async def conversation(client: Client, running: server.Server) -> None:
        features = await client.ask("server.features")
        assert features["genesis_hash"] == "0f9188f13cb7b2c71f2a335e3a4fc328bf5beb436012afca590b1a11466e2206"
        for method in ("server.ping", "server.banner", "server.donation_address", "server.peers.subscribe"):
            await client.ask(method)
        assert await client.ask("mempool.get_fee_histogram") == []
        assert await client.ask("blockchain.relayfee") > 0
        assert await client.ask("blockchain.estimatefee", 2) == -1

    talk(conversation)


def test_it_tells_of_its_peers() -> None:
    async def conversation(client: Client, running: server.Server) -> None:
        assert await client.ask("server.peers.subscribe") == []
        running.peers = ("another.onion:50001",)
        assert await client.ask("server.peers.subscribe") == [["another.onion", "another.onion", ["v1.4.2", "t50001"]]]

    talk(conversation)


def test_it_speaks_tls() -> None:
    async def conversation() -> None:
        async with server.serve(scenario.build(), peers=("another.onion:50002",), tls=tls.context()) as running:
            trust = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
            trust.check_hostname, trust.verify_mode = False, ssl.CERT_NONE
            streams = await asyncio.open_connection(server.HOST, running.port, ssl=trust)
            ((_, host, can),) = await Client(*streams).ask("server.peers.subscribe")
            assert (host, can) == ("another.onion", ["v1.4.2", "s50002"])
            streams[1].close()

    asyncio.run(conversation())


def test_headers_with_and_without_their_proof_of_work() -> None:
    async def conversation(client: Client, running: server.Server) -> None:
        blocks, height = running.chain.blocks, scenario.HEIGHT
        tip = await client.ask("blockchain.headers.subscribe")
        assert tip == {"height": height, "hex": blocks[-1].full_header.hex()}
        assert await client.ask("blockchain.block.header", 7) == blocks[7].full_header.hex()
        chunk = await client.ask("blockchain.block.headers", 0, 2016)
        assert (chunk["count"], chunk["max"]) == (height + 1, 2016)
        assert chunk["hex"] == b"".join(block.full_header for block in blocks).hex()
        assert (await client.ask("blockchain.block.headers", height, 5))["count"] == 1
        assert (await client.ask("blockchain.block.headers", height + 1, 5))["count"] == 0
        # Up to a checkpoint: 80 bytes each, and a proof for the last.
        chunk = await client.ask("blockchain.block.headers", 10, 20, 100)
        assert len(chunk["hex"]) == 20 * 160
        last = chain.sha256d(bytes.fromhex(chunk["hex"][-160:]))
        assert (
            fold(last, [bytes.fromhex(node)[::-1] for node in chunk["branch"]], 29)
            == bytes.fromhex(chunk["root"])[::-1]
        )
        single = await client.ask("blockchain.block.header", 29, 100)
        assert (single["header"], single["root"], single["branch"]) == (
            chunk["hex"][-160:],
            chunk["root"],
            chunk["branch"],
        )
        for wrong in ((-1,), (height + 1,), ("7",), (29, 28), (29, height + 1)):
            assert await client.refused("blockchain.block.header", *wrong) == 1
        assert await client.refused("blockchain.block.headers", -1, 5) == 1

    talk(conversation)


def test_a_names_transaction_is_proven() -> None:
    async def conversation(client: Client, running: server.Server) -> None:
        (entry,) = await client.ask("blockchain.scripthash.get_history", EXAMPLE)
        raw = bytes.fromhex(await client.ask("blockchain.transaction.get", entry["tx_hash"]))
        assert chain.display(chain.sha256d(raw)) == entry["tx_hash"]
        assert b"d/example" in raw
        proof = await client.ask("blockchain.transaction.get_merkle", entry["tx_hash"], entry["height"])
        header = bytes.fromhex(await client.ask("blockchain.block.header", entry["height"]))
        branch = [bytes.fromhex(node)[::-1] for node in proof["merkle"]]
        assert proof["block_height"] == entry["height"]
        assert fold(chain.sha256d(raw), branch, proof["pos"]) == header[36:68]
        place = entry["height"], proof["pos"]
        assert await client.ask("blockchain.transaction.id_from_pos", *place) == entry["tx_hash"]
        with_proof = await client.ask("blockchain.transaction.id_from_pos", *place, True)
        assert with_proof == {"tx_hash": entry["tx_hash"], "merkle": proof["merkle"]}

    talk(conversation)


def test_histories() -> None:
    async def conversation(client: Client, running: server.Server) -> None:
        ask = client.ask
        changing = names.index_scripthash(b"d/changing")
        mined, waiting = await ask("blockchain.scripthash.get_history", changing)
        assert (mined["height"], waiting["height"]) == (scenario.HEIGHT - 21, 0)
        assert waiting["fee"] > 0
        assert "fee" not in mined
        assert await ask("blockchain.scripthash.get_mempool", changing) == [waiting]
        text = f"{mined['tx_hash']}:{mined['height']}:{waiting['tx_hash']}:0:"
        assert await ask("blockchain.scripthash.subscribe", changing) == hashlib.sha256(text.encode()).hexdigest()
        missing = names.index_scripthash(b"d/missing")
        assert await ask("blockchain.scripthash.get_history", missing) == []
        assert await ask("blockchain.scripthash.subscribe", missing) is None

    talk(conversation)


def test_what_is_wrong_is_refused() -> None:
    async def conversation(client: Client, running: server.Server) -> None:
        txid = chain.display(running.chain.blocks[1].txids[0])
        assert await client.refused("blockchain.transaction.get", "00" * 32) == 2
        assert await client.refused("blockchain.transaction.get", txid, True) == 1
        assert await client.refused("blockchain.transaction.get_merkle", txid, 2) == 1
        assert await client.refused("blockchain.transaction.id_from_pos", 1, 1) == 1
        for wrong in ("", "zz", "00" * 31, 7):
            assert await client.refused("blockchain.scripthash.get_history", wrong) == 1
        assert await client.refused("blockchain.nothing") == -32601
        assert await client.refused("blockchain.transaction.get") == -32602

    talk(conversation)


def test_new_blocks_are_announced_to_those_who_want_to_know() -> None:
    async def conversation(client: Client, running: server.Server) -> None:
        await client.ask("server.ping")
        running.chain.mine()
        await running.announce()
        assert (await client.ask("blockchain.headers.subscribe"))["height"] == scenario.HEIGHT + 1
        running.chain.mine(2)
        await running.announce()
        told = await client.line()
        assert told["method"] == "blockchain.headers.subscribe"
        assert told["params"][0]["height"] == scenario.HEIGHT + 3
        # What was in the mempool is mined.
        assert await client.ask("blockchain.scripthash.get_mempool", names.index_scripthash(b"d/pending")) == []
        assert [call.method for call in running.calls][:2] == ["server.ping", "blockchain.headers.subscribe"]
        assert {call.session for call in running.calls} == {1}

    talk(conversation)


async def _wrong_branch(client: Client, running: server.Server) -> None:
    (entry,) = await client.ask("blockchain.scripthash.get_history", EXAMPLE)
    proof = await client.ask("blockchain.transaction.get_merkle", entry["tx_hash"], entry["height"])
    branch = [bytes.fromhex(node)[::-1] for node in proof["merkle"]]
    root = fold(bytes.fromhex(entry["tx_hash"])[::-1], branch, proof["pos"])
    assert root != running.chain.blocks[entry["height"]].header.merkle_root


async def _other_transaction(client: Client, running: server.Server) -> None:
    (entry,) = await client.ask("blockchain.scripthash.get_history", EXAMPLE)
    raw = bytes.fromhex(await client.ask("blockchain.transaction.get", entry["tx_hash"]))
    assert chain.display(chain.sha256d(raw)) != entry["tx_hash"]


async def _broken_headers(client: Client, running: server.Server) -> None:
    blocks = [block.full_header for block in running.chain.blocks]
    height = scenario.HEIGHT // 2
    blocks[height] = blocks[height - 2]
    assert (await client.ask("blockchain.block.headers", 0, 2016))["hex"] == b"".join(blocks).hex()
    assert await client.ask("blockchain.block.header", height) == blocks[height].hex()
    assert await client.ask("blockchain.block.header", height + 1) == blocks[height + 1].hex()


async def _later_height(client: Client, running: server.Server) -> None:
    (entry,) = await client.ask("blockchain.scripthash.get_history", names.index_scripthash(b"d/expired"))
    assert entry["height"] == scenario.HEIGHT - 14
    proof = await client.ask("blockchain.transaction.get_merkle", entry["tx_hash"], entry["height"])
    branch = [bytes.fromhex(node)[::-1] for node in proof["merkle"]]
    root = fold(bytes.fromhex(entry["tx_hash"])[::-1], branch, proof["pos"])
    assert root == running.chain.blocks[proof["block_height"]].header.merkle_root
    assert proof["block_height"] == scenario.HEIGHT - 30


async def _no_headers(client: Client, running: server.Server) -> None:
    # What is asked next is answered first, and alone.
    await client.send("blockchain.block.headers", 0, 2016)
    await client.send("blockchain.block.header", 1)
    assert (await client.ask("blockchain.headers.subscribe"))["height"] == scenario.HEIGHT


async def _silence(client: Client, running: server.Server) -> None:
    await client.send("blockchain.scripthash.get_history", EXAMPLE)
    assert (await client.ask("blockchain.headers.subscribe"))["height"] == scenario.HEIGHT


_LIES = {
    "wrong-branch": _wrong_branch,
    "other-transaction": _other_transaction,
    "broken-headers": _broken_headers,
    "later-height": _later_height,
    "no-headers": _no_headers,
    "silence": _silence,
}


@pytest.mark.parametrize("fault", sorted(server.FAULTS))
def test_faults(fault: str) -> None:
    talk(_LIES[fault], fault)


def test_in_a_process_of_its_own() -> None:
    with network("--value", "d/given={}", alone=False) as net:
        assert net.height == scenario.HEIGHT

        async def conversation() -> None:
            reader, writer = await asyncio.open_connection(server.HOST, net.port, limit=2**24)
            client = Client(reader, writer)
            assert len(await client.ask("blockchain.scripthash.get_history", names.index_scripthash(b"d/given"))) == 1
            assert net.command("fault", "other-transaction") == {"fault": "other-transaction"}
            first = await client.ask("blockchain.transaction.get", "00" * 32)
            assert net.command("fault", "none") == {"fault": "none"}
            assert first == scenario.build().blocks[1].transactions[0].serialise().hex()
            assert (await client.ask("blockchain.headers.subscribe"))["height"] == scenario.HEIGHT
            assert net.command("mine", 2) == {"height": scenario.HEIGHT + 2}
            assert (await client.line())["params"][0]["height"] == scenario.HEIGHT + 2
            writer.close()

        asyncio.run(conversation())
        asked = [call["method"] for call in net.command("calls")]
        assert asked[0] == "blockchain.scripthash.get_history"
        assert net.command("calls") == []
    assert net.process.returncode is not None
