"""How values are shown: JSON in one place, and names that can never act on a terminal."""

from __future__ import annotations

import json
from dataclasses import fields, is_dataclass
from pathlib import Path

import click


def to_jsonable(value: object) -> object:
    """Turn frozen dataclasses, tuples and paths into what JSON knows; paths become absolute text."""
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: to_jsonable(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, (list, tuple)):
        return [to_jsonable(item) for item in value]
    if isinstance(value, dict):
        return {str(key): to_jsonable(item) for key, item in value.items()}
    return str(value) if isinstance(value, Path) else value


def print_json(value: object) -> None:
    """Print one JSON document; names that are not UTF-8 come out as escapes."""
    click.echo(json.dumps(to_jsonable(value), indent=2))


def shown(text: str) -> str:
    """Make a name harmless: control characters and bytes that are not UTF-8 become visible escapes."""
    if text.isprintable():
        return text
    return "".join(
        character
        if character.isprintable()
        else character.encode("unicode_escape", "surrogatepass").decode("ascii")
        for character in text
    )


def plural(count: int, noun: str) -> str:
    """Write a count with its noun: "1 photo", "1,204 photos"."""
    return f"{count:,} {noun}" if count == 1 else f"{count:,} {noun}s"


def size(count: int) -> str:
    """Write a number of bytes as people do."""
    value = float(count)
    for unit in ("B", "kB", "MB", "GB"):
        if value < 1000:
            return f"{value:.0f} {unit}" if unit == "B" else f"{value:.1f} {unit}"
        value /= 1000
    return f"{value:.1f} TB"
