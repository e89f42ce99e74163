"""Tables the project carries; README.md beside them names source and licence of each. Read by `p2pmarket.vocab`."""
