"""What file systems are called."""

import sys
from pathlib import Path

import pytest

from vitsearch.folders import file_system


@pytest.mark.skipif(sys.platform != "linux", reason="udev's names are Linux's")
@pytest.mark.parametrize("names", [("a", "b"), ("b", "a")])
def test_a_drive_that_was_mounted_during_a_walk_has_its_own_name(tmp_path, monkeypatch, names):
    """The mounts that a walk knows are those of its start: they say that the drive's folder is on the drive around it.

    Device files of the system stand for the two drives.
    """
    around, drive = names
    (tmp_path / around).symlink_to("/dev/null")
    (tmp_path / drive).symlink_to("/dev/zero")
    monkeypatch.setattr(file_system, "_UUIDS", tmp_path)
    mount = file_system._Mount("1:3", "/", "ext4", "/dev/null")
    device = Path("/dev/zero").stat().st_rdev
    assert file_system._named_by_mount(mount, device, "/") == f"uuid:{drive}"
    # Parts of a file system that number themselves are known by the drive that they are on.
    assert file_system._named_by_mount(mount, 1 << 40, "/") == f"uuid:{around}"
