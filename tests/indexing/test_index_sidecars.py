"""XMP beside photos, and a raw file that has got its JPEG: what a run makes of them."""

import json
import os

import pytest
from PIL import Image

from tests.support.summaries import figures
from tests.support.written_files import dng
from vitsearch.decoding.decoders import Decoders
from vitsearch.errors import UnreadablePhoto
from vitsearch.photos.photo import read_photo
from vitsearch.storage.filters import Filter

XMP = """<?xpacket begin="\ufeff" id="W5M0MpCehiHzreSzNTczkc9d"?>
<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description rdf:about="" xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 xmlns:exif="http://ns.adobe.com/exif/1.0/" {attributes}>
<dc:subject><rdf:Bag>{keywords}</rdf:Bag></dc:subject>{more}
</rdf:Description></rdf:RDF></x:xmpmeta>"""


def packet(*keywords, more="", **attributes):
    return XMP.format(
        attributes=" ".join(f'{name.replace("_", ":")}="{value}"' for name, value in attributes.items()),
        keywords="".join(f"<rdf:li>{word}</rdf:li>" for word in keywords),
        more=more,
    )


@pytest.fixture
def photo(tmp_path, picture):
    return picture(tmp_path / "photos" / "IMG_1.png", "red")


def kept(library, **criteria):
    return len(library.catalog.select(Filter(**criteria)))


@pytest.mark.parametrize("name", ["IMG_1.png.xmp", "IMG_1.xmp", "IMG_1.XMP", "IMG_1.png.XMP"])
def test_a_sidecar_by_either_name_tells_of_its_photo(library, photo, name):
    more = "<dc:description><rdf:Alt><rdf:li xml:lang='x-default'>By the lake</rdf:li></rdf:Alt></dc:description>"
    photo.with_name(name).write_text(
        packet(
            "lake",
            "swans",
            more=more,
            xmp_Rating="4",
            exif_DateTimeOriginal="2019-07-01T18:30:11+02:00",
            exif_GPSLatitude="48,30.0N",
            exif_GPSLongitude="16,15.0E",
        ),
        encoding="utf-8",
    )
    library.index([photo.parent])
    assert kept(library, keyword="Swans") == kept(library, rating=4) == 1
    facts = read_photo(photo).facts
    assert (facts.taken, facts.utc_offset, facts.taken_from) == ("2019-07-01T18:30:11", "+02:00", "XMP")
    assert (facts.latitude, facts.longitude) == (48.5, 16.25)
    assert facts.caption == "By the lake"


def test_a_sidecar_that_comes_changes_or_goes_is_read_and_nothing_is_embedded(library, photo):
    library.index([photo.parent])
    sidecar = photo.with_name("IMG_1.png.xmp")
    assert figures(library.index()) == {"photos": 1, "files": 1, "unchanged": 1}
    sidecar.write_text(packet("lake", xmp_Rating="5"))
    report = library.index()
    assert (figures(report), report.reread) == ({"photos": 1, "files": 1}, 1)
    assert kept(library, keyword="lake") == kept(library, rating=5) == 1
    assert figures(library.index()) == {"photos": 1, "files": 1, "unchanged": 1}
    sidecar.write_text(packet("sea", xmp_Rating="0"))
    assert figures(library.index()) == {"photos": 1, "files": 1}
    assert kept(library, keyword="sea") == 1
    assert kept(library, keyword="lake") == kept(library, rating=1) == 0
    sidecar.unlink()
    assert figures(library.index()) == {"photos": 1, "files": 1}
    assert kept(library, keyword="sea") == 0
    assert figures(library.index()) == {"photos": 1, "files": 1, "unchanged": 1}


def test_what_a_copy_elsewhere_says_stays_when_one_file_loses_its_sidecar(library, photo):
    copy = photo.parent / "copies" / "IMG_1.png"
    copy.parent.mkdir()
    copy.write_bytes(photo.read_bytes())
    sidecar = photo.with_name("IMG_1.xmp")
    sidecar.write_text(packet("lake"))
    library.index([photo.parent])
    sidecar.unlink()
    library.index()
    assert kept(library, keyword="lake") == 1


