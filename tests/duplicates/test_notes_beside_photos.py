"""Notes in XMP beside a photo have no say in what is kept: they move to the file that stays."""

from PIL import Image

from tests.support.mean_colour import MeanColour
from tests.support.samples import SAMPLES
from vitsearch.duplicates.cleanup.planning import make_plan
from vitsearch.duplicates.find import find_duplicates
from vitsearch.library import Library
from vitsearch.storage.layout import Layout

NOTES = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description xmlns:exif="http://ns.adobe.com/exif/1.0/" exif:DateTimeOriginal="2020-05-06T07:08:09"/>'
    "</rdf:RDF></x:xmpmeta>"
)


def twins(folder, finer, coarser):
    photos = folder / "photos"
    photos.mkdir()
    with Image.open(SAMPLES / "animals" / "dog-1.jpg") as image:
        image.save(photos / finer, quality=95)
        image.save(photos / coarser, quality=90)
    return photos


def test_notes_behind_a_link_are_part_of_the_question(tmp_path):
    photos = twins(tmp_path, "twin-1.jpg", "twin-2.jpg")
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([photos])
        (before,) = find_duplicates(library).groups
        other = next(file.path for file in before.files if file.path != before.keep)
        (tmp_path / "notes.xmp").write_text(NOTES)
        other.with_suffix(".jpg.xmp").symlink_to(tmp_path / "notes.xmp")
        known = find_duplicates(library)
        Layout.of(library.folder).answers.unlink()
        assert known == find_duplicates(library)


def test_notes_beside_the_poorer_copy_move_to_the_better_one(tmp_path):
    photos = twins(tmp_path, "finer.jpg", "noted.jpg")
    (photos / "noted.jpg.xmp").write_text(NOTES)
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([photos])
        found = find_duplicates(library)
        plan = make_plan(found.groups, "trash", roots=[photos])
    (group,) = plan.groups
    assert group.keep is not None
    assert group.keep.path.name == "finer.jpg"
    assert [file.path.name for file in group.leaving] == ["noted.jpg", "noted.jpg.xmp"]
    assert [(move.path.name, move.to) for move in group.moves] == [
        ("noted.jpg.xmp", photos / "finer.jpg.xmp")
    ]
