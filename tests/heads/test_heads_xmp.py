"""Keywords in sidecar files: merged without loss, and never in the photo."""

import os
import shutil
import subprocess
import sys
import xml.etree.ElementTree as ET

import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from tests.support.sidecars import DARKTABLE, DIGIKAM, read_keywords, without_record
from vitsearch.errors import HeadError
from vitsearch.heads.xmp import sidecar_path, write_labels
from vitsearch.heads.xmp_rating import take_rating_back, write_rating
from vitsearch.photos.photo import read_photo
from vitsearch.photos.xmp import read_xmp
from vitsearch.storage.atomic import Draft
from vitsearch.storage.filters import Filter

NAMESPACES = {"rdf": "http://www.w3.org/1999/02/22-rdf-syntax-ns#", "dc": "http://purl.org/dc/elements/1.1/"}
SUBJECTS = "./rdf:RDF/rdf:Description/dc:subject/rdf:Bag/rdf:li"


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.jpg"
    Image.new("RGB", (8, 8)).save(path)
    return path


def test_a_new_sidecar_holds_the_keywords_and_the_photo_is_untouched(photo):
    before = photo.read_bytes(), photo.stat().st_mtime_ns
    change = write_labels(photo, ["beach", 'a <b> & "c"', "ねこ"], head="pets")
    assert change.path == photo.with_name("photo.jpg.xmp")
    assert change.added == ("beach", 'a <b> & "c"', "ねこ")
    assert read_keywords(photo) == ("beach", 'a <b> & "c"', "ねこ")
    assert (photo.read_bytes(), photo.stat().st_mtime_ns) == before
    assert ET.parse(change.path).getroot().tag == "{adobe:ns:meta/}xmpmeta"


def test_the_keywords_are_where_the_xmp_standard_puts_them(photo):
    tree = ET.parse(write_labels(photo, ["beach", "sea"], head="pets").path)
    items = tree.findall(SUBJECTS, NAMESPACES)
    assert [item.text for item in items] == ["beach", "sea"]


def test_an_existing_sidecar_changes_in_its_keywords_and_nowhere_else(photo):
    sidecar = photo.with_name("photo.jpg.xmp")
    sidecar.write_text(DARKTABLE)
    change = write_labels(photo, ["beach", "sea & sky"], head="pets")
    assert (change.added, change.removed) == (("beach",), ())
    wrong = "\n     <rdf:li>wrong</rdf:li>"
    expected = DARKTABLE.replace(wrong, f"{wrong}\n     <rdf:li>beach</rdf:li>")
    assert without_record(sidecar.read_text()) == expected
    change = write_labels(photo, ["sea & sky"], head="pets")
    assert (change.added, change.removed) == ((), ("beach",))
    assert sidecar.read_text() == DARKTABLE


def test_digikams_own_list_is_kept_in_step(photo):
    sidecar = photo.with_name("photo.jpg.xmp")
    sidecar.write_text(DIGIKAM)
    write_labels(photo, ["beach"], head="pets")
    added = "<rdf:li>beach</rdf:li>"
    expected = DIGIKAM.replace("Places/Rome</rdf:li>", f"Places/Rome</rdf:li>{added}")
    expected = expected.replace(">Rome</rdf:li>", f">Rome</rdf:li>{added}")
    assert without_record(sidecar.read_text()) == expected
    write_labels(photo, [], head="pets")
    assert sidecar.read_text().split() == DIGIKAM.replace("</rdf:D", " </rdf:D").split()


