"""The race: `method = "auto"`."""
