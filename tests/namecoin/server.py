"""An Electrum server (protocol 1.4) over a :class:`ledger.Chain`.

It does what clients that look up names ask for; balances and broadcasting are not among it. Namecoin's ElectrumX is the
model: histories of names under ``names.index_scripthash``, AuxPoW with each header that is above the checkpoint asked
for. A fault makes it a server that lies or fails.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Any

from aiorpcx import RPCError, RPCSession, handler_invocation, serve_rs  # type: ignore[import-untyped]

from tests.namecoin import chain
from tests.namecoin.ledger import Chain

HOST = "127.0.0.1"
#: Electrum-NMC disconnects unless the server takes up the very version that it offers, 1.4.1.
OLDEST, NEWEST = (1, 4), (1, 4, 2)
MAX_HEADERS = 2016
#: ElectrumX's codes.
_BAD_REQUEST, _DAEMON_ERROR = 1, 2

#: Given the chain, a call's method and arguments, and what finds its honest result (or raises): what is answered.
Fault = Callable[[Chain, str, tuple[Any, ...], Callable[[], Any]], Awaitable[Any]]


@dataclass(frozen=True, slots=True)
class Call:
    """What a client asked; ``session`` counts connections, ``port`` is the client's."""

    session: int
    port: int
    method: str
    arguments: tuple[Any, ...]


@dataclass(slots=True)
class Server:
    """A server that runs. ``fault`` may be set at any time, ``chain`` may grow: then ``announce`` it."""

    chain: Chain
    port: int = 0
    #: Other servers that clients are told of, each ``HOST:PORT``; they speak TLS if this one does.
    peers: tuple[str, ...] = ()
    tls: bool = False
    fault: Fault | None = None
    calls: list[Call] = field(default_factory=list)
    sessions: int = 0
    _subscribed: list[_Session] = field(default_factory=list)

    async def announce(self) -> None:
        """Tell clients of the chain's new tip."""
        for session in self._subscribed:
            with contextlib.suppress(OSError):
                await session.send_notification("blockchain.headers.subscribe", (_tip(self.chain),))


@contextlib.asynccontextmanager
async def serve(
    ledger: Chain,
    *,
    host: str = HOST,
    port: int = 0,
    peers: tuple[str, ...] = (),
    tls: ssl.SSLContext | None = None,
    fault: Fault | None = None,
) -> AsyncIterator[Server]:
    """Serve a chain while the block runs, on an address of this machine; port 0 is any free one."""
    server = Server(ledger, peers=peers, tls=tls is not None, fault=fault)
    opened: list[_Session] = []

    def open_session(transport: Any) -> _Session:
        opened.append(_Session(transport, server))
        return opened[-1]

    listening = await serve_rs(open_session, host, port, ssl=tls)
    server.port = listening.sockets[0].getsockname()[1]
    try:
        yield server
    finally:
        listening.close()
        for session in opened:
            await session.abort()
        await listening.wait_closed()


class _Session(RPCSession):  # type: ignore[misc]
    """One client's connection."""

    #: No limits: a fault may answer late, and tests ask fast.
    cost_hard_limit = 0
    processing_timeout = 3600.0

    def __init__(self, transport: Any, server: Server) -> None:
        super().__init__(transport)
        server.sessions += 1
        self._server, self._number, self._port = server, server.sessions, self.remote_address().port

    async def connection_lost(self) -> None:
        await super().connection_lost()
        with contextlib.suppress(ValueError):
            self._server._subscribed.remove(self)

    async def handle_request(self, request: Any) -> Any:
        method, arguments = request.method, tuple(request.args)
        self._server.calls.append(Call(self._number, self._port, method, arguments))
        handler = _METHODS.get(method)
        # The one thing asked about servers, not about the chain.
        about = self._server if method == "server.peers.subscribe" else self._server.chain
        invocation = handler_invocation(handler and _bound(handler, about), request)
        if method == "blockchain.headers.subscribe" and self not in self._server._subscribed:
            self._server._subscribed.append(self)
        if self._server.fault is not None:
            return await self._server.fault(self._server.chain, method, arguments, invocation)
        return invocation()


def _bound(handler: Callable[..., Any], about: object) -> Callable[..., Any]:
    """``functools.partial`` loses the signature that the number of arguments is checked by."""
    return handler.__get__(about)  # type: ignore[no-any-return]


def _error(message: str) -> RPCError:
    return RPCError(_BAD_REQUEST, message)


def _tip(ledger: Chain) -> dict[str, object]:
    return {"height": ledger.height, "hex": ledger.blocks[-1].full_header.hex()}


def _block(ledger: Chain, height: object) -> chain.Block:
    if type(height) is not int or not 0 <= height <= ledger.height:
        raise _error(f"height {height!r} is out of range")
    return ledger.blocks[height]


