"""What a library keeps on disk, and where."""
