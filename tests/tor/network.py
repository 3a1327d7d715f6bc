"""The nodes of a private Tor network on loopback: their configuration, as text and keys. Nothing runs here but key tools.

After tor's own way to set up such networks (``TestingTorNetwork``, tor(1)).
"""

from __future__ import annotations

import re
import socket
import subprocess
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from tests.tor.program import Tor

HOST = "127.0.0.1"
AUTHORITIES, RELAYS = 3, 3
#: So many ports does :func:`prepare` want.
PORTS = 2 * AUTHORITIES + RELAYS + 2
#: Below the ports that systems give to clients: none of those can take one before its tor is up.
_FIRST_PORT = 20000

_COMMON = """
TestingTorNetwork 1
DataDirectory {folder}/data
Address {host}
AssumeReachable 1
PathsNeededToBuildCircuits 0.67
LearnCircuitBuildTimeout 0
CircuitBuildTimeout 10
ShutdownWaitLength 0
Log notice file {folder}/log
SafeLogging 0
{authorities}
"""
_RELAY = """
Nickname {name}
ContactInfo {name}@example.invalid
ORPort {host}:{or_port}
SocksPort 0
ExitRelay 1
ExitPolicyRejectPrivate 0
ExitPolicyRejectLocalInterfaces 0
ExitPolicy accept *:*
"""
#: Votes every 20 s: a first consensus after about as long.
_AUTHORITY = """
AuthoritativeDirectory 1
V3AuthoritativeDirectory 1
DirPort {host}:{dir_port}
V3AuthVotingInterval 20
V3AuthVoteDelay 4
V3AuthDistDelay 4
V3AuthNIntervalsValid 2
TestingV3AuthInitialVotingInterval 20
TestingV3AuthInitialVoteDelay 4
TestingV3AuthInitialDistDelay 4
TestingDirAuthVoteExit *
TestingDirAuthVoteGuard *
TestingDirAuthVoteHSDir *
TestingMinExitFlagThreshold 0
TestingAuthDirTimeToLearnReachability 0
"""
#: Six relays are too few to have guards for the second hop, too.
_EDGE = """
VanguardsLiteEnabled 0
"""
_CLIENT = """
SocksPort {host}:{socks} {flags}
ControlPort {host}:{control}
CookieAuthentication 1
HashedControlPassword {hashed}
"""
#: What Tor Browser sets for its own port.
BROWSER_FLAGS = "IPv6Traffic PreferIPv6 KeepAliveIsolateSOCKSAuth"
_SERVICE = """
HiddenServiceDir {folder}/{name}
HiddenServicePort {port} {host}:{target}
"""


@dataclass(frozen=True, slots=True)
class Node:
    """One tor: a name and its folder, which has ``torrc``."""

    name: str
    folder: Path

    @property
    def log(self) -> Path:
        return self.folder / "log"

    def argv(self, tor: Tor) -> list[str]:
        return [str(tor.tor), "--quiet", "--defaults-torrc", "/dev/null", "-f", str(self.folder / "torrc")]


@dataclass(frozen=True, slots=True)
class Service:
    """An onion service: ``port`` of its address leads to ``target`` on loopback."""

    name: str
    port: int
    target: int


@dataclass(frozen=True, slots=True)
class Network:
    """All that is to be run, in this order; ``client`` is the last of ``nodes``."""

    nodes: tuple[Node, ...]
    socks: int
    control: int
    password: str
    cookie: Path
    host: Node

    @property
    def relays(self) -> tuple[Node, ...]:
        """Those that make a network; the others use it."""
        return self.nodes[: AUTHORITIES + RELAYS]

    @property
    def client(self) -> Node:
        return self.nodes[-1]

    def agreed(self) -> bool:
        """Whether each relay knows of all, from a vote of the authorities."""
        return all(_listed(node.folder / "data/cached-microdesc-consensus") == len(self.relays) for node in self.relays)

    def onion(self, name: str) -> str:
        """A service's address; its tor writes it down when it starts."""
        return (self.host.folder / name / "hostname").read_text("ascii").strip()


def _listed(consensus: Path) -> int:
    """The number of relays in a consensus; 0 if there is none yet."""
    try:
        return len(re.findall(r"^s .*\bRunning\b", consensus.read_text("ascii"), re.MULTILINE))
    except OSError:
        return 0


