"""Junk at a rate, and a node that goes on with its own work meanwhile."""
