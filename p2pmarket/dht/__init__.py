"""The distributed hash table: a node without a socket, and its parts."""
