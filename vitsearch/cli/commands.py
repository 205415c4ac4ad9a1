"""The table of commands. Each is imported only when it is used, which keeps start-up fast."""

from __future__ import annotations

from collections.abc import MutableMapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

import click
from click.shell_completion import CompletionItem

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    # Of each command its place ("module:name") and what it does, by the heading it is listed under.
    Sections = Mapping[str, Mapping[str, tuple[str, str]]]


class Commands(MutableMapping[str, click.Command]):
    """A lazy replacement for a group's dictionary of commands. `places` maps names to "module:attribute"."""

    def __init__(self, places: Mapping[str, str]) -> None:
        self._places = dict(places)
        self._loaded: dict[str, click.Command] = {}

    def __getitem__(self, name: str) -> click.Command:
        if name not in self._loaded:
            module, _, attribute = self._places[name].partition(":")
            command = getattr(import_module(module), attribute)
            assert isinstance(command, click.Command), name
            self._loaded[name] = command
        return self._loaded[name]

    def __setitem__(self, name: str, command: click.Command) -> None:
        self._loaded[name] = command
        self._places.setdefault(name, "")

    def __delitem__(self, name: str) -> None:
        del self._places[name]
        self._loaded.pop(name, None)

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


class Program(click.Group):
    """A group that lists its commands by purpose, and completes their names, without importing them."""

    def __init__(self, *, sections: Sections, **attributes: Any) -> None:  # noqa: ANN401 - click's own
        listed = {name: place for section in sections.values() for name, (place, _) in section.items()}
        super().__init__(commands=Commands(listed), **attributes)
        self.sections = sections

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Accept the global options anywhere on the command line, even after the command."""
        return super().parse_args(ctx, self._own_first(ctx, args))

    def _own_first(self, ctx: click.Context, args: Sequence[str]) -> list[str]:
        # Those that end the program at once, as --version does, are for the front.
        own = [each for each in self.params if isinstance(each, click.Option) and not each.is_eager]
        flags = {name: option.is_flag for option in own for name in option.opts}
        first: list[str] = []
        others: list[str] = []
        words = iter(args)
        for word in words:
            name, has_value, _ = word.partition("=")
            if word == "--":
                others += (word, *words)
            elif name not in flags:
                others.append(word)
            elif flags[name] or has_value:
                first.append(word)
            else:
                value = next(words, None)
                if value is not None:
                    first += (word, value)
                elif ctx.resilient_parsing:  # its value is being completed
                    others.append(word)
                else:
                    raise click.BadOptionUsage(name, f"Option {name!r} requires an argument.", ctx)
        return [*first, *others]

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:  # noqa: ARG002
        """Write the commands of each section under its heading."""
        for heading, section in self.sections.items():
            with formatter.section(heading):
                formatter.write_dl([(name, summary) for name, (_, summary) in section.items()])

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the name of a command or an option."""
        commands = [
            CompletionItem(name, help=summary)
            for section in self.sections.values()
            for name, (_, summary) in section.items()
            if name.startswith(incomplete)
        ]
        return commands + click.Command.shell_complete(self, ctx, incomplete)
