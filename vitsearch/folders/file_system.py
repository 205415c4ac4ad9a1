"""Which file system a folder is on, told by what stays the same when it is mounted again.

A drive that is not mounted leaves an empty folder on another file system behind, and another drive may be mounted in
its place. Device numbers do not tell them apart: the system gives the same number to whatever comes next.
"""

from __future__ import annotations

import os
import sys
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_MOUNTS = Path("/proc/self/mountinfo")
_UUIDS = Path("/dev/disk/by-uuid")
# File systems whose `statfs` id is made of their UUID, or of a number drawn when they were made. Others (XFS, FAT) take
# the device number.
_LASTING_IDS = frozenset(("ext2", "ext3", "ext4", "btrfs", "bcachefs", "zfs", "tmpfs", "overlay"))
# What these name as their source is the same whenever and wherever it is mounted.
_NAMED_SOURCES = ("nfs", "cifs", "smb3", "ceph", "9p", "virtiofs", "afs", "fuse.")


@dataclass(frozen=True, slots=True)
class _Mount:
    """A line of mountinfo: `part` is the folder of the file system that is mounted, "/" for all of it."""

    device: str
    part: str
    kind: str
    source: str


class FileSystems:
    """The file systems of one moment: make another one to look again."""

    def __init__(self) -> None:
        self._mounts = _mounts()
        self._known: dict[tuple[str, int], str] = {}

    def of(self, folder: str) -> str | None:
        """Return what names the file system that a folder is on, or None where nothing is known of it.

        `folder` is absolute and holds no links. Of a folder that is mounted in another place too, each place is a file
        system of its own: it can be unmounted alone.
        """
        try:
            device = os.stat(folder).st_dev  # noqa: PTH116 - asked for every folder of a walk
        except OSError:
            return None
        point = folder
        while point not in self._mounts and point != (above := os.path.dirname(point)):  # noqa: PTH120 - as above
            point = above
        known = self._known.get((point, device))
        if known is None:
            mount = self._mounts.get(point)
            known = _named_by_mount(mount, device, folder) if mount else _named_by_volume(device, folder)
            self._known[point, device] = known
        return known or None


def _mounts() -> dict[str, _Mount]:
    """What is mounted where; of two in one place the later one, which hides the other."""
    try:
        lines = os.fsdecode(_MOUNTS.read_bytes()).splitlines()
    except OSError:
        return {}
    found = {}
    for line in lines:
        fields, _, rest = line.partition(" - ")
        with suppress(IndexError, ValueError):  # a line of another form
            _, _, device, part, point = fields.split(" ")[:5]
            kind, source = rest.split(" ")[:2]
            found[_plain(point)] = _Mount(device, _plain(part), kind, _plain(source))
    return found


def _plain(text: str) -> str:
    """Undo the kernel's escapes of blanks and backslashes."""
    for escape in (r"\040", r"\011", r"\012"):
        text = text.replace(escape, chr(int(escape[1:], 8)))
    return text.replace(r"\134", "\\")


def _named_by_mount(mount: _Mount, device: int, folder: str) -> str:
    part = "" if mount.part == "/" else f" {mount.part}"
    if mount.kind.startswith(_NAMED_SOURCES):
        return f"{mount.kind}:{mount.source}{part}"
    uuid = _uuid(mount.source, device)
    if uuid is not None:
        return f"uuid:{uuid}{part}"
    with suppress(OSError):
        status = os.statvfs(folder)
        if mount.kind in _LASTING_IDS and status.f_fsid:
            return f"fsid:{status.f_fsid:x}{part}"
        return f"{mount.kind}:{mount.source}:{status.f_blocks * status.f_frsize}{part}"
    return ""


def _uuid(source: str, device: int) -> str | None:
    """The UUID by which udev knows a block device: the one that a mount names, or that files are on."""
    real = os.path.realpath(source) if source.startswith("/dev/") else ""
    named = None
    try:
        for link in sorted(_UUIDS.iterdir()):
            target = os.path.realpath(link)
            # The device first: a drive may have been mounted below the mount that is known of this place.
            if os.stat(target).st_rdev == device:  # noqa: PTH116 - beside `realpath`
                return link.name
            if named is None and target == real:
                named = link.name
    except OSError:
        return None
    return named


def _named_by_volume(device: int, folder: str) -> str:
    """What other systems than Linux tell: the serial number of a Windows volume, or how large a volume is."""
    if sys.platform == "win32":
        return f"serial:{device:x}"
    with suppress(OSError):
        status = os.statvfs(folder)
        return f"size:{status.f_blocks * status.f_frsize}"
    return ""
