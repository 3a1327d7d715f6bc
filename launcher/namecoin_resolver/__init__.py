"""Namecoin names for Tor: Electrum-NMC's answers turned into onion addresses.

``resolver`` is what others use; ``prop279`` speaks Tor's naming protocol on stdin and stdout; ``controller`` answers
tor's streams itself. Standard library only, but for ``torport``, which speaks to tor through stem.
"""
