"""Options that belong together, handed to a command as one record."""

from __future__ import annotations

from functools import wraps
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    Command = Callable[..., None]
    Decorator = Callable[[Command], Command]


def option_group(parameter: str, make: Callable[..., object], options: Mapping[str, Decorator]) -> Decorator:
    """Return a decorator that adds options to a command and passes `make(**values)` to it as `parameter`.

    `options` are keyed by the names of their values.
    """

    def decorate(command: Command) -> Command:
        @wraps(command)
        def call(*arguments: object, **values: Any) -> None:  # noqa: ANN401 - whatever the command takes
            record = make(**{name: values.pop(name) for name in options})
            command(*arguments, **{parameter: record}, **values)

        decorated: Command = call
        for option in reversed(list(options.values())):
            decorated = option(decorated)
        return decorated

    return decorate
