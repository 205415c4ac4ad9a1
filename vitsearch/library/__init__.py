"""A library of indexed photos, and the queries it answers.

Only this package changes the catalog and the neighbours together: SQLite first, then the FAISS cache.
"""

from vitsearch.library.library import Library

__all__ = ["Library"]
