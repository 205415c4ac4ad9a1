"""Copies that have something of their own: the original never goes for them, and they do not go for it."""

import pytest
from PIL import Image, ImageEnhance

from tests.support.mean_colour import MeanColour
from tests.support.samples import SAMPLES
from vitsearch.duplicates.cleanup.planning import make_plan
from vitsearch.duplicates.find import find_duplicates
from vitsearch.library import Library

PHOTO = SAMPLES / "animals" / "dog-1.jpg"
MAKE, MODEL, SOFTWARE, EXIF, GPS = 0x010F, 0x0110, 0x0131, 0x8769, 0x8825
ORIGINAL_DATE, EXPOSURE, LENS_MODEL = 0x9003, 0x829A, 0xA434
RDF = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
    'xmlns:Iptc4xmpExt="http://iptc.org/std/Iptc4xmpExt/2008-02-29/" '
    'xmlns:mwg-rs="http://www.metadataworkinggroup.com/schemas/regions/">{}</rdf:Description></rdf:RDF></x:xmpmeta>'
)
BAG = "<{0}><rdf:Bag><rdf:li>{1}</rdf:li></rdf:Bag></{0}>"
FACE = (
    '<mwg-rs:Regions rdf:parseType="Resource"><mwg-rs:RegionList><rdf:Bag><rdf:li>'
    '<rdf:Description mwg-rs:Name="Jane" mwg-rs:Type="Face"/></rdf:li></rdf:Bag></mwg-rs:RegionList></mwg-rs:Regions>'
)


@pytest.fixture(scope="module")
def picture():
    with Image.open(PHOTO) as image:
        return image.convert("RGB")


def notes(*, camera=True, place=False, lens=False, software=None, date=True):
    exif = Image.Exif()
    shot = exif.get_ifd(EXIF)
    if camera:
        exif[MAKE], exif[MODEL] = "Canon", "Canon EOS 80D"
        shot[EXPOSURE] = 0.01
    if date:
        shot[ORIGINAL_DATE] = "2019:07:01 18:30:11"
    if lens:
        shot[LENS_MODEL] = "EF-S18-55mm"
    if place:
        exif.get_ifd(GPS).update({1: "N", 2: (47.0, 6.0, 0.0), 3: "E", 4: (8.0, 30.0, 0.0)})
    if software:
        exif[SOFTWARE] = software
    return exif


def reduced(image, share=0.75):
    return image.resize((round(image.width * share), round(image.height * share)), Image.Resampling.LANCZOS)


@pytest.fixture
def going(tmp_path):
    """The names of the files that the plan for two files would move."""

    def found():
        folder = tmp_path / "photos"
        with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
            library.index([folder])
            groups = find_duplicates(library).groups
            plan = make_plan(groups, "trash", roots=[folder])
        return {file.path.stem for group in plan.groups for file in group.leaving}

    (tmp_path / "photos").mkdir()
    return found


@pytest.mark.parametrize(
    "change",
    [
        lambda image: (reduced(image), {"quality": 70, "exif": notes(place=True)}),
        lambda image: (reduced(image), {"quality": 70, "exif": notes(lens=True)}),
        lambda image: (image, {"quality": 60, "exif": notes(place=True)}),
        lambda image: (image.convert("L"), {"quality": 85, "exif": notes(place=True)}),
        lambda image: (
            ImageEnhance.Color(image).enhance(1.5),
            {"quality": 80, "exif": notes(place=True, software="Snapseed 2.0")},
        ),
        lambda image: (reduced(image, 0.45), {"quality": 50, "exif": notes(place=True)}),
    ],
    ids=["reduced", "with a lens", "saved worse", "grey", "edited", "small"],
)
def test_a_place_or_a_lens_that_a_program_noted_makes_no_copy_the_original(tmp_path, picture, going, change):
    picture.save(tmp_path / "photos/original.jpg", quality=95, exif=notes())
    copy, how = change(picture)
    copy.save(tmp_path / "photos/copy.jpg", **how)
    assert "original" not in going()


def test_a_finer_scan_does_not_go_for_one_with_a_date(tmp_path, picture, going):
    picture.save(tmp_path / "photos/original.tif")
    copy = reduced(picture)
    copy.save(tmp_path / "photos/copy.jpg", quality=60, exif=notes(camera=False))
    assert going() == set()


