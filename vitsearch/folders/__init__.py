"""What lies in folders, and what changes there."""