def test_writing_the_same_keywords_again_does_not_touch_the_file(photo):
    sidecar = write_labels(photo, ["beach"], head="pets").path
    before = sidecar.stat()
    assert write_labels(photo, ["beach"], head="pets").added == ()
    assert (sidecar.stat().st_ino, sidecar.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_nothing_to_write_makes_no_file(photo):
    write_labels(photo, [], head="pets")
    assert not sidecar_path(photo).exists()


@pytest.mark.parametrize(
    "description",
    [
        '<rdf:Description rdf:about=""/>',
        '<rdf:Description rdf:about="" />',
        '<rdf:Description rdf:about=""></rdf:Description>',
        '<rdf:Description><dc:subject xmlns:dc="http://purl.org/dc/elements/1.1/"/></rdf:Description>',
        '<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/"><dc:subject><rdf:Bag/></dc:subject></rdf:Description>',
        '<rdf:Description xmlns:s="http://purl.org/dc/elements/1.1/"><s:subject><rdf:Bag></rdf:Bag></s:subject></rdf:Description>',
        '<rdf:Description xmlns:dc="urn:other"><dc:subject>not ours</dc:subject></rdf:Description>',
    ],
)
def test_every_way_to_have_no_keywords_yet_gains_them(photo, description):
    rdf = "http://www.w3.org/1999/02/22-rdf-syntax-ns#"
    sidecar_path(photo).write_text(f'<rdf:RDF xmlns:rdf="{rdf}">{description}</rdf:RDF>')
    write_labels(photo, ["beach", "sea"], head="pets")
    assert read_keywords(photo) == ("beach", "sea")
    ET.parse(sidecar_path(photo))


def test_a_lone_text_where_a_list_belongs_becomes_its_first_keyword(photo):
    keywords = DARKTABLE[DARKTABLE.index("<rdf:Seq>") : DARKTABLE.index("</dc:")]
    sidecar_path(photo).write_text(DARKTABLE.replace(keywords, "old"))
    write_labels(photo, ["beach"], head="pets")
    assert read_keywords(photo) == ("old", "beach")


def test_a_default_namespace_is_respected(photo):
    sidecar_path(photo).write_text(
        '<RDF xmlns="http://www.w3.org/1999/02/22-rdf-syntax-ns#"><Description xmlns:dc="http://purl.org/dc/elements/1.1/">'
        "<dc:subject><Bag><li>old</li></Bag></dc:subject></Description></RDF>"
    )
    write_labels(photo, ["beach"], head="pets")
    assert read_keywords(photo) == ("old", "beach")


def test_an_adobe_style_sidecar_is_continued(photo):
    short = photo.with_name("photo.xmp")
    short.write_text(DARKTABLE)
    assert write_labels(photo, ["beach"], head="pets").path == short
    assert not photo.with_name("photo.jpg.xmp").exists()


def test_an_adobe_style_sidecar_that_a_raw_file_shares_is_left_alone(photo):
    photo.with_name("photo.CR2").write_bytes(b"raw")
    short = photo.with_name("photo.xmp")
    short.write_text(DARKTABLE)
    assert write_labels(photo, ["beach"], head="pets").path == photo.with_name("photo.jpg.xmp")
    assert short.read_text() == DARKTABLE


def test_a_name_as_long_as_names_may_be_gets_its_sidecar(tmp_path):
    photo = tmp_path / ("x" * 247 + ".jpg")
    Image.new("RGB", (8, 8)).save(photo)
    assert write_labels(photo, ["beach"], head="pets").added == ("beach",)


def test_permissions_of_a_sidecar_are_kept(photo):
    sidecar = sidecar_path(photo)
    sidecar.write_text(DARKTABLE)
    sidecar.chmod(0o604)
    write_labels(photo, ["beach"], head="pets")
    assert sidecar.stat().st_mode & 0o777 == 0o604


LAUGHS = '<!DOCTYPE x [<!ENTITY a "ha"><!ENTITY b "&a;&a;&a;&a;">]><x:xmpmeta xmlns:x="adobe:ns:meta/">&b;</x:xmpmeta>'


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"\0" * 100, "not an XMP sidecar"),
        (b"not xml", "not an XMP sidecar"),
        (DARKTABLE.encode()[:-20], "not an XMP sidecar"),
        (DARKTABLE.encode("utf-16")[:-1], "not an XMP sidecar in UTF-8 or UTF-16"),
        (DARKTABLE.encode("latin-1").replace(b"remark", b"\xe9"), "not an XMP sidecar in UTF-8 or UTF-16"),
        (LAUGHS.encode(), "declares a document type"),
        (b"<a>" * 5000, "cannot follow its elements"),
        (b"<html><body/></html>", "no rdf:Description"),
    ],
)
def test_what_is_not_a_sidecar_is_refused_and_left_as_it_is(photo, content, message):
    sidecar = sidecar_path(photo)
    sidecar.write_bytes(content)
    with pytest.raises(HeadError, match=message) as caught:
        write_labels(photo, ["beach"], head="pets")
    assert "\n" not in str(caught.value)
    assert sidecar.read_bytes() == content


