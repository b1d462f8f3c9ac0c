"""The form of a text: how long it is, what its words, lines and punctuation are like, what it repeats."""
