"""Confirmed pairs become groups, and each group gets a file to keep."""