@pytest.mark.parametrize(
    "encoding", ["utf-8-sig", "utf-16", "utf-16-le", "utf-16-be", "utf-32", "iso-8859-1", "windows-1252"]
)
def test_a_sidecar_keeps_its_encoding_and_all_else(photo, encoding):
    """XMP may be in any encoding of Unicode, and what is only XML in others."""
    sidecar = sidecar_path(photo)
    text = DARKTABLE.replace("UTF-8", encoding.removesuffix("-le")).replace("a remark", "ça va")
    sidecar.write_bytes(text.encode(encoding))
    assert read_xmp(sidecar.read_bytes()).all("dc:subject") == ["sea & sky", "wrong"]
    assert not read_xmp(sidecar.read_bytes()).is_cut
    assert write_labels(photo, ["ねこ", "café"], head="pets").added == ("ねこ", "café")
    wrong = "\n     <rdf:li>wrong</rdf:li>"
    expected = text.replace(wrong, f"{wrong}\n     <rdf:li>ねこ</rdf:li>\n     <rdf:li>café</rdf:li>")
    written = without_record(sidecar.read_bytes().decode(encoding))
    assert written.encode(encoding) == expected.encode(encoding, "xmlcharrefreplace")
    assert read_keywords(photo) == ("sea & sky", "wrong", "ねこ", "café")
    assert write_rating(photo, 5)
    assert read_xmp(sidecar.read_bytes()).first("xmp:Rating") == "5"


def test_a_text_that_says_of_itself_that_it_is_utf_16_and_is_not_is_believed_by_its_bytes(photo):
    sidecar = sidecar_path(photo)
    sidecar.write_text(DARKTABLE.replace("UTF-8", "utf-16"), encoding="utf-8")
    write_labels(photo, ["ねこ"], head="pets")
    assert read_keywords(photo) == ("sea & sky", "wrong", "ねこ")


@pytest.mark.parametrize("nothing", [b"", b" \n"])
def test_an_empty_sidecar_is_filled(photo, nothing):
    sidecar = photo.with_name("photo.jpg.xmp")
    sidecar.write_bytes(nothing)
    sidecar.chmod(0o604)
    assert read_keywords(photo) == ()
    assert write_labels(photo, ["beach"], head="pets").path == sidecar
    assert read_keywords(photo) == ("beach",)
    assert sidecar.stat().st_mode & 0o777 == 0o604


@pytest.mark.parametrize(
    ("name", "spelt"),
    [
        ("IMG_1.JPG", "IMG_1.XMP"),
        ("IMG_1.JPG", "IMG_1.JPG.XMP"),
        ("IMG_1.JPG", "IMG_1.Xmp"),
        ("IMG_1.JPG", "img_1.xmp"),
        ("IMG_1.JPG", "img_1.jpg.xmp"),
        ("img_1.jpg", "IMG_1.XMP"),
    ],
)
def test_a_sidecar_in_other_letters_is_continued_and_read(tmp_path, library, name, spelt):
    photo, sidecar = tmp_path / "photos" / name, tmp_path / "photos" / spelt
    photo.parent.mkdir()
    Image.new("RGB", (8, 8)).save(photo)
    sidecar.write_text(DARKTABLE)
    assert write_labels(photo, ["beach"], head="pets").path == sidecar
    assert write_rating(photo, 5)
    assert sorted(path.name for path in photo.parent.iterdir()) == sorted([name, spelt])
    library.index([photo.parent])
    assert len(library.catalog.select(Filter(keyword="beach", rating=5))) == 1
    write_labels(photo, ["sea"], head="pets")
    library.index()
    assert len(library.catalog.select(Filter(keyword="sea"))) == 1


