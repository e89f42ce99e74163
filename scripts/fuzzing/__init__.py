"""Random and mutated inputs for everything that reads bytes from outside, found through one table of parsers."""
