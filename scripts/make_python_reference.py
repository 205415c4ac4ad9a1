"""Write the reference in `docs/python.md` from signatures and docstrings: `python scripts/make_python_reference.py`.

What stands before the mark is written by hand and stays.
"""

from __future__ import annotations

import dataclasses
import inspect
import re
import textwrap
from pathlib import Path

import vitsearch

PAGE = Path(__file__).parent.parent / "docs" / "python.md"
MARK = "## Reference\n"


def page() -> str:
    """Return the whole page: what was written by hand, and the reference made anew."""
    written, mark, _ = PAGE.read_text(encoding="utf-8").partition(MARK)
    assert mark, f"{PAGE} has no line {MARK!r}"
    return f"{written}{MARK}\n{reference()}"


def reference() -> str:
    """Return a section for each public name: its signature, its docstring, and those of its public methods."""
    names = [name for name in vitsearch.__all__ if name != "__version__"]
    return "\n".join(_section(name) for name in sorted(names, key=str.casefold))


def members(kind: type) -> dict[str, object]:
    """Return what is public of a class and documented: methods and properties, not the fields of a record."""
    fields = {field.name for field in dataclasses.fields(kind)} if dataclasses.is_dataclass(kind) else set()
    if issubclass(kind, Exception):
        return {}
    found = {}
    for name in sorted(dir(kind)):
        value = inspect.getattr_static(kind, name)
        if not name.startswith("_") and name not in fields:
            found[name] = value
    return found


def _section(name: str) -> str:
    value = getattr(vitsearch, name)
    parts = [f"### {name}\n", _described(name, value)]
    if inspect.isclass(value):
        for inner, member in members(value).items():
            title = f"{name}.{inner}"
            parts += [f"#### {title}\n", _described(title, member)]
    return "\n".join(parts)


def _described(name: str, value: object) -> str:
    text = inspect.getdoc(value.fget if isinstance(value, property) else value)
    assert text, f"{name} has no docstring"
    heading = signature(name, value)
    return (f"```python\n{heading}\n```\n\n" if heading else "") + _as_markdown(text) + "\n"


def signature(name: str, value: object) -> str:
    """Return how a function or method is called, over several lines where it takes much; "" for what takes nothing."""
    if isinstance(value, property):
        return ""
    if inspect.isclass(value):
        if not dataclasses.is_dataclass(value) or value.__doc__ is None:
            return ""
        fields = [f"{field.name}: {field.type}" for field in dataclasses.fields(value)]
        return f"class {name}:\n" + textwrap.indent("\n".join(fields), "    ")
    called = value.__func__ if isinstance(value, (classmethod, staticmethod)) else value
    assert callable(called), name
    shape = inspect.signature(called)
    given = [each for each in shape.parameters.values() if each.name not in ("self", "cls")]
    written: list[str] = []
    keyword_only = False
    for each in given:
        if each.kind is each.KEYWORD_ONLY and not keyword_only:
            keyword_only = True
            if not written or not written[-1].startswith("*"):
                written.append("*")
        written.append(_parameter(each))
    back = "" if shape.return_annotation is inspect.Signature.empty else f" -> {shape.return_annotation}"
    line = f"{name}({', '.join(written)}){back}"
    if len(line) <= 100:
        return line
    return f"{name}(\n" + "".join(f"    {each},\n" for each in written) + f"){back}"


def _parameter(parameter: inspect.Parameter) -> str:
    stars = ""
    if parameter.kind is inspect.Parameter.VAR_POSITIONAL:
        stars = "*"
    elif parameter.kind is inspect.Parameter.VAR_KEYWORD:
        stars = "**"
    text = f"{stars}{parameter.name}: {parameter.annotation}"
    if parameter.default is parameter.empty:
        return text
    default = parameter.default
    shown = (
        "..." if callable(default) or (dataclasses.is_dataclass(default) and not default) else repr(default)
    )
    return f"{text} = {shown}"


def _as_markdown(text: str) -> str:
    """Turn the docstring's list of errors into one of Markdown."""
    before, mark, errors = text.partition("\nRaises:\n")
    if not mark:
        return text
    items = re.sub(r"^ {4}(?! )([\w, ]+):", r"- `\1`:", errors.rstrip(), flags=re.M)
    return f"{before}\nRaises:\n\n{re.sub(r'^ {8}', '  ', items, flags=re.M)}"


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
