"""What a library keeps: SQLite tables, vectors, files that are written whole or not at all."""
