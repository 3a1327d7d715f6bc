"""A stand-in for the Namecoin network: a regtest chain that the tests mine, and an Electrum server over it.

``ledger.Chain`` keeps the consensus rules that matter for names; ``scenario.build`` mines the one chain that tests use;
``server.serve`` answers for it in this process, ``python -m tests.namecoin`` in one of its own.
"""
