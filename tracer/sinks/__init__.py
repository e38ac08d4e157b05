"""Where column batches go."""
