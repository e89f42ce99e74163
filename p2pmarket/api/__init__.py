"""The local API: the objects, the table of routes, the server."""
