"""The score network: embedding, attention and transformer."""
