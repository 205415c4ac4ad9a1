"""Linear heads on frozen embeddings: fit, import, write in words, calibrate, save and apply."""
