"""pyarrow, which nothing but Parquet needs: loaded when it is used, and told of where it is missing."""

from __future__ import annotations

from functools import cache
from typing import Any

from surveys.errors import SurveyError


@cache
def pyarrow() -> Any:
    """Load pyarrow and its reader of Parquet.

    Raises
    ------
    SurveyError
        Where it is not installed.
    """
    try:
        import pyarrow
        import pyarrow.parquet
    except ImportError:
        raise SurveyError(
            "Parquet cannot be read: pyarrow is not installed (pip install 'sodafountain[parquet]')"
        ) from None
    return pyarrow
