"""Thresholds, and the library's own photos that they are set on."""
