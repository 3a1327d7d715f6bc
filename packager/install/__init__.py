"""Put a bundle of layout ``tor-browser`` into a Tor Browser's folder, and take it out again.

``filelist`` is what a bundle says of its files; ``payload`` reads and checks what is to be put in; ``browser`` knows
the tree that it goes into; ``moves`` changes that tree, wholly or not at all; ``put`` and ``take`` decide what to move.
"""

from packager.install.put import Installed, install
from packager.install.take import Uninstalled, uninstall

__all__ = ["Installed", "Uninstalled", "install", "uninstall"]
