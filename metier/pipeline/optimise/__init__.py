"""The steps that make a smaller, faster run out of a run, and what judges them."""
