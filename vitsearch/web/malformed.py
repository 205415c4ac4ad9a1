"""Validation errors of requests as one plain line, instead of pydantic's terms."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

_LONGEST_PLACE = 100
_WORDS = {
    "missing": "missing",
    "json_invalid": "the body is no JSON",
    "list_type": "a list is expected",
    "string_type": "text is expected",
    "string_unicode": "text in UTF-8 is expected",
    "string_pattern_mismatch": "not in the form that is expected; /openapi.json has it",
    "too_short": "at least {min_length} expected",
    "too_long": "at most {max_length} at once",
    "string_too_short": "it is empty",
    "string_too_long": "at most {max_length} characters",
    "greater_than_equal": "{ge} or more is expected",
    "less_than_equal": "{le} or less is expected",
    "greater_than": "more than {gt} is expected",
    "less_than": "less than {lt} is expected",
    "literal_error": "one of these is expected: {expected}",
    "enum": "one of these is expected: {expected}",
    "value_error": "{error}",
    "extra_forbidden": "there is no such parameter",
}
_KINDS = {
    "int": "a whole number is expected",
    "float": "a number is expected",
    "bool": "true or false is expected",
    "model": "a JSON object is expected",
    "dict": "a JSON object is expected",
}


def line_about(problems: Sequence[Any], content_type: str) -> str:
    """Describe the first problem, and the parameter or part of the body that has it."""
    first: Mapping[str, Any] = problems[0]
    kind, where = str(first.get("type", "")), [str(part) for part in first.get("loc", ())]
    place = "" if kind == "json_invalid" else ".".join(where[1:])
    words = _WORDS.get(kind) or _KINDS.get(kind.partition("_")[0]) or "not understood"
    said = words.format_map(_Known(first.get("ctx") or {}))
    if kind == "json_invalid":
        return said
    if not place:
        # As curl sends it, unless it is told.
        untold = kind.startswith("model") and "json" not in content_type.lower()
        header = ", with the header Content-Type: application/json" if untold else ""
        return f"the {where[0] if where else 'request'}: {said}{header}"
    return f"{place[:_LONGEST_PLACE]}: {said[:200]}"


class _Known(dict[str, Any]):
    """The limits that a validation error reports; missing ones are left out of the text."""

    def __missing__(self, name: str) -> str:
        return "another value"
