"""Head files: a safetensors file with the weights, and everything else as JSON in its header."""

from __future__ import annotations

import json
import math
from typing import TYPE_CHECKING, Any, get_args

import numpy as np

from vitsearch.errors import HeadError, HeadTooNew
from vitsearch.heads.gate import Gate
from vitsearch.heads.head import Head, Kind, Origin, is_printable
from vitsearch.space import Fit, Readout, Space
from vitsearch.storage import atomic
from vitsearch.storage.own_files import HEAD_MARK

if TYPE_CHECKING:
    from pathlib import Path

# Heads without a gate are written as ever, so that earlier versions read them.
_FORMAT_VERSION = 1
_FORMAT_WITH_GATE = 3
# Its gates had one kind of "none".
_EARLIER_FORMAT_WITH_GATE = 2
_GATE_TENSORS = ("gate_weight", "gate_bias", "gate_examples")
_LARGEST_FILE = 2**30
_LARGEST_HEADER = 2**26


def save_head(head: Head, path: Path) -> None:
    """Write a head to a file atomically. Raises `HeadError`."""
    try:
        atomic.write(path, head_to_bytes(head), private=True)
    except OSError as error:
        raise HeadError(f"cannot write {path}: {error.strerror or error}") from error


def head_to_bytes(head: Head) -> bytes:
    """Return the content of a head's file."""
    from safetensors.numpy import save

    tensors: dict[str, Any] = {"weight": head.weight, "bias": head.bias}
    if head.gate is not None:
        gate = (head.gate.weight, head.gate.bias, head.gate.examples)
        tensors |= dict(zip(_GATE_TENSORS, gate, strict=True))
    content: bytes = save(
        {name: np.ascontiguousarray(tensor) for name, tensor in tensors.items()},
        metadata={HEAD_MARK: head_to_json(head)},
    )
    return content


def load_head(path: Path) -> Head:
    """Read a head from an untrusted file. Raises `HeadError` unless it is completely valid."""
    from safetensors import SafetensorError
    from safetensors.numpy import load

    try:
        with path.open("rb") as file:
            size = path.stat().st_size
            header = int.from_bytes(file.read(8), "little")
            if size > _LARGEST_FILE or header > min(size, _LARGEST_HEADER):
                raise HeadError(f"{path} is not a head that vitsearch saved: it is too large or cut short")
            metadata = json.loads(file.read(header)).get("__metadata__", {})
            file.seek(0)
            tensors = load(file.read())
        described = metadata[HEAD_MARK]
    except (FileNotFoundError, IsADirectoryError) as error:
        kind = "it is a folder" if path.is_dir() else "there is no such file"
        raise HeadError(f"{path} cannot be loaded: {kind}; name a file that `heads export` wrote") from error
    except (
        OSError,
        ValueError,
        KeyError,
        AttributeError,
        TypeError,
        RecursionError,
        SafetensorError,
    ) as error:
        raise HeadError(
            f"{path} is not a head that vitsearch saved ({_reason(error)}): export it again with `heads export`"
        ) from error
    _check_not_later(described, path)
    if set(tensors) not in ({"weight", "bias"}, {"weight", "bias", *_GATE_TENSORS}):
        raise HeadError(
            f"{path} holds {sorted(tensors)[:3]} where a weight and a bias belong: export it again"
        )
    try:
        return head_from_json(described, **tensors)
    except HeadError as error:
        raise HeadError(f"{path}: {error}") from error


def _check_not_later(described: str, path: Path) -> None:
    """Raise `HeadTooNew` for a head of a later version, before unknown content is reported as damage."""
    try:
        version = json.loads(described)["format_version"]
    except (ValueError, KeyError, TypeError, RecursionError):
        return
    if type(version) is int and version > _FORMAT_WITH_GATE:
        raise HeadTooNew(
            f"{path} was saved by a later version of vitsearch (format {version}, this one reads "
            f"{_FORMAT_WITH_GATE}): upgrade with `pip install -U vitsearch`"
        )


