"""The words people use for things, places, money, units and times, and the one form the protocol has for each."""
