"""The page of `duplicates find --html` says how far it is, picture by picture, over all its parts."""

import re
from typing import TYPE_CHECKING

from PIL import Image

from vitsearch.duplicates.group.grouping import DuplicateGroup, GroupedFile
from vitsearch.pages import duplicates
from vitsearch.pages.duplicates import write_page

if TYPE_CHECKING:
    from vitsearch.records import Progress


def groups_of(folder, count):
    found = []
    for number in range(count):
        files = []
        for place, colour in enumerate(("red", "blue")):
            path = folder / f"{number}-{place}.png"
            Image.new("RGB", (40 + number, 30), colour).save(path)
            files.append(GroupedFile(path, 2 * number + place, b"", "near", 1.0, None, 40 + number, 30, 100))
        found.append(DuplicateGroup("near", 1.0, files[0].path, "larger", tuple(files)))
    return found


def test_progress_moves_with_each_picture_of_all_pages(tmp_path, monkeypatch):
    monkeypatch.setattr(duplicates, "PAIRS_PER_PAGE", 3)
    told: list[Progress] = []
    pages = write_page(groups_of(tmp_path, 7), tmp_path / "found.html", on_progress=told.append)
    assert [(one.stage, one.done, one.total) for one in told] == [
        ("write", done, 14) for done in range(1, 15)
    ]
    assert len(pages) == 3
    shown = [
        re.findall(r'alt="([^"]+)" src="(data:image/jpeg;base64,[^"]+)"', page.read_text()) for page in pages
    ]
    assert [[name for name, _ in page] for page in shown] == [
        [f"{number}-{place}.png" for number in numbers for place in (0, 1)]
        for numbers in (range(3), range(3, 6), range(6, 7))
    ]
    # Each picture stands beside its own name.
    assert len({picture for page in shown for _, picture in page}) == 14


def test_a_file_that_has_gone_has_no_picture(tmp_path):
    found = groups_of(tmp_path, 1)
    found[0].files[1].path.unlink()
    (page,) = write_page(found, tmp_path / "found.html")
    assert 'alt="0-1.png" src=""' in page.read_text()
