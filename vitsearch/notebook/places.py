"""Where the command line keeps the library and the weights, so that Python finds the same ones."""

from __future__ import annotations

import os
from pathlib import Path


def library_folder() -> Path:
    """Return the folder of the library that the command line uses: `VITSEARCH_LIBRARY`, or in the user data folder."""
    import platformdirs

    named = os.environ.get("VITSEARCH_LIBRARY")
    return Path(named) if named else platformdirs.user_data_path("vitsearch", appauthor=False)


def cache_folder() -> Path:
    """Return the folder of the weights that the command line uses: `VITSEARCH_CACHE`, or in the user cache folder."""
    import platformdirs

    named = os.environ.get("VITSEARCH_CACHE")
    return Path(named) if named else platformdirs.user_cache_path("vitsearch", appauthor=False)
