"""What turns content into vectors: the encoders, and how they are asked for. No store and no warehouse here."""
