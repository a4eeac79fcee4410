from stores import place, server, store, template

__all__ = ["place", "server", "store", "template"]