def head_to_json(head: Head) -> str:
    """Return everything but the weights of a head as JSON."""
    gate = head.gate
    described = (
        {}
        if gate is None
        else {
            "gate": {
                "labels": gate.labels,
                "cut": gate.cut,
                "nearest": gate.nearest,
                "background": gate.background,
            }
        }
    )
    return json.dumps(
        {
            "format_version": _FORMAT_VERSION if gate is None else _FORMAT_WITH_GATE,
            "name": head.name,
            "labels": head.labels,
            "kind": head.kind,
            "origin": head.origin,
            "temperature": head.temperature,
            "abstain_below": head.abstain_below,
            "uses_norms": head.uses_norms,
            "version": head.version,
            "created": head.created,
            "details": dict(head.details),
            "space": json.loads(head.space.to_json()),
            **described,
        },
        ensure_ascii=False,
    )


def head_from_json(
    text: str,
    *,
    weight: Any,  # noqa: ANN401 - `Head` and `Gate` check the arrays
    bias: Any,  # noqa: ANN401
    **gate: Any,  # noqa: ANN401
) -> Head:
    """Rebuild a head from `head_to_json`'s text, its weights and its gate's tensors.

    Raises `HeadError` unless they make sense.
    """
    try:
        fields = json.loads(text)
        formats = (_FORMAT_WITH_GATE, _EARLIER_FORMAT_WITH_GATE) if gate else (_FORMAT_VERSION,)
        if fields["format_version"] not in formats:
            raise HeadError(
                f"the head is of format {fields['format_version']!r}, and this vitsearch reads {_FORMAT_VERSION} "
                f"and, with a gate, {_EARLIER_FORMAT_WITH_GATE} and {_FORMAT_WITH_GATE}: update vitsearch"
            )
        labels = tuple(_typed(label, str) for label in _typed(fields["labels"], list))
        return Head(
            name=_typed(fields["name"], str),
            labels=labels,
            weight=weight,
            bias=bias,
            space=_space(fields["space"]),
            kind=_one_of(fields["kind"], Kind),
            origin=_one_of(fields["origin"], Origin),
            temperature=_number(fields["temperature"]),
            abstain_below=_number(fields["abstain_below"]),
            uses_norms=_typed(fields["uses_norms"], bool),
            gate=_gate(fields["gate"], *(gate[name] for name in _GATE_TENSORS)) if gate else None,
            version=_typed(fields["version"], int),
            created=_printable(fields["created"]),
            details=_typed(fields["details"], dict),
        )
    except (ArithmeticError, ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise HeadError(f"the description of the head does not make sense ({_reason(error)})") from error


def _gate(fields: Any, weight: Any, bias: Any, examples: Any) -> Gate:  # noqa: ANN401 - comes from a file
    labels = _typed(fields["labels"], int) if "labels" in fields else max(0, len(bias) - 1)
    return Gate(
        weight,
        bias,
        labels,
        _number(fields["cut"]),
        examples,
        _number(fields["nearest"]),
        _typed(fields["background"], int),
    )


def _space(fields: Any) -> Space:  # noqa: ANN401 - comes from a file
    space = Space.from_json(json.dumps(fields))
    pre = space.preprocessing
    for text in (space.model, space.fingerprint):
        _printable(text)
    for whole in (space.dimension, pre.height, pre.width, pre.resize, pre.resample):
        _typed(whole, int)
    for number in (*pre.mean, *pre.std):
        _number(number)
    _one_of(space.readout, Readout)
    _one_of(pre.fit, Fit)
    return space


def _typed(value: Any, wanted: type) -> Any:  # noqa: ANN401 - comes from a file
    if type(value) is not wanted:
        raise TypeError(f"{str(value)[:40]!r} is not {wanted.__name__}")
    return value


def _printable(value: Any) -> str:  # noqa: ANN401 - comes from a file
    if not is_printable(_typed(value, str)):
        raise TypeError(f"{value[:40]!r} has control characters")
    return str(value)


def _number(value: Any) -> float:  # noqa: ANN401 - comes from a file
    if type(value) not in (int, float) or not math.isfinite(value):
        raise TypeError(f"{str(value)[:40]!r} is not a number")
    return float(value)


def _one_of(value: Any, literal: Any) -> Any:  # noqa: ANN401 - comes from a file
    if value not in get_args(literal):
        raise TypeError(f"{str(value)[:40]!r} is none of {', '.join(get_args(literal))}")
    return value


def _reason(error: Exception) -> str:
    text = str(error).splitlines()[0] if str(error) else ""
    return f"{type(error).__name__}: {text}"[:200]
