"""Signs that a text should not be trained on, each with its evidence."""
