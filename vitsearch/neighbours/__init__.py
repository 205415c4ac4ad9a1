"""Nearest-neighbour search over the embeddings of a space, and its FAISS files."""
