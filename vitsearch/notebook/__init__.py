"""The public Python API: a library with everything on it, and results that notebooks render as pictures."""