def test_a_sidecar_goes_before_the_photo_and_leaves_alone_what_it_does_not_say(tmp_path):
    path = tmp_path / "photo.jpg"
    exif = Image.Exif()
    exif[271], exif[272] = "NIKON CORPORATION", "NIKON D850"
    exif.get_ifd(0x8769).update({36867: "2019:07:01 18:30:11", 36881: "+02:00"})
    Image.new("RGB", (8, 8)).save(path, exif=exif, xmp=packet("own", xmp_Rating="2").encode())
    sidecar = tmp_path / "photo.jpg.xmp"
    sidecar.write_text(packet("added", exif_DateTimeOriginal="2019-07-01T18:30:11"))
    facts = read_photo(path).facts
    assert (facts.taken, facts.utc_offset, facts.taken_from) == ("2019-07-01T18:30:11", "+02:00", "EXIF")
    assert (facts.camera, facts.rating, facts.keywords) == ("Nikon D850", 2, ("own", "added"))
    sidecar.write_text(packet(xmp_Rating="0", exif_DateTimeOriginal="2018-06-30T10:00:00"))
    facts = read_photo(path).facts
    assert (facts.taken, facts.taken_from, facts.rating) == ("2018-06-30T10:00:00", "XMP", None)
    # What is about this photo alone goes before what is about all of its name.
    (tmp_path / "photo.xmp").write_text(packet(xmp_Rating="3"))
    assert read_photo(path).facts.rating is None


@pytest.mark.parametrize(
    "content", [b"", b"\0" * 100, b"<rdf:RDF", b"\xff\xfe", b"<!DOCTYPE a [<!ENTITY b 'c'>]><a>&b;</a>"]
)
def test_a_damaged_sidecar_costs_nothing_but_itself(library, photo, content):
    photo.with_name("IMG_1.xmp").write_bytes(content)
    report = library.index([photo.parent])
    assert figures(report) == {"photos": 1, "files": 1, "embedded": 1}
    assert [remark.reason for remark in report.remarks] == [
        "the XMP beside it is damaged, and what stands behind the damage was left out"
    ]


def test_a_sidecar_that_is_too_large_or_no_file_is_left_out_with_a_word(tmp_path, photo):
    sidecar = photo.with_name("IMG_1.xmp")
    sidecar.write_bytes(packet("lake").encode() + b" " * (4 << 20))
    read = read_photo(photo)
    assert read.facts.keywords == ()
    assert read.remarks == ("IMG_1.xmp beside it was left out: it has more than 4 MB",)
    sidecar.unlink()
    os.mkfifo(sidecar)  # nobody will ever write to it
    read = read_photo(photo)
    assert read.remarks == ("IMG_1.xmp beside it was left out: it is not a regular file",)


def shot(size=(96, 64)):
    image = Image.linear_gradient("L").resize(size)
    return Image.merge("RGB", (image, image.transpose(Image.Transpose.ROTATE_180), image))


def test_a_raw_file_that_gets_its_jpeg_later_becomes_one_item_with_it(library, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "IMG_1.DNG").write_bytes(dng(shot()))
    library.index([folder])
    (raw,) = library.catalog.select(Filter())
    photo_hash = library.catalog.database.scalar("SELECT photo_hash FROM photos")
    with library.catalog.database.write():
        library.catalog.database.run("INSERT INTO head_examples VALUES ('pets', ?, 'cat', 1)", [int(raw)])
        library.catalog.database.run("INSERT INTO favourites VALUES (?)", [photo_hash])
    shot().save(folder / "img_1.jpg", quality=90)
    report = library.index()
    assert figures(report) == {"photos": 1, "files": 1, "embedded": 1}
    assert [(item.kind, item.count) for item in report.left_out] == [("raw file beside its photo", 1)]
    (jpeg,) = library.catalog.select(Filter())
    assert jpeg != raw
    assert library.catalog.photos([int(jpeg)])[int(jpeg)].paths == (folder / "img_1.jpg",)
    rows = library.catalog.database.rows("SELECT photo, label FROM head_examples")
    assert rows == [(int(jpeg), "cat")]
    assert kept(library, favourite=True) == 1
    assert library.catalog.database.number("SELECT count(*) FROM vectors") == 1
    assert len(library.search(folder / "img_1.jpg", include_self=True).results) == 1
    assert figures(library.index()) == {"photos": 1, "files": 1, "unchanged": 1}


def test_a_raw_file_keeps_its_photo_where_the_jpeg_beside_it_cannot_be_read(library, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "IMG_1.dng").write_bytes(dng(shot()))
    library.index([folder])
    (folder / "IMG_1.jpg").write_bytes(b"\xff\xd8\xff broken")
    report = library.index()
    assert [item.path.name for item in report.unreadable] == ["IMG_1.jpg"]
    assert len(library.catalog.select(Filter())) == 1


