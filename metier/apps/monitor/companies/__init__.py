"""Which companies a text names: the table of them, and how their names are found in a text."""