def test_a_still_does_not_go_for_an_animation_of_fewer_colours(tmp_path, picture, going):
    frames = [picture.rotate(angle).quantize(64) for angle in (0, 3, 6)]
    picture.save(tmp_path / "photos/original.png")
    frames[0].save(tmp_path / "photos/copy.gif", save_all=True, append_images=frames[1:], duration=100)
    assert going() == set()


def test_a_large_photo_does_not_go_for_a_small_one_with_its_video(tmp_path, picture, going):
    picture.save(tmp_path / "photos/original.jpg", quality=92, exif=notes())
    reduced(picture).save(tmp_path / "photos/copy.jpg", quality=65, exif=notes())
    (tmp_path / "photos/copy.mov").write_bytes(b"\0\0\0\x14ftypqt  " + bytes(1000))
    assert going() == set()


def test_an_opaque_picture_does_not_go_for_one_that_is_half_transparent(tmp_path, picture, going):
    picture.save(tmp_path / "photos/original.png")
    faint = picture.convert("RGBA")
    faint.putalpha(Image.new("L", picture.size, 200))
    faint.save(tmp_path / "photos/copy.png")
    assert going() == set()


@pytest.mark.parametrize(
    "said",
    [
        BAG.format("dc:subject", "Anna"),
        BAG.format("Iptc4xmpExt:PersonInImage", "Anna"),
        "<dc:description><rdf:Alt><rdf:li xml:lang='x-default'>Annas first steps</rdf:li></rdf:Alt></dc:description>",
        "<xmp:Rating>5</xmp:Rating>",
        FACE,
    ],
    ids=["keyword", "person", "caption", "rating", "face"],
)
def test_what_somebody_wrote_into_a_file_is_not_lost_with_it(tmp_path, picture, going, said):
    """Of equal files, the one with the notes stays; where the other one is larger, both do."""
    photos = tmp_path / "photos"
    picture.save(photos / "a.jpg", quality=90, exif=notes())
    picture.save(photos / "noted by somebody.jpg", quality=90, exif=notes(), xmp=RDF.format(said).encode())
    assert going() == {"a"}
    (photos / "a.jpg").unlink()
    picture.resize((picture.width * 2, picture.height * 2), Image.Resampling.LANCZOS).save(
        photos / "larger.jpg", quality=90, exif=notes()
    )
    assert "noted by somebody" not in going()


def test_a_cameras_file_does_not_go_for_the_panorama_that_was_made_of_it(tmp_path, picture, going):
    picture.save(
        tmp_path / "photos/panorama.jpg", quality=95, exif=notes(camera=False, software="Hugin 2020.0")
    )
    width, height = picture.size
    part = picture.crop((width // 5, 0, width * 4 // 5, height))
    part.save(tmp_path / "photos/original.jpg", quality=95, exif=notes())
    assert going() == set()


def test_a_photo_without_notes_does_not_go_for_the_edit_that_was_made_of_it(tmp_path, picture, going):
    picture.save(tmp_path / "photos/original.jpg", quality=92)
    ImageEnhance.Color(picture).enhance(1.5).save(
        tmp_path / "photos/edit.jpg", quality=92, exif=notes(software="Snapseed 2.0")
    )
    picture.save(tmp_path / "photos/sent.jpg", quality=60)
    assert going() == {"sent"}


@pytest.mark.parametrize("sample", ["animals/bird-4.jpg", "travel/pyramid-4.jpg"])
def test_an_even_sky_is_no_border_that_makes_the_original_smaller_than_a_noisy_copy(tmp_path, going, sample):
    """The codec's noise told the sky of the copy from a border, and that of the cleaner original was taken for one."""
    with Image.open(SAMPLES / sample) as image:
        part = image.convert("RGB").crop((0, 0, image.width // 3, image.height))
    part.thumbnail((320, 320))
    part.save(tmp_path / "photos/original.jpg", quality=92)
    with Image.open(tmp_path / "photos/original.jpg") as image:
        image.save(tmp_path / "photos/copy.jpg", quality=60)
    assert going() == {"copy"}


def test_a_copy_without_anything_of_its_own_goes(tmp_path, picture, going):
    picture.save(tmp_path / "photos/original.jpg", quality=95, exif=notes(place=True, lens=True))
    reduced(picture).save(tmp_path / "photos/copy.jpg", quality=70)
    assert going() == {"copy"}
