"""Measure how well a model and the search index work on a user's own photos."""