@pytest.mark.parametrize("beside", ["PHOTO.JPG.xmp", "PHOTO.xmp"])
def test_a_sidecar_of_a_photo_that_differs_in_capitals_alone_stays_its_own(photo, beside):
    Image.new("RGB", (8, 8)).save(photo.with_name("PHOTO.JPG"))
    if len(list(photo.parent.iterdir())) < 2:
        pytest.skip("this file system does not tell capitals")
    other = photo.with_name(beside)
    other.write_text(DARKTABLE)
    assert write_labels(photo, ["beach"], head="pets").path == photo.with_name("photo.jpg.xmp")
    assert read_photo(photo).facts.keywords == ("beach",)
    assert other.read_text() == DARKTABLE


def test_a_symbolic_link_is_not_followed(photo, tmp_path):
    target = tmp_path / "elsewhere.xmp"
    target.write_text(DARKTABLE)
    sidecar_path(photo).symlink_to(target)
    with pytest.raises(HeadError, match="symbolic link"):
        write_labels(photo, ["beach"], head="pets")
    assert target.read_text() == DARKTABLE


def test_a_pipe_or_folder_in_the_place_of_a_sidecar_is_refused(photo):
    os.mkfifo(sidecar_path(photo))
    with pytest.raises(HeadError, match="is no file"):
        write_labels(photo, ["beach"], head="pets")
    assert write_labels(photo, [], head="pets").removed == ()
    sidecar_path(photo).unlink()
    sidecar_path(photo).mkdir()
    with pytest.raises(HeadError, match="is no file"):
        write_rating(photo, 5)


@pytest.mark.parametrize("keyword", ["a\x00b", "a\nb", "\ud800", "\uffff"])
def test_a_keyword_that_xml_cannot_hold_is_refused(photo, keyword):
    with pytest.raises(HeadError, match="not a label"):
        write_labels(photo, [keyword], head="pets")
    assert not sidecar_path(photo).exists()


characters = st.characters(exclude_categories=("Cs", "Cc", "Zl", "Zp"), exclude_characters="\ufffe\uffff")
keywords = st.lists(
    st.text(characters, min_size=1, max_size=30).map(str.strip).filter(bool),
    min_size=1,
    max_size=6,
    unique=True,
)


@given(first=keywords, second=keywords)
def test_whatever_is_written_is_read_back(tmp_path_factory, first, second):
    photo = tmp_path_factory.mktemp("photos") / "photo.jpg"
    photo.touch()
    write_labels(photo, first, head="pets")
    write_labels(photo, second, head="pets")
    # Any XML parser reads it; an index run leaves out what cannot be printed.
    items = ET.parse(sidecar_path(photo)).findall(SUBJECTS, NAMESPACES)
    assert {item.text for item in items} == set(second)


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('<rdf:Description rdf:about="" xmp:Rating="2"/>', 'xmp:Rating="5"'),
        (
            "<rdf:Description rdf:about='' xmp:Rating = '2' xmp:Label='x'/>",
            "xmp:Rating = \"5\" xmp:Label='x'",
        ),
        ("<rdf:Description><xmp:Rating>1</xmp:Rating></rdf:Description>", "<xmp:Rating>5</xmp:Rating>"),
        ("<rdf:Description><xmp:Rating/></rdf:Description>", "<xmp:Rating>5</xmp:Rating>"),
        ('<rdf:Description dc:format="a > b"/>', 'dc:format="a > b">'),
    ],
)
def test_a_rating_changes_what_is_there_and_nothing_else(tmp_path, before, after):
    photo, sidecar = tmp_path / "a.jpg", tmp_path / "a.jpg.xmp"
    photo.touch()
    head = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
        'xmlns:xmp="http://ns.adobe.com/xap/1.0/" xmlns:dc="http://purl.org/dc/elements/1.1/"><!-- kept -->'
    )
    tail = "<!-- too --></rdf:RDF></x:xmpmeta>"
    sidecar.write_text(head + before + tail)
    assert write_rating(photo, 5) is True
    written = sidecar.read_text()
    assert written.startswith(head)
    assert written.endswith(tail)
    assert after in written
    assert read_xmp(sidecar.read_bytes()).first("xmp:Rating") == "5"
    assert write_rating(photo, 5) is False
    assert sidecar.read_text() == written


