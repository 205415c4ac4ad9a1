"""The nearest vectors of a space, and the FAISS files that find them."""
