"""Record what a terminal shows for the commands of the README: `python -m scripts.record_terminal`.

It writes `docs/terminal.md`.
The program runs in a terminal of 100 columns, on a copy of the sample photos and a library of its own; what stands on
the screen at the end of each command is written down.
"""

from __future__ import annotations

import shlex
import shutil
import sys
import tempfile
from pathlib import Path

from scripts.terminal_screen import on_terminal

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "docs" / "terminal.md"
INTRODUCTION = """# In the terminal

A session in a terminal of 100 columns, recorded by `python -m scripts.record_terminal` on the sample photos. In a real
terminal, paths are links that open the photo, and lines have colours. Piped results are whole paths without links.
"""
COMMANDS = (
    "vitsearch index sample_images --model clip-vit-base-patch16-int8",
    "vitsearch index",
    "vitsearch search sample_images/animals/cat-1.jpg -k 5",
    "vitsearch search sample_images/animals/cat-1.jpg --in sample_images/travel --limit 3",
    "vitsearch search sample_images/animals/dog-1.jpg --crop 100,60,300,250 -k 3",
    "vitsearch search sample_images/animals/cat-1.jpg --only-matches --copy-to cats",
    "vitsearch search sample_images/animals/cat-1.jpg --after 2100",
    "vitsearch duplicates --tier exact --tier pixels --plan plan.json",
    "vitsearch apply plan.json",
    "vitsearch undo plan.json",
    "vitsearch heads train kind --from sample_images",
    "vitsearch label sample_images/animals/cat-2.jpg --head kind -k 2",
    "vitsearch status",
    "vitsearch roots list",
    "vitsearch search nothing.jpg",
)


def main() -> None:
    """Run the commands one after the other, and write the page."""
    sections = [INTRODUCTION]
    with tempfile.TemporaryDirectory() as scratch:
        folder = Path(scratch).resolve()
        shutil.copytree(ROOT / "sample_images", folder / "sample_images")
        for command in COMMANDS:
            session = on_terminal(
                [sys.executable, "-m", "vitsearch", *shlex.split(command)[1:]],
                cwd=folder,
                VITSEARCH_LIBRARY=str(folder / "library"),
                XDG_DATA_HOME=str(folder / "data"),
                HF_HUB_OFFLINE="1",
            )
            lines = "\n".join(line.replace(str(folder), "~") for line in session.lines)
            ended = "" if session.status == 0 else f"\n(exit status {session.status})"
            sections.append(f"```console\n$ {command}\n{lines}{ended}\n```\n")
    PAGE.write_text("\n".join(sections), encoding="utf-8")


if __name__ == "__main__":
    main()
