"""A judging model, its rubric, and how far it agrees with itself."""
