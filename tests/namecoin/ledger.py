"""A chain that grows by mining, keeps the rules that concern names, and knows every script's history."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from tests.namecoin import chain, names
from tests.namecoin.chain import Block, Header, Input, Outpoint, Output, Transaction

SUBSIDY = 50 * chain.COIN
#: Blocks before a coinbase's output may be spent.
COINBASE_MATURITY = 100
#: Seconds between blocks.
SPACING = 600


class RuleError(ValueError):
    """A transaction that no block may have."""


@dataclass(frozen=True, slots=True)
class Coin:
    """An unspent output and the height of its block."""

    output: Output
    height: int
    coinbase: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """A transaction in a script's history; ``height`` is 0 in the mempool, ``fee`` is known there only."""

    txid: bytes
    height: int
    fee: int = 0


class Chain:
    """Blocks from regtest's first on, and a mempool. Equal calls make equal chains.

    ``start`` is the second block's time, in seconds since 1970.
    """

    def __init__(self, start: int = 1_735_689_600) -> None:
        self.blocks: list[Block] = [chain.GENESIS]
        self.mempool: dict[bytes, Transaction] = {}
        self.coins: dict[Outpoint, Coin] = {}
        #: Where a mined transaction is: height and position.
        self.places: dict[bytes, tuple[int, int]] = {chain.GENESIS.txids[0]: (0, 0)}
        self._start = start
        self._histories: dict[str, list[Entry]] = {}
        #: The last operation on each name: its output and height.
        self._names: dict[bytes, tuple[Outpoint, int]] = {}

    @property
    def height(self) -> int:
        return len(self.blocks) - 1

    def transaction(self, txid: bytes) -> Transaction:
        """A transaction of the chain or the mempool; KeyError."""
        if txid in self.mempool:
            return self.mempool[txid]
        height, position = self.places[txid]
        return self.blocks[height].transactions[position]

    def history(self, scripthash: str) -> list[Entry]:
        """What touched a script or a name (``names.index_scripthash``), oldest first, the mempool's last."""
        waiting = [
            Entry(txid, 0, self._fee(item))
            for txid, item in self.mempool.items()
            if scripthash in self._touched(item, [self.coins[spent.outpoint].output for spent in item.inputs])
        ]
        return self._histories.get(scripthash, []) + waiting

    def submit(self, transaction: Transaction) -> None:
        """Put a transaction into the mempool, from where the next block takes it. RuleError if no block could."""
        spent = {item.outpoint for other in self.mempool.values() for item in other.inputs}
        for item in transaction.inputs:
            coin = self.coins.get(item.outpoint)
            if coin is None or item.outpoint in spent:
                raise RuleError("it spends what is not there")
            if coin.coinbase and self.height + 1 - coin.height < COINBASE_MATURITY:
                raise RuleError(f"it spends a coinbase of less than {COINBASE_MATURITY} blocks")
        if len({item.outpoint for item in transaction.inputs}) < len(transaction.inputs):
            raise RuleError("it spends an output twice")
        if self._fee(transaction) < 0:
            raise RuleError("it spends more than it has")
        self._check_name(transaction)
        self.mempool[transaction.txid] = transaction

    def mine(self, count: int = 1) -> Block:
        """Mine ``count`` blocks, the first with all of the mempool, and return the last.

        Every second one is merge-mined: clients meet both kinds of header.
        """
        for _ in range(count):
            height, time = self.height + 1, self._start + self.height * SPACING
            waiting = tuple(self.mempool.values())
            # The reward's script is another at each height, so that its transaction is, too.
            mark = chain.height_mark(height) + chain.push(b"regtest")
            reward = SUBSIDY + sum(map(self._fee, waiting))
            transactions = (chain.coinbase(mark, reward, chain.address_script(b"miner %d" % height)), *waiting)
            root = chain.merkle_root([item.txid for item in transactions])
            header, auxpow = Header(chain.VERSION, self.blocks[-1].header.hash, root, time), b""
            if height % 2:
                header = Header(header.version | chain.AUXPOW_BIT, header.previous, root, time)
                auxpow = chain.auxpow(header.hash, time)
            else:
                header = chain.solve(header)
            self._append(Block(header, transactions, auxpow))
        return self.blocks[-1]

    def _append(self, block: Block) -> None:
        self.blocks.append(block)
        for position, item in enumerate(block.transactions):
            coins = [self.coins.pop(entry.outpoint).output for entry in item.inputs if position]
            txid = block.txids[position]
            self.places[txid] = self.height, position
            self.mempool.pop(txid, None)
            for index, output in enumerate(item.outputs):
                self.coins[Outpoint(txid, index)] = Coin(output, self.height, position == 0)
                operation, _ = names.split(output.script)
                if isinstance(operation, names.NameFirstUpdate | names.NameUpdate):
                    self._names[operation.name] = Outpoint(txid, index), self.height
            for key in sorted(self._touched(item, coins)):
                self._histories.setdefault(key, []).append(Entry(txid, self.height))

    def _fee(self, transaction: Transaction) -> int:
        into = sum(self.coins[item.outpoint].output.value for item in transaction.inputs)
        return into - sum(output.value for output in transaction.outputs)

    @staticmethod
    def _touched(transaction: Transaction, spent: Sequence[Output]) -> set[str]:
        """The keys under which a server lists a transaction: those of owners' scripts, and of names that it sets."""
        keys = {chain.scripthash(names.split(output.script)[1]) for output in (*transaction.outputs, *spent)}
        for output in transaction.outputs:
            operation, _ = names.split(output.script)
            if isinstance(operation, names.NameFirstUpdate | names.NameUpdate):
                keys.add(names.index_scripthash(operation.name))
        return keys

    def _check_name(self, transaction: Transaction) -> None:
        """Namecoin's rules for a transaction that the next block would have; RuleError."""
        into = [(item.outpoint, self.coins[item.outpoint]) for item in transaction.inputs]
        before = [(place, coin, op) for place, coin in into if (op := names.split(coin.output.script)[0])]
        after = [(output, op) for output in transaction.outputs if (op := names.split(output.script)[0])]
        if transaction.version != names.VERSION:
            if before or after:
                raise RuleError("a name in a transaction of another version")
            return
        if len(after) != 1 or len(before) > 1:
            raise RuleError("more or less than one name")
        (output, operation), height = after[0], self.height + 1
        if output.value < names.LOCKED:
            raise RuleError("too little is locked in the name")
        if isinstance(operation, names.NameNew):
            if before or len(operation.commitment) != 20:
                raise RuleError("a name_new of another form")
            return
        if len(operation.name) > names.MAX_NAME or len(operation.value) > names.MAX_VALUE:
            raise RuleError("a name or a value is too long")
        if not before:
            raise RuleError("nothing is spent that allows it")
        place, coin, parent = before[0]
        known = self._names.get(operation.name)
        alive = known is not None and known[1] + names.EXPIRATION > height
        if isinstance(operation, names.NameFirstUpdate):
            made = names.commitment(operation.name, operation.salt)
            if (
                not isinstance(parent, names.NameNew)
                or parent.commitment != made
                or len(operation.salt) > names.MAX_SALT
            ):
                raise RuleError("a name_firstupdate without its name_new")
            if coin.height + names.MATURITY > height:
                raise RuleError("a name_firstupdate too soon after its name_new")
            if alive:
                raise RuleError("the name is somebody's")
        elif isinstance(parent, names.NameNew) or parent.name != operation.name or known is None or known[0] != place:
            raise RuleError("a name_update without the name's last operation")
        elif not alive:
            raise RuleError("a name_update of an expired name")


def spend(coins: Sequence[tuple[Outpoint, bytes]], outputs: Sequence[Output], *, name: bool) -> Transaction:
    """A transaction that spends outputs of ``chain.address_script(tag)``, each given with its tag."""
    inputs = tuple(Input(place, chain.push(chain.redeem_script(tag))) for place, tag in coins)
    return Transaction(inputs, tuple(outputs), names.VERSION if name else 1)
