from stores import place, server, shared, store

__all__ = ["place", "server", "shared", "store"]
