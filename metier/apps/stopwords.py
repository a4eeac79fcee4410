"""Words and characters that carry grammar, not content."""

from __future__ import annotations

STOP_WORDS = """
a about after again all also an and any are as at be been before but by can could did do does for from had has
have he her his how if in into is it its just may more most no not of off on or our out over own s said says she
should so some such t than that the their them then there these they this to under up us was we were what when
which while who will with would you your
"""
STOP = frozenset(STOP_WORDS.split())
STOP_HAN = frozenset("的了和在是与及对将被为等也就都而于并其这那有不一")
