"""Namecoin names for Tor: Electrum-NMC's answers turned into onion addresses.

``resolver`` is what others use; ``prop279`` speaks Tor's naming protocol on stdin and stdout. Standard library only.
"""
