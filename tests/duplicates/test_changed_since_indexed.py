"""What was seen of a file that has changed since it was indexed says nothing of the bytes it had then."""

import os
import shutil

from tests.support.mean_colour import MeanColour
from tests.support.samples import SAMPLES
from vitsearch.duplicates.find import find_duplicates
from vitsearch.library import Library


def grouped(library):
    return {frozenset(file.path.name for file in group.files) for group in find_duplicates(library).groups}


def test_a_changed_file_does_not_answer_for_the_other_file_of_its_earlier_bytes(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    shutil.copy(SAMPLES / "nature" / "bee-1.jpg", folder / "a-one.jpg")
    shutil.copy(SAMPLES / "nature" / "bee-1.jpg", folder / "b-backup.jpg")
    shutil.copy(SAMPLES / "travel" / "castle-2.jpg", folder / "c-other.jpg")
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([folder])
        # Something else is saved under the name of one of the two, and a search comes before the next index.
        shutil.copy(folder / "c-other.jpg", folder / "a-one.jpg")
        os.utime(folder / "a-one.jpg", (1, 1))
        assert grouped(library) == set()
        library.index([folder])
        known = grouped(library)
    with Library.open(tmp_path / "afresh", backbone=MeanColour()) as library:
        library.index([folder])
        assert known == grouped(library) == {frozenset({"a-one.jpg", "c-other.jpg"})}
