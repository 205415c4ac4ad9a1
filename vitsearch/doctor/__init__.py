"""Check and repair libraries: verification, rebuilding of caches, salvage of a damaged database."""