def free_ports(count: int) -> list[int]:
    """Ports on loopback where nothing listens."""
    found: list[int] = []
    port = _FIRST_PORT
    while len(found) < count:
        port += 1
        with socket.socket() as probe:
            try:
                probe.bind((HOST, port))
            except OSError:
                continue
        found.append(port)
    return found


@dataclass(frozen=True, slots=True)
class _Keys:
    """What clients know of an authority: ``identity`` signs votes, ``fingerprint`` is the relay's."""

    identity: str
    fingerprint: str
    ports: tuple[int, int] = field(default=(0, 0))


def prepare(tor: Tor, folder: Path, services: Sequence[Service], password: str, free: Sequence[int]) -> Network:
    """Write configurations and keys below ``folder``; takes a second or two for the authorities' keys."""
    ports = iter(free)
    names = [f"authority{number}" for number in range(AUTHORITIES)]
    or_ports = {name: (next(ports), next(ports)) for name in names}
    makers = {name: _authority_keys(tor, folder / name, or_ports[name]) for name in names}
    keys = {name: makers[name] for name in names}
    authorities = "\n".join(
        f"DirAuthority {name} orport={key.ports[0]} no-v2 v3ident={key.identity}"
        f" {HOST}:{key.ports[1]} {key.fingerprint}"
        for name, key in keys.items()
    )

    def node(name: str, more: str) -> Node:
        made = folder / name
        made.mkdir(mode=0o700, exist_ok=True)
        common = _COMMON.format(folder=made, host=HOST, authorities=authorities)
        (made / "torrc").write_text(common + more)
        return Node(name, made)

    def relay(name: str, or_port: int) -> str:
        return _RELAY.format(name=name, host=HOST, or_port=or_port)

    nodes = [
        node(name, relay(name, key.ports[0]) + _AUTHORITY.format(host=HOST, dir_port=key.ports[1]))
        for name, key in keys.items()
    ]
    nodes += [node(name, relay(name, next(ports))) for name in (f"relay{number}" for number in range(RELAYS))]
    lines = "".join(
        _SERVICE.format(folder=folder / "service", host=HOST, name=item.name, port=item.port, target=item.target)
        for item in services
    )
    nodes.append(node("service", _EDGE + "SocksPort 0\n" + lines))
    socks, control = next(ports), next(ports)
    client = _CLIENT.format(host=HOST, socks=socks, flags=BROWSER_FLAGS, control=control, hashed=_hash(tor, password))
    nodes.append(node("client", _EDGE + client))
    cookie = folder / "client/data/control_auth_cookie"
    return Network(tuple(nodes), socks, control, password, cookie, nodes[-2])


def _authority_keys(tor: Tor, folder: Path, ports: tuple[int, int]) -> _Keys:
    keys = folder / "data/keys"
    keys.mkdir(parents=True, mode=0o700)
    for made in (folder, folder / "data"):
        made.chmod(0o700)
    certificate = keys / "authority_certificate"
    line: list[str | Path] = [
        tor.gencert,
        "--create-identity-key",
        "--passphrase-fd",
        "0",
        "-m",
        "12",
        "-a",
        f"{HOST}:{ports[1]}",
    ]
    line += ["-i", keys / "authority_identity_key", "-s", keys / "authority_signing_key", "-c", certificate]
    subprocess.run(line, env=tor.env, input=b"test\n", capture_output=True, check=True)
    identity = re.search(r"^fingerprint (\S+)", certificate.read_text("ascii"), re.MULTILINE)
    listing: list[str | Path] = [
        tor.tor,
        "--quiet",
        "--defaults-torrc",
        "/dev/null",
        "--ignore-missing-torrc",
        "-f",
        folder / "none",
    ]
    listing += ["--list-fingerprint", "--ORPort", str(ports[0]), "--Nickname", folder.name]
    listing += ["--DataDirectory", folder / "data"]
    said = subprocess.run(listing, env=tor.env, capture_output=True, text=True, check=True).stdout
    fingerprint = re.search(r"^\S+ ((?:[0-9A-F]{4} ?){10})$", said, re.MULTILINE)
    assert identity and fingerprint, said
    return _Keys(identity[1], fingerprint[1].replace(" ", ""), ports)


def _hash(tor: Tor, password: str) -> str:
    line = [str(tor.tor), "--quiet", "--hash-password", password]
    done = subprocess.run(line, env=tor.env, capture_output=True, text=True, check=True)
    return done.stdout.split()[-1]
