"""Embedding by Ray workers."""
