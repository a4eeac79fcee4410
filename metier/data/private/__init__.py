"""Private data in texts: where it stands, and texts without it. One kind of evidence a file; `mask` puts them together.

What a checksum, a registry of numbers or a word beside it does not speak for is left alone: order numbers, amounts and
dates are what an answer is made from.
"""

from metier.data.private.found import KINDS, Found, Masked, Rules
from metier.data.private.mask import find, mask

__all__ = ["KINDS", "Found", "Masked", "Rules", "find", "mask"]