@pytest.mark.parametrize(
    "description",
    [
        "<rdf:Description/>",
        '<rdf:Description xmp:Rating="2" xmp:Label="x"/>',
        "<rdf:Description><xmp:Rating>2</xmp:Rating><!-- kept --></rdf:Description>",
        "<rdf:Description xmp:Label='x'><xmp:Rating/></rdf:Description>",
    ],
)
@pytest.mark.parametrize("rewritten", [False, True], ids=["as it was", "by exiftool"])
def test_a_rating_that_is_taken_back_is_what_it_was(photo, description, rewritten):
    if rewritten and shutil.which("exiftool") is None:
        pytest.skip("exiftool is not installed")
    sidecar = sidecar_path(photo)
    sidecar.write_text(
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#" '
        f'xmlns:xmp="http://ns.adobe.com/xap/1.0/">{description}</rdf:RDF></x:xmpmeta>'
    )
    before = read_xmp(sidecar.read_bytes()).values
    assert not take_rating_back(photo)
    assert write_rating(photo, 5)
    if rewritten:
        done = subprocess.run(["exiftool", "-q", "-overwrite_original", "-xmp:title=t", sidecar], check=False)
        assert done.returncode == 0
    assert read_xmp(sidecar.read_bytes()).first("xmp:Rating") == "5"
    assert take_rating_back(photo)
    after = read_xmp(sidecar.read_bytes()).values
    after.pop("dc:title", None)
    assert after == before
    assert b"vitsearch:" not in sidecar.read_bytes().replace(b"xmlns:vitsearch", b"").replace(
        b"vitsearch:ns", b""
    )
    assert not take_rating_back(photo)


def test_stars_that_a_person_has_given_since_or_before_stay(photo):
    sidecar = sidecar_path(photo)
    write_rating(photo, 5)
    sidecar.write_text(sidecar.read_text().replace(">5</xmp:Rating>", ">4</xmp:Rating>"))
    assert not take_rating_back(photo)
    assert read_xmp(sidecar.read_bytes()).first("xmp:Rating") == "4"
    sidecar.write_text(sidecar.read_text().replace(">4</xmp:Rating>", ">5</xmp:Rating>"))
    assert not write_rating(photo, 5)
    assert not take_rating_back(photo)
    assert read_xmp(sidecar.read_bytes()).first("xmp:Rating") == "5"


def test_a_photo_that_has_gone_gets_no_sidecar(photo):
    photo.unlink()
    before = sorted(photo.parent.iterdir())
    for write in (lambda: write_rating(photo, 5), lambda: write_labels(photo, ["beach"], head="pets")):
        with pytest.raises(HeadError, match=r"photo\.jpg is not there any more: run `vitsearch index`"):
            write()
    assert sorted(photo.parent.iterdir()) == before


def test_a_rating_makes_a_sidecar_where_there_is_none(tmp_path):
    (tmp_path / "a.jpg").touch()
    assert write_rating(tmp_path / "a.jpg", 5) is True
    assert read_xmp((tmp_path / "a.jpg.xmp").read_bytes()).first("xmp:Rating") == "5"
    write_labels(tmp_path / "a.jpg", ["cat"], head="pets")
    assert read_xmp((tmp_path / "a.jpg.xmp").read_bytes()).first("xmp:Rating") == "5"
    assert read_keywords(tmp_path / "a.jpg") == ("cat",)


def test_a_rating_is_found_beside_a_value_that_looks_like_one(tmp_path):
    photo, sidecar = tmp_path / "a.jpg", tmp_path / "a.jpg.xmp"
    photo.touch()
    text = (
        '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
        '<rdf:Description xmlns:xmp="http://ns.adobe.com/xap/1.0/" '
        """xmp:Label="it said xmp:Rating='1' there" xmp:Rating="{}"/></rdf:RDF></x:xmpmeta>"""
    )
    sidecar.write_text(text.format(3))
    assert write_rating(photo, 5)
    assert sidecar.read_text().startswith(text.format(5).partition("/></rdf:RDF>")[0])
    assert take_rating_back(photo)
    assert (
        sidecar.read_text().split()
        == text.format(3).replace("/></rdf:RDF>", "> </rdf:Description></rdf:RDF>").split()
    )


