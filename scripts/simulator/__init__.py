"""A seeded simulator of thousands of DHT nodes: the real node core, no sockets, no event loop, no clock but its own."""
