"""Classifiers that learn from rows: fastText, genre fidelity, and what they are worth."""
