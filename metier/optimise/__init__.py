"""A run to a smaller, faster one, with the loss measured."""
