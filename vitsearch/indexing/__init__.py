"""Folders become committed vectors."""
