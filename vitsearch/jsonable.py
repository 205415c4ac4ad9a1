"""Records as JSON, in one place for the command line and the HTTP API."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path


def to_jsonable(value: object) -> object:
    """Convert frozen dataclasses, tuples and paths to JSON values; paths become absolute."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_jsonable(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, (list, tuple)):
        return [to_jsonable(item) for item in value]
    if isinstance(value, dict):
        return {str(key): to_jsonable(item) for key, item in value.items()}
    return str(value) if isinstance(value, Path) else value