def _place(ledger: Chain, txid: object, height: object) -> tuple[chain.Block, int]:
    """A transaction's block and its position in it."""
    block = _block(ledger, height)
    digest = _digest(txid)
    if digest not in block.txids:
        raise _error(f"tx {txid} not in block at height {height}")
    return block, block.txids.index(digest)


def _digest(text: object) -> bytes:
    try:
        digest = bytes.fromhex(str(text))[::-1]
    except ValueError:
        digest = b""
    if len(digest) != 32:
        raise _error(f"{text!r} should be a hash")
    return digest


def _branch(block: chain.Block, position: int) -> list[str]:
    return [chain.display(node) for node in chain.merkle_branch(block.txids, position)]


def _proof(ledger: Chain, height: int, checkpoint: int) -> dict[str, object]:
    """That a header is among those up to a checkpoint's: root and branch of the tree of their hashes."""
    if not height <= checkpoint <= ledger.height:
        raise _error(f"checkpoint {checkpoint} is not between {height} and the tip")
    levels = [block.header.hash for block in ledger.blocks[: checkpoint + 1]]
    branch = [chain.display(node) for node in chain.merkle_branch(levels, height)]
    return {"root": chain.display(chain.merkle_root(levels)), "branch": branch}


def server_version(ledger: Chain, client: str = "", protocol: Any = "1.4") -> list[str]:
    offered = [protocol] * 2 if isinstance(protocol, str) else protocol
    try:
        least, most = (tuple(int(part) for part in item.split(".")) for item in offered)
    except (AttributeError, TypeError, ValueError):
        raise _error(f"invalid protocol version: {protocol!r}") from None
    agreed = min(most, NEWEST)
    if agreed < max(least, OLDEST):
        raise _error(f"unsupported protocol version: {protocol}")
    return ["Namecoin test server", ".".join(map(str, agreed))]


def server_peers(server: Server) -> list[tuple[str, str, list[str]]]:
    """Address, name, and what it can: protocol version and port (``s``: with TLS)."""
    hosts = (peer.rpartition(":") for peer in server.peers)
    return [(host, host, ["v1.4.2", f"{'s' if server.tls else 't'}{port}"]) for host, _, port in hosts]


def server_features(ledger: Chain) -> dict[str, object]:
    return {
        "hosts": {},
        "pruning": None,
        "server_version": "Namecoin test server",
        "protocol_min": ".".join(map(str, OLDEST)),
        "protocol_max": ".".join(map(str, NEWEST)),
        "genesis_hash": chain.display(ledger.blocks[0].header.hash),
        "hash_function": "sha256",
    }


def block_header(ledger: Chain, height: int, cp_height: int = 0) -> object:
    block = _block(ledger, height)
    if not cp_height:
        return block.full_header.hex()
    return {"header": block.header.serialise().hex(), **_proof(ledger, height, cp_height)}


def block_headers(ledger: Chain, start_height: int, count: int, cp_height: int = 0) -> dict[str, object]:
    if type(start_height) is not int or type(count) is not int or start_height < 0 or count < 0:
        raise _error("start_height and count should be non-negative integers")
    blocks = ledger.blocks[start_height : start_height + min(count, MAX_HEADERS)]
    parts = (block.header.serialise() if cp_height else block.full_header for block in blocks)
    answer: dict[str, object] = {"hex": b"".join(parts).hex(), "count": len(blocks), "max": MAX_HEADERS}
    if cp_height and blocks:
        answer |= _proof(ledger, start_height + len(blocks) - 1, cp_height)
    return answer


def scripthash_get_history(ledger: Chain, scripthash: str) -> list[dict[str, object]]:
    _digest(scripthash)
    return [
        {"height": item.height, "tx_hash": chain.display(item.txid)} | ({} if item.height else {"fee": item.fee})
        for item in ledger.history(scripthash)
    ]


def scripthash_get_mempool(ledger: Chain, scripthash: str) -> list[dict[str, object]]:
    return [item for item in scripthash_get_history(ledger, scripthash) if not item["height"]]


def scripthash_subscribe(ledger: Chain, scripthash: str) -> str | None:
    """A history's status; changes of it are not told."""
    history = scripthash_get_history(ledger, scripthash)
    text = "".join(f"{item['tx_hash']}:{item['height']}:" for item in history)
    return hashlib.sha256(text.encode()).hexdigest() if text else None


def transaction_get(ledger: Chain, tx_hash: str, verbose: bool = False) -> str:
    if verbose:
        raise _error("verbose transactions are not supported")
    try:
        return ledger.transaction(_digest(tx_hash)).serialise().hex()
    except KeyError:
        raise RPCError(_DAEMON_ERROR, f"no such mempool or blockchain transaction: {tx_hash}") from None


