"""A command group with a default command."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

if TYPE_CHECKING:
    from collections.abc import Sequence

    from click.shell_completion import CompletionItem


class DefaultCommandGroup(click.Group):
    """Runs a default command: `vitsearch duplicates --plan FILE` means `vitsearch duplicates find --plan FILE`."""

    default = "find"

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Insert the default command if the first word is not a command."""
        return super().parse_args(ctx, self._named(ctx, args))

    def shell_complete(self, ctx: click.Context, incomplete: str) -> list[CompletionItem]:
        """Complete the commands, and the options of the default command."""
        offered = super().shell_complete(ctx, incomplete)
        if incomplete.startswith("-"):
            offered += self.commands[self.default].shell_complete(ctx, incomplete)
        return offered

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Resolve the first word as a command, or else use the default."""
        return super().resolve_command(ctx, self._named(ctx, args))

    def _named(self, ctx: click.Context, args: Sequence[str]) -> list[str]:
        if not args and ctx.resilient_parsing:  # a shell asks what may come next
            return []
        own = {*self.commands, *ctx.help_option_names}
        # What is no option is a command that is mistyped: click says which ones there are.
        is_option = not args or args[0].startswith("-")
        return [self.default, *args] if is_option and not own & set(args[:1]) else list(args)
