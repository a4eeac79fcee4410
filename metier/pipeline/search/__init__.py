"""`metier search`: the best recipe within ranges."""
