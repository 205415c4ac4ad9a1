"""Write `docs/cli.md` from the commands' own help: `python scripts/make_cli_reference.py`."""

from __future__ import annotations

from pathlib import Path

import click

from vitsearch.cli import cli

PAGE = Path(__file__).parent.parent / "docs" / "cli.md"
INTRODUCTION = """# The command line

Generated from each command's `--help` by `scripts/make_cli_reference.py`.

The library's folder is `--library`, or else `VITSEARCH_LIBRARY`, or else a folder in your user data folder. Results go
to stdout, progress and messages to stderr. With `--json`, stdout holds one JSON document and nothing else; its paths
are absolute. Exit status: 0 for success, 1 for an error (explained in one line), 2 for wrong usage, 130 after Ctrl-C.
"""


def reference() -> str:
    """Return the whole page."""
    return "\n".join([INTRODUCTION, *_sections(cli, "vitsearch", None)])


def _sections(command: click.Command, name: str, parent: click.Context | None) -> list[str]:
    # With the command's own settings, as it has them when it runs: they say that -h asks for help too.
    settings = {**command.context_settings, "max_content_width": 100, "terminal_width": 100}
    context = click.Context(command, info_name=name, parent=parent, **settings)
    sections = [f"## {context.command_path}\n\n```\n{command.get_help(context)}\n```\n"]
    if isinstance(command, click.Group):
        for inner in command.list_commands(context):
            found = command.get_command(context, inner)
            if found is not None:
                sections += _sections(found, inner, context)
    return sections


if __name__ == "__main__":
    PAGE.write_text(reference(), encoding="utf-8")
