"""What a Windows has and Wine's prefix has not: an authority among the certificates, UTF-8 as the code page, PATHEXT.

*Certificates.* Windows has certificates of intermediate authorities and a revocation list in its store "CA"; Wine's is
empty. authority.pem and authority.crl were made by OpenSSL (``openssl req -x509 -newkey ec -pkeyopt
ec_paramgen_curve:P-256``, ``openssl ca -gencrl``); nothing is signed with them, and the key is gone.

*Code page.* "Beta: Use Unicode UTF-8 for worldwide language support" in Windows' settings makes 65001 the ANSI and OEM code
page of all programs. Wine has no such setting: it takes them from what its table of locales says of the system's.

*PATHEXT.* Windows has it in capitals; tests compare.
"""

from __future__ import annotations

import base64
import hashlib
import struct
from pathlib import Path

from packager.errors import MachineError

#: The files that :func:`complete` makes.
LOCALES, REGISTRY = "locale.nls", "machine.reg"
#: Where Wine has its table of locales, below its root.
LOCALES_OF_WINE = Path("usr/share/wine/nls/locale.nls")
UTF_8 = 65001
#: The language that Wine has with LANG=C.
ENGLISH_US = 0x0409

_STORE = r"Software\\Microsoft\\SystemCertificates\\CA"
_CODE_PAGES = r"System\\ControlSet001\\Control\\Nls\\CodePage"
_VARIABLES = r"System\\ControlSet001\\Control\\Session Manager\\Environment"
_PATHEXT = ".COM;.EXE;.BAT;.CMD;.VBS;.VBE;.JS;.JSE;.WSF;.WSH;.MSC"
#: Property ids of a serialised store (wincrypt.h: CERT_SHA1_HASH_PROP_ID, and what CertSerialize*StoreElement() writes).
_HASH, _CERTIFICATE, _LIST = 3, 32, 33
#: NLS_LOCALE_HEADER and NLS_LOCALE_DATA in Wine's include/winternl.h.
_MAGIC = b"NSDS"
_ANSI_CODE_PAGE = 0x6E


def complete(wine_root: Path, folder: Path) -> None:
    """Write :data:`LOCALES` and :data:`REGISTRY` (lines for Wine's system.reg) to ``folder``. MachineError for another Wine."""
    table = (wine_root / LOCALES_OF_WINE).read_bytes()
    (folder / LOCALES).write_bytes(with_code_page(table, ENGLISH_US, UTF_8))
    here = Path(__file__)
    certificate, revoked = here.with_name("authority.pem"), here.with_name("authority.crl")
    text = [
        "",
        *key(_CODE_PAGES, dict.fromkeys(("ACP", "OEMCP"), f'"{UTF_8}"')),
        *key(_VARIABLES, {"PATHEXT": f'"{_PATHEXT}"'}),
        *element("Certificates", _CERTIFICATE, from_pem(certificate.read_text("ascii"))),
        *element("CRLs", _LIST, from_pem(revoked.read_text("ascii"))),
    ]
    (folder / REGISTRY).write_text("\n".join(text) + "\n", "ascii")


def key(path: str, values: dict[str, str]) -> list[str]:
    """A key of the registry with its values, as Wine's files have it. Backslashes in ``path`` are doubled."""
    return [f"[{path}] 1735689600", *(f'"{name}"={value}' for name, value in sorted(values.items())), ""]


def element(kind: str, property_id: int, content: bytes) -> list[str]:
    """A certificate or list (``content`` in DER) in the store of authorities."""
    digest = hashlib.sha1(content, usedforsecurity=False).digest()
    blob = b"".join(
        struct.pack("<III", number, 1, len(value)) + value
        for number, value in ((_HASH, digest), (property_id, content))
    )
    return key(f"{_STORE}\\\\{kind}\\\\{digest.hex().upper()}", {"Blob": f"hex:{blob.hex(',')}"})


def from_pem(text: str) -> bytes:
    """The DER in a PEM text with one object."""
    return base64.b64decode("".join(line for line in text.splitlines() if not line.startswith("-----")))


def with_code_page(table: bytes, language: int, code_page: int) -> bytes:
    """Wine's table of locales (locale.nls) with another ANSI and OEM code page for one language.

    MachineError if it is no such table, or has no such language.
    """
    (start,) = struct.unpack_from("<I", table, 16)
    if table[start + 12 : start + 16] != _MAGIC:
        raise MachineError(f"{LOCALES_OF_WINE}: expected Wine's table of locales, found something else")
    count, _, size, locales = struct.unpack_from("<HHHI", table, start + 30)
    (index,) = struct.unpack_from("<I", table, start + 44)
    for number in range(count):
        found, place, _ = struct.unpack_from("<IHH", table, start + index + 8 * number)
        if found == language:
            made = bytearray(table)
            struct.pack_into("<HH", made, start + locales + size * place + _ANSI_CODE_PAGE, code_page, code_page)
            return bytes(made)
    raise MachineError(f"{LOCALES_OF_WINE}: expected a locale {language:#06x}, found none")
