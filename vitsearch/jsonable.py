"""Records as JSON: the one place that says how, for the command line and the HTTP API alike."""

from __future__ import annotations

from dataclasses import fields, is_dataclass
from pathlib import Path


def to_jsonable(value: object) -> object:
    """Turn frozen dataclasses, tuples and paths into what JSON knows; paths become absolute text."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_jsonable(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, (list, tuple)):
        return [to_jsonable(item) for item in value]
    if isinstance(value, dict):
        return {str(key): to_jsonable(item) for key, item in value.items()}
    return str(value) if isinstance(value, Path) else value
