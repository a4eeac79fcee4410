"""The tiers that a message goes through, the cheapest one first."""
