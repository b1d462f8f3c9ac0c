"""What is alike in meaning: embeddings, similar questions and texts."""
