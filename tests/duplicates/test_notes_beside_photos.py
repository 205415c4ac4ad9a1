"""Notes in XMP beside a photo have a say in what is kept, as its own have, and are asked again when they change."""

from PIL import Image

from tests.support.mean_colour import MeanColour
from tests.support.samples import SAMPLES
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


def test_a_photo_whose_notes_lie_beside_it_is_kept(tmp_path):
    photos = twins(tmp_path, "finer.jpg", "noted.jpg")
    (photos / "noted.jpg.xmp").write_text(NOTES)
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([photos])
        (group,) = find_duplicates(library).groups
    assert group.keep.name == "noted.jpg"