def test_a_raw_file_stands_for_its_shot_where_the_jpeg_beside_it_is_damaged(library, tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    (folder / "IMG_1.dng").write_bytes(dng(shot()))
    (folder / "IMG_1.jpg").write_bytes(b"\xff\xd8\xff broken")
    assert figures(library.index([folder])) == {"photos": 1, "files": 1, "embedded": 1, "unreadable": 1}
    assert figures(library.index()) == {"photos": 1, "files": 1, "unreadable": 1}
    shot().save(folder / "IMG_1.jpg", quality=90)  # somebody has a sound copy
    assert figures(library.index()) == {"photos": 1, "files": 1, "embedded": 1}
    (found,) = library.catalog.photos(library.catalog.select(Filter()).tolist()).values()
    assert found.paths == (folder / "IMG_1.jpg",)


def test_a_copy_of_a_raw_file_elsewhere_keeps_its_own_labels(library, tmp_path):
    folder = tmp_path / "photos"
    (folder / "raw").mkdir(parents=True)
    for place in (folder / "IMG_1.dng", folder / "raw" / "IMG_1.dng"):
        place.write_bytes(dng(shot()))
    library.index([folder])
    (raw,) = library.catalog.select(Filter())
    shot().save(folder / "IMG_1.jpg")
    assert figures(library.index()) == {"photos": 2, "files": 2, "embedded": 1, "unchanged": 1}
    assert library.catalog.photos([int(raw)])[int(raw)].paths == (folder / "raw" / "IMG_1.dng",)


def test_embedding_for_words_too_forgets_nothing_that_sidecars_say(library, photo):
    photo.with_name("IMG_1.xmp").write_text(packet("lake", xmp_Rating="4"))
    library.index([photo.parent])
    ((root, found),) = library.catalog.files_without_vector(12345)
    assert found.sidecars
    assert root == library.catalog.roots()[0].id


@pytest.mark.parametrize("passing", [True, False])
def test_a_sidecar_that_could_not_be_read_in_one_run_is_read_in_the_next(
    library, photo, monkeypatch, passing
):
    library.index([photo.parent])
    beside = photo.with_name("IMG_1.png.xmp")
    beside.write_text(packet("lake", xmp_Rating="5"), encoding="utf-8")

    def fails(self, path, **options):
        raise UnreadablePhoto(path, "Input/output error", passing=passing)

    with monkeypatch.context() as patched:
        patched.setattr(Decoders, "open", fails)
        library.index([])
    if not passing:
        beside.write_text(packet("lake", "swans", xmp_Rating="5"), encoding="utf-8")
    library.index([])
    assert kept(library, rating=5) == 1


def test_takeouts_notes_are_read_when_they_come_and_beside_a_sidecar(library, photo):
    library.index([photo.parent])
    note = photo.with_name("IMG_1.png.supplemental-metadata.json")
    taken = {"photoTakenTime": {"timestamp": "1628944000"}, "people": [{"name": "Anna"}]}
    note.write_text(json.dumps(taken))
    report = library.index()
    assert (figures(report), report.reread) == ({"photos": 1, "files": 1}, 1)
    assert kept(library, keyword="Anna") == kept(library, after="2021-08", before="2021-09") == 1
    note.with_name("metadata.json").write_text("{}")  # an album's: about no photo
    assert [(each.kind, each.count) for each in library.index().left_out] == [("file that is no image", 1)]
    photo.with_name("IMG_1.png.xmp").write_text(packet("lake", xmp_Rating="5"))
    assert figures(library.index()) == {"photos": 1, "files": 1}
    assert kept(library, keyword="Anna", rating=5, after="2021-08") == kept(library, keyword="lake") == 1
    assert figures(library.index()) == {"photos": 1, "files": 1, "unchanged": 1}


@pytest.mark.parametrize(
    "order", [("exif", "takeout", "name"), ("name", "takeout", "exif"), ("takeout", "name")]
)
def test_of_one_photos_dates_the_cameras_counts_most_and_a_name_least(library, tmp_path, order):
    exif = Image.Exif()
    exif.get_ifd(0x8769)[0x9003] = "2019:08:14 13:26:40"
    dates = {"exif": "2019", "takeout": "2021", "name": "2023"}
    for kind in order:
        path = tmp_path / "photos" / ("IMG_20230101_101010.jpg" if kind == "name" else f"{kind}.jpg")
        path.parent.mkdir(exist_ok=True)
        Image.new("RGB", (40, 30), "blue").save(path, exif=exif if kind == "exif" else Image.Exif())
        if kind == "takeout":
            path.with_name("takeout.jpg.json").write_text('{"photoTakenTime": {"timestamp": "1628944000"}}')
        library.index([path.parent])
    best = dates["exif" if "exif" in order else "takeout"]
    assert kept(library, after=best, before=str(int(best) + 1)) == kept(library) == 1
