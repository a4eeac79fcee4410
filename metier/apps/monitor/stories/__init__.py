"""Which documents tell the same story: how a text is compared, and what it joins."""
