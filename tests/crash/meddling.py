"""What other programs do to photos, and drives to programs: save, write into, rename, delete, unmount, mount over."""

from __future__ import annotations

import hashlib
import os
import subprocess
from collections import Counter
from pathlib import Path
from typing import Any

FILE_KINDS = ("save", "write", "rename", "delete")
DRIVE_KINDS = ("unmount", "mount over")


def meddle(wish: dict[str, Any]) -> dict[str, Any]:
    """Do one thing to the photos; say to which file, and which versions (hashes) came and went by it.

    `wish` names the `kind`, the `folder` of photos and a `store` that is mounted in it; `name` is of the file that is
    wanted, if there is one, else the `number`-th of all.
    """
    kind, folder = wish["kind"], Path(wish["folder"])
    if kind in DRIVE_KINDS:
        return {"changed": _drive(kind, folder), "path": kind, "saved": {}, "destroyed": {}}
    places = [folder, Path(wish["store"])]
    files = [path for path in sorted(folder.rglob("*")) if path.is_file() and not path.is_symlink()]
    wanted = [path for path in files if path.name == wish["name"]] or files
    if not wanted:
        return {"changed": False, "path": "", "saved": {}, "destroyed": {}}
    path = wanted[wish["number"] % len(wanted)]
    before = versions(places)
    saved = path.read_bytes() + b"saved %d" % wish["number"]
    if kind == "save":
        beside = path.with_name(f".{path.name}.new")
        beside.write_bytes(saved)
        beside.replace(path)
    elif kind == "write":
        with path.open("ab") as file:
            file.write(b"written %d" % wish["number"])
    elif kind == "rename":
        path.rename(path.with_name(f"renamed {path.name}"))
    else:
        path.unlink()
    after = versions(places)
    return {"changed": True, "path": str(path), "saved": after - before, "destroyed": before - after}


def versions(places: list[Path]) -> Counter[str]:
    """How often each content is there, whatever the files are called; a file that two places show counts once."""
    found: Counter[str] = Counter()
    seen = set()
    for place in places:
        for path in place.rglob("*"):
            if (
                path.is_file()
                and not path.is_symlink()
                and not path.name.endswith((".trashinfo", ".journal"))
            ):
                status = path.stat()
                if (status.st_dev, status.st_ino) not in seen:
                    seen.add((status.st_dev, status.st_ino))
                    found[hashlib.sha256(path.read_bytes()).hexdigest()] += 1
    return found


def mounted(*arguments: object) -> bool:
    """Run `mount`; return whether it could."""
    return _could("mount", *arguments)


def unmounted(folder: Path) -> bool:
    """Unmount what is at a folder, also while files in it are open; return whether there was something."""
    return os.path.ismount(folder) and _could("umount", "--lazy", folder)


def _could(*words: object) -> bool:
    try:
        return subprocess.run(list(map(str, words)), check=False, capture_output=True).returncode == 0
    except FileNotFoundError:
        return False


def _drive(kind: str, folder: Path) -> bool:
    if kind == "unmount":
        return unmounted(folder / "b")
    return mounted("-t", "tmpfs", "none", folder / "a")
