"""Notes in XMP beside a photo have a say in what is kept, as its own have."""

from conftest import SAMPLES, MeanColour
from PIL import Image

from vitsearch.duplicates.find import find_duplicates
from vitsearch.library import Library

NOTES = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description xmlns:exif="http://ns.adobe.com/exif/1.0/" exif:DateTimeOriginal="2020-05-06T07:08:09"/>'
    "</rdf:RDF></x:xmpmeta>"
)


def test_a_photo_whose_notes_lie_beside_it_is_kept(tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    with Image.open(SAMPLES / "animals" / "dog-1.jpg") as image:
        image.save(photos / "finer.jpg", quality=95)
        image.save(photos / "noted.jpg", quality=90)
    (photos / "noted.jpg.xmp").write_text(NOTES)
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([photos])
        (group,) = find_duplicates(library).groups
    assert group.keep.name == "noted.jpg"
