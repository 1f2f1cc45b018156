"""What the Completion tab does: writing, words to look at, versions, counting."""
