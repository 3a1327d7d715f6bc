"""Makes keys and signatures with a gpg that has a home of its own."""

from __future__ import annotations

import re
import subprocess
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Gpg:
    """A gpg with a home of its own."""

    home: Path

    def run(self, *arguments: str | Path, stdin: bytes = b"") -> bytes:
        return subprocess.run(
            ["gpg", "--homedir", self.home, "--batch", "--quiet", "--pinentry-mode=loopback", "--passphrase=",
             "--no-tty", *arguments],
            input=stdin, check=True, capture_output=True,
        ).stdout  # fmt: skip

    def key(self, name: str, *, expires: str = "never", at: str = "20200101T000000!") -> str:
        """A new key's fingerprint."""
        self.run(f"--faked-system-time={at}", "--quick-generate-key", f"{name} <{name}@example.org>", "ed25519",
                 "sign", expires)  # fmt: skip
        listing = self.run("--with-colons", "--list-keys", f"{name}@example.org").decode()
        found = re.search(r"^fpr:+([0-9A-F]{40}):", listing, re.MULTILINE)
        assert found is not None
        return found[1]

    def sign(self, file: Path, name: str, *, at: str = "20200601T000000!") -> Path:
        signature = file.with_name(f"{file.name}.asc")
        self.run(f"--faked-system-time={at}", f"--local-user={name}@example.org", "--armor", "--detach-sign",
                 "--output", signature, "--yes", file)  # fmt: skip
        return signature

    def export(self, keyring: Path, *names: str) -> Path:
        keyring.write_bytes(self.run("--armor", "--export", *(f"{name}@example.org" for name in names)))
        return keyring
