"""p2pmarket: a decentralised marketplace."""
