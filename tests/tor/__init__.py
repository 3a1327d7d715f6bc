"""A private Tor network for tests, with a Namecoin chain and the launcher in it: everything end to end.

``program`` finds tor, ``network`` says how its nodes are set up, ``__main__`` runs all of it in a network and a process
namespace of its own, ``world`` is the test's hold on that. ``tree`` makes a Tor Browser's folder, ``session`` starts
programs in it, natively or under Wine, ``launchers`` are the two forms of the launcher. ``client`` opens streams.
"""
