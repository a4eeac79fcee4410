"""Training texts made from others, one kind a file. A kind chooses edits; `edits` applies them and carries labels."""
