"""What a file has apart from its content: owner, mode, times, and extended attributes, access lists among them."""

from __future__ import annotations

import os
import shutil
import stat
from base64 import b64decode, b64encode
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pathlib import Path

# Labels of the security system and the like are the system's to set.
_OURS = ("user.", "system.posix_acl_")


@dataclass(frozen=True, slots=True)
class Attributes:
    """The attributes of a file; the times are in nanoseconds, the extended attributes by name."""

    owner: int
    group: int
    mode: int
    accessed: int
    modified: int
    extended: dict[str, bytes] = field(default_factory=dict)


def attributes_of(path: Path) -> Attributes:
    """Return the attributes of a file. Raises `OSError`."""
    status = path.lstat()
    extended = {}
    if hasattr(os, "listxattr"):
        with suppress(OSError):
            for name in os.listxattr(path, follow_symlinks=False):
                if name.startswith(_OURS):
                    extended[name] = os.getxattr(path, name, follow_symlinks=False)
    return Attributes(
        status.st_uid,
        status.st_gid,
        stat.S_IMODE(status.st_mode),
        status.st_atime_ns,
        status.st_mtime_ns,
        extended,
    )


def copy_attributes(source: Path, target: Path) -> None:
    """Give a copy the attributes of a file, as far as its file system has them. Raises `OSError`."""
    status = source.lstat()
    _give(target, status.st_uid, status.st_gid)
    shutil.copystat(source, target)


def restore_attributes(attributes: Attributes, path: Path, *, times: bool = True) -> None:
    """Give a file attributes that were written down, as far as its file system has them."""
    _give(path, attributes.owner, attributes.group)
    if hasattr(os, "setxattr"):
        for name, value in attributes.extended.items():
            with suppress(OSError):
                os.setxattr(path, name, value, follow_symlinks=False)
    with suppress(OSError):
        path.chmod(attributes.mode)
    if times:
        with suppress(OSError, OverflowError):
            os.utime(path, ns=(attributes.accessed, attributes.modified))


def may_give_back(attributes: Attributes) -> bool:
    """Whether this user can make a file that belongs to the owner and group written down."""
    if not hasattr(os, "geteuid") or os.geteuid() == 0:
        return True
    return attributes.owner == os.geteuid() and attributes.group in {os.getegid(), *os.getgroups()}


def attributes_document(attributes: Attributes) -> dict[str, Any]:
    """The attributes as JSON holds them."""
    return {
        "owner": attributes.owner,
        "group": attributes.group,
        "mode": attributes.mode,
        "accessed": attributes.accessed,
        "modified": attributes.modified,
        "extended": {name: b64encode(value).decode() for name, value in attributes.extended.items()},
    }


def parsed_attributes(document: Any) -> Attributes:  # noqa: ANN401 - whatever JSON holds
    """Read what `attributes_document` made. Raises `ValueError`, `KeyError`, `TypeError` or `AttributeError`."""
    numbers = [document[name] for name in ("owner", "group", "mode", "accessed", "modified")]
    # Seconds have 64 bits: disks hold times of which the nanoseconds have more.
    if any(type(number) is not int or not -(1 << 93) <= number < 1 << 93 for number in numbers):
        raise ValueError("an attribute is no number")
    extended = {str(name): b64decode(value, validate=True) for name, value in document["extended"].items()}
    if not all(name.startswith(_OURS) and "\0" not in name for name in extended):
        raise ValueError("an extended attribute is not of the kind that is written down")
    owner, group, mode, accessed, modified = numbers
    return Attributes(owner, group, mode, accessed, modified, extended)


def _give(path: Path, owner: int, group: int) -> None:
    if hasattr(os, "chown"):
        with suppress(OSError):
            os.chown(path, owner, group)
