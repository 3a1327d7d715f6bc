"""What makes .bit names work in a Tor Browser: it runs Electrum-NMC and answers tor's streams while the browser runs.

``__main__`` is ``namecoin.exe``, ``start`` is ``Start Tor Browser with Namecoin.exe``; both run a ``supervisor``, which
keeps a ``daemon`` by ``keeper`` and has ``namecoin_resolver``'s controller look after tor's streams.
"""
