"""The Wine that `packager run` uses: a Debian root and a ready-made prefix, both made once and kept in the store."""

from __future__ import annotations

from packager import wine
from packager.buildroot import Root, make_root
from packager.keys import Key, code_digest
from packager.progress import Clock, Reporter
from packager.store import Store

#: Wine 10, the first in Debian that runs CPython 3.13 with its output in a file.
ROOT = Root("wine", "trixie", ("wine", "wine64"))


def get_wine(store: Store, reporter: Reporter, *, offline: bool = False) -> wine.Wine:
    """Wine's root and prefix, from the store or made now (a minute, and said). Raises as :func:`make_root` does."""
    key = Key("wine-prefix", "trixie", {"root": ROOT.key.digest, "code": code_digest("packager.wine")}, "stat")
    root, prefix = store.find(ROOT.key), store.find(key)
    clock = Clock(reporter)
    if root is None:
        with clock.stage("wine", "a Debian root with Wine, made once and kept in the store"):
            root, _ = make_root(ROOT, store, reporter, offline=offline)
    if prefix is None:
        tree = root.tree
        with clock.stage("wine", "a prefix, made once and kept in the store"):
            prefix, _ = store.make(key, lambda folder: wine.make_prefix_template(tree, folder / "tree"))
    return wine.Wine(root.tree, prefix.tree)
