"""The graph as one page: drawn, searchable, and for each module why it is there. It needs nothing but itself.

The page's policy allows its own style and its own script by their hashes and nothing else, so neither a name out of a
hostile file nor a mistake in the script can make it fetch, send or run anything.
"""

from __future__ import annotations

import base64
import hashlib
import re
from html import escape
from pathlib import Path

import msgspec

from packager.deps import document, drawing
from packager.deps.model import Graph
from packager.deps.search import RULES
from packager.deps.text import clean
from packager.deps.tree import RULES as NAMES

_PARTS = Path(__file__).resolve().parents[1] / "data"
_MARK = re.compile(r"@(\w+)@")


def page(graph: Graph) -> bytes:
    """The page, as UTF-8; the same graph gives the same bytes.

    It holds the document of :mod:`packager.deps.document` whole, in the element ``graph``. ``#node=ID`` behind its
    address chooses the module with that id.
    """
    style, script = _part("deps.css"), _part("deps.js")
    rules = {name: (NAMES[name], meaning) for name, meaning in RULES.items()}
    parts = {
        "policy": _policy(style, script),
        "title": escape(_title(graph)),
        "style": style,
        "script": script,
        "graph": _data(document.document(graph)),
        "symbols": _data(_symbols(graph)),
        "drawing": _data({**msgspec.to_builtins(drawing.draw(graph)), "rules": rules}),
    }
    return _MARK.sub(lambda mark: parts[mark[1]], _part("deps.html")).encode()


def _part(name: str) -> str:
    return (_PARTS / name).read_text("utf-8")


def _policy(style: str, script: str) -> str:
    """What the browser is to allow: these two, by their hashes. Script cannot turn text into markup either."""
    return (
        f"default-src 'none'; style-src '{_hash(style)}'; script-src '{_hash(script)}'; "
        "base-uri 'none'; form-action 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


def _hash(text: str) -> str:
    return f"sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}"


def _data(value: object) -> str:
    """JSON that can stand in a script element: what could end it, or begin a comment, is written as escapes."""
    text = msgspec.json.encode(value).decode()
    return text.replace("<", "\\u003c").replace(">", "\\u003e").replace("&", "\\u0026")


def _symbols(graph: Graph) -> dict[str, object]:
    """What each edge asks for, as places in a list of all the names: the same ones are asked for again and again."""
    places: dict[str, int] = {}
    edges = [[places.setdefault(str(symbol), len(places)) for symbol in edge.wanted] for edge in graph.edges]
    return {"names": list(places), "edges": edges}


def _title(graph: Graph) -> str:
    roots = [clean(module.name) for module in graph.roots]
    if not roots:
        return "DLL dependencies"
    more = f" and {len(roots) - 1} more" if len(roots) > 1 else ""
    return f"DLL dependencies of {roots[0]}{more}"
