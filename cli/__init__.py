"""The command line: a printer over the local API of a running daemon, and nothing more."""
