"""How the tables came to be what they are: one file a revision, none of which is ever changed once it was released."""
