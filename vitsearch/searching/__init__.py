"""A query becomes matches."""
