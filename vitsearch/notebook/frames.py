"""Results as pandas DataFrames, if pandas is installed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitsearch.errors import VitsearchError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    import pandas as pd


def frame(columns: Mapping[str, Sequence[object]]) -> pd.DataFrame:
    """Return a DataFrame with these columns.

    Raises:
        VitsearchError: pandas is not installed.

    """
    try:
        import pandas as pd
    except ImportError as error:
        raise VitsearchError("to_pandas needs pandas: install it with `pip install pandas`") from error
    return pd.DataFrame(dict(columns))
