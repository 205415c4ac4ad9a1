"""Where the command line keeps the library and the model weights, so that the Python API uses the same places."""

from __future__ import annotations

import os
from pathlib import Path


def library_folder() -> Path:
    """Return the folder of the command line's library: `VITSEARCH_LIBRARY`, or a folder in the user data folder."""
    import platformdirs

    named = os.environ.get("VITSEARCH_LIBRARY")
    return Path(named) if named else platformdirs.user_data_path("vitsearch", appauthor=False)


def cache_folder() -> Path:
    """Return the command line's folder of model weights: `VITSEARCH_CACHE`, or a folder in the user cache folder."""
    import platformdirs

    named = os.environ.get("VITSEARCH_CACHE")
    return Path(named) if named else platformdirs.user_cache_path("vitsearch", appauthor=False)