def transaction_get_merkle(ledger: Chain, tx_hash: str, height: int) -> dict[str, object]:
    block, position = _place(ledger, tx_hash, height)
    return {"block_height": height, "merkle": _branch(block, position), "pos": position}


def transaction_id_from_pos(ledger: Chain, height: int, tx_pos: int, merkle: bool = False) -> object:
    block = _block(ledger, height)
    if type(tx_pos) is not int or not 0 <= tx_pos < len(block.txids):
        raise _error(f"no tx at position {tx_pos!r} in block at height {height}")
    tx_hash = chain.display(block.txids[tx_pos])
    return {"tx_hash": tx_hash, "merkle": _branch(block, tx_pos)} if merkle else tx_hash


def _always(value: object) -> Callable[[Chain], object]:
    """A method of no arguments that has always the same to say."""

    def answer(ledger: Chain) -> object:
        return value

    return answer


def estimatefee(ledger: Chain, number: int) -> int:
    """Not known."""
    return -1


_METHODS: Mapping[str, Callable[..., Any]] = MappingProxyType(
    {
        "blockchain.block.header": block_header,
        "blockchain.block.headers": block_headers,
        "blockchain.estimatefee": estimatefee,
        "blockchain.headers.subscribe": _tip,
        "blockchain.relayfee": _always(0.001),
        "blockchain.scripthash.get_history": scripthash_get_history,
        "blockchain.scripthash.get_mempool": scripthash_get_mempool,
        "blockchain.scripthash.subscribe": scripthash_subscribe,
        "blockchain.transaction.get": transaction_get,
        "blockchain.transaction.get_merkle": transaction_get_merkle,
        "blockchain.transaction.id_from_pos": transaction_id_from_pos,
        "mempool.get_fee_histogram": _always([]),
        "server.banner": _always("A Namecoin chain for tests"),
        "server.donation_address": _always(""),
        "server.features": server_features,
        "server.peers.subscribe": server_peers,
        "server.ping": _always(None),
        "server.version": server_version,
    }
)


async def wrong_branch(ledger: Chain, method: str, arguments: tuple[Any, ...], honest: Callable[[], Any]) -> Any:
    """A Merkle proof that leads elsewhere."""
    if method == "blockchain.transaction.get_merkle":
        proof = honest()
        return proof | {"merkle": [chain.display(chain.sha256d(b"no node of it")), *proof["merkle"][1:]]}
    return honest()


async def other_transaction(ledger: Chain, method: str, arguments: tuple[Any, ...], honest: Callable[[], Any]) -> Any:
    """Another transaction than the one asked for."""
    if method == "blockchain.transaction.get":
        return ledger.blocks[1].transactions[0].serialise().hex()
    return honest()


async def broken_headers(ledger: Chain, method: str, arguments: tuple[Any, ...], honest: Callable[[], Any]) -> Any:
    """A chain of headers that does not hang together: half-way, a header is another's."""
    height = ledger.height // 2
    other = ledger.blocks[height - 2].full_header
    if method == "blockchain.block.header" and arguments[0] == height:
        return other.hex()
    if method == "blockchain.block.headers":
        first, count = arguments[:2]
        headers = [block.full_header for block in ledger.blocks[first : first + count]]
        if first <= height < first + len(headers):
            headers[height - first] = other
        return honest() | {"hex": b"".join(headers).hex()}
    return honest()


async def no_headers(ledger: Chain, method: str, arguments: tuple[Any, ...], honest: Callable[[], Any]) -> Any:
    """The tip is told, the headers up to it are not: a client that stays behind."""
    if method in ("blockchain.block.header", "blockchain.block.headers"):
        await asyncio.Event().wait()
    return honest()


async def silence(ledger: Chain, method: str, arguments: tuple[Any, ...], honest: Callable[[], Any]) -> Any:
    """No answer about any name, ever."""
    if method == "blockchain.scripthash.get_history":
        await asyncio.Event().wait()
    return honest()


async def later_height(ledger: Chain, method: str, arguments: tuple[Any, ...], honest: Callable[[], Any]) -> Any:
    """Everything mined was mined 15 blocks ago, say histories; the proofs are those of where it really was."""
    if method == "blockchain.scripthash.get_history":
        return [item | {"height": ledger.height - 14} if item["height"] else item for item in honest()]
    if method == "blockchain.transaction.get_merkle":
        height, _ = ledger.places[_digest(arguments[0])]
        return transaction_get_merkle(ledger, arguments[0], height)
    return honest()


FAULTS: Mapping[str, Fault] = MappingProxyType(
    {
        "wrong-branch": wrong_branch,
        "other-transaction": other_transaction,
        "broken-headers": broken_headers,
        "no-headers": no_headers,
        "silence": silence,
        "later-height": later_height,
    }
)
