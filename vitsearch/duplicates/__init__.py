"""Duplicates: found with evidence, decided once, cleaned up reversibly."""
