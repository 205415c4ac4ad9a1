"""A library: photos that were indexed, and the questions they answer.

The only place where the catalog and the neighbours change together: SQLite first, then the FAISS cache.
"""

from vitsearch.library.library import Library

__all__ = ["Library"]
