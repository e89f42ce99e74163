"""Servers and loads of `scripts/bench serve`: a DHT node alone in a process, and 20 contacts that keep it busy."""
