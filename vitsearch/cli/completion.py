"""`vitsearch completion`."""

from __future__ import annotations

import click
from click.shell_completion import get_completion_class

_SHELLS = ("bash", "zsh", "fish")


@click.command()
@click.argument("shell", type=click.Choice(_SHELLS))
@click.pass_context
def completion(context: click.Context, shell: str) -> None:
    """Print the script that makes SHELL complete vitsearch's commands, options and files with the Tab key.

    Add the line for your shell to its configuration file:

    \b
      bash, in ~/.bashrc:                      eval "$(vitsearch completion bash)"
      zsh, in ~/.zshrc after compinit:         eval "$(vitsearch completion zsh)"
      fish, in ~/.config/fish/config.fish:     vitsearch completion fish | source

    Then start a new shell.
    """
    kind = get_completion_class(shell)
    assert kind is not None, shell
    root = context.find_root()
    click.echo(kind(root.command, {}, "vitsearch", "_VITSEARCH_COMPLETE").source())  # click's own text