# Adds a keyword of its own again and again, as other programs save: beside it and renamed over it, or into it.
OTHER_PROGRAM = """
import os, sys, time
path, way = sys.argv[1:]
for number in range(40):
    text = ""
    while "</rdf:Bag>" not in text:
        text = open(path, encoding="utf-8").read()
    text = text.replace("</rdf:Bag>", f"<rdf:li>theirs {number}</rdf:li></rdf:Bag>", 1)
    if way == "renamed over":
        with open(path + ".new", "w", encoding="utf-8") as file:
            file.write(text)
        os.replace(path + ".new", path)
    else:
        with open(path, "r+", encoding="utf-8") as file:
            file.write(text)
            file.truncate()  # what was there meanwhile may have been longer
    time.sleep(0.01)
"""


@pytest.mark.trust
@pytest.mark.skipif(sys.platform != "linux", reason="names are swapped, and writers told, on Linux")
@pytest.mark.parametrize("way", ["renamed over", "written into"])
def test_nothing_is_lost_of_what_another_program_saves_into_a_sidecar_meanwhile(photo, way):
    sidecar = write_labels(photo, ["first"], head="pets").path
    other = subprocess.Popen([sys.executable, "-c", OTHER_PROGRAM, sidecar, way])
    number = 0
    while other.poll() is None:
        write_labels(photo, [f"ours {number}"], head="pets")
        number += 1
    assert other.returncode == 0
    assert {f"theirs {number}" for number in range(40)} - set(read_keywords(photo)) == set()
    assert number > 1
    assert sorted(path.name for path in photo.parent.iterdir()) == ["photo.jpg", "photo.jpg.xmp"]


@pytest.mark.trust
@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells of writers")
def test_a_sidecar_of_which_half_is_written_is_read_again(photo, monkeypatch):
    sidecar, half = photo.with_name("photo.jpg.xmp"), len(DARKTABLE) // 2
    with sidecar.open("w") as other_program:
        other_program.write(DARKTABLE[:half])
        other_program.flush()

        def finish(_seconds):
            if not other_program.closed:
                other_program.write(DARKTABLE[half:])
                other_program.close()

        monkeypatch.setattr("vitsearch.heads.sidecar_editing.time.sleep", finish)
        assert write_labels(photo, ["cat"], head="pets").added == ("cat",)
    untouched = photo.with_name("other.jpg.xmp")
    untouched.write_text(DARKTABLE)
    assert set(read_keywords(photo)) == {*read_keywords(photo.with_name("other.jpg")), "cat"}


@pytest.mark.trust
@pytest.mark.parametrize("before", [None, DARKTABLE], ids=["a new one", "one that was there"])
def test_what_another_program_has_saved_since_a_sidecar_was_read_is_continued(photo, monkeypatch, before):
    sidecar = photo.with_name("photo.jpg.xmp")
    if before is not None:
        sidecar.write_text(before)
    finish = Draft.finish

    def beside_another_program(draft, *, durable=True):
        finish(draft, durable=durable)
        monkeypatch.setattr(Draft, "finish", finish)
        sidecar.write_text(DIGIKAM)

    monkeypatch.setattr(Draft, "finish", beside_another_program)
    assert write_labels(photo, ["cat"], head="pets").added == ("cat",)
    assert read_keywords(photo) == ("Rome", "cat")


def test_a_sidecar_that_never_comes_to_rest_is_left_to_the_other_program(photo, monkeypatch):
    sidecar = write_labels(photo, ["first"], head="pets").path
    finish = Draft.finish

    def beside_another_program(draft, *, durable=True):
        finish(draft, durable=durable)
        sidecar.write_bytes(sidecar.read_bytes() + b" ")

    monkeypatch.setattr(Draft, "finish", beside_another_program)
    with pytest.raises(HeadError, match="another program keeps changing"):
        write_rating(photo, 5)
    assert read_keywords(photo) == ("first",)
    assert sorted(path.name for path in photo.parent.iterdir()) == ["photo.jpg", "photo.jpg.xmp"]
