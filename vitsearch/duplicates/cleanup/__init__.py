"""Plans, and moving files so that every move can be undone."""
