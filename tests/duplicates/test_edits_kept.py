"""What a person made of a photo in an editor stays in a plan beside the photo, and its copies go in its favour."""

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image, ImageDraw, ImageEnhance, ImageOps

from tests.support.mean_colour import MeanColour
from tests.support.samples import SAMPLES
from vitsearch.cli import cli
from vitsearch.duplicates.cleanup.planning import EDIT_STAYS, make_plan
from vitsearch.duplicates.find import find_duplicates
from vitsearch.duplicates.group.edits import why_made_by_hand
from vitsearch.duplicates.group.keep import Candidate
from vitsearch.duplicates.verify.check import check_files
from vitsearch.library import Library
from vitsearch.photos.photo import read_photo

PHOTO = SAMPLES / "travel/castle-2.jpg"
LIGHTROOM = "Adobe Photoshop Lightroom Classic 8.0"
HISTORY = (
    '<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">'
    '<rdf:Description xmlns:xmpMM="http://ns.adobe.com/xap/1.0/mm/" '
    'xmlns:crs="http://ns.adobe.com/camera-raw-settings/1.0/" '
    'xmlns:stEvt="http://ns.adobe.com/xap/1.0/sType/ResourceEvent#" {}>{}</rdf:Description></rdf:RDF></x:xmpmeta>'
)
SAVED = (
    '<xmpMM:History><rdf:Seq><rdf:li stEvt:action="saved" stEvt:softwareAgent="Adobe Photoshop CC 2019"/></rdf:Seq>'
    "</xmpMM:History>"
)


def original():
    with Image.open(PHOTO) as image:
        return image.convert("RGB")


def graded(image):
    return ImageEnhance.Color(ImageEnhance.Contrast(image).enhance(1.25)).enhance(1.4)


def cut(image):
    return image.crop((image.width // 12, 0, image.width, image.height - image.height // 12))


def grey_cut(image):
    return ImageOps.grayscale(cut(image)).convert("RGB")


def straightened(image):
    turned = image.rotate(2, Image.Resampling.BICUBIC)
    across, down = image.width // 20, image.height // 20
    return turned.crop((across, down, image.width - across, image.height - down))


def retouched(image):
    image, side = image.copy(), min(image.size) // 12
    image.paste(image.crop((0, 0, side, side)), (image.width // 2, image.height // 2))
    return image


def mirrored(image):
    return ImageOps.mirror(image)


def unchanged(image):
    return image


def smaller(image):
    return image.reduce(2)


def camera_notes(software=None):
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0132] = "Canon", "Canon EOS 80D", "2019:06:11 10:20:30"
    exif.get_ifd(0x8769).update({0x9003: "2019:06:11 10:20:30", 0x829D: 5.6, 0x8827: 200})
    if software:
        exif[0x0131] = software
    return exif


def write(path: Path, image, *, quality=92, **more):
    path.parent.mkdir(exist_ok=True)
    image.save(path, quality=quality, **more)
    return path


def sent(path: Path, by: Path):
    """Send a photo by a messenger: smaller, saved again, without notes."""
    with Image.open(by) as image:
        small = image.convert("RGB")
    small.thumbnail((500, 500))
    return write(path, small, quality=60)


def found_in(folder, library):
    with Library.open(library, backbone=MeanColour()) as opened:
        opened.index([folder])
        return find_duplicates(opened)


def going(report, folder, **options):
    """What a plan moves, and for which file; and what it was told of as left out."""
    left: dict[str, str] = {}
    plan = make_plan(
        report.groups,
        "trash",
        roots=[folder],
        notice=lambda path, why: left.update({path.name: why}),
        **options,
    )
    went = {
        file.path.name: kept.path.name for group in plan.groups for kept in group.kept for file in group.files
    }
    return went, left


@pytest.mark.parametrize("edit", [graded, grey_cut, cut, straightened, retouched, mirrored])
@pytest.mark.parametrize(
    ("name", "notes", "why"),
    [
        ("IMG_1-Edit.jpg", {"exif": camera_notes(LIGHTROOM)}, f"saved by {LIGHTROOM}"),
        ("IMG_E0001.jpg", {"exif": camera_notes()}, "named as an edit"),
    ],
)
def test_an_edit_stays_and_is_still_found(tmp_path, edit, name, notes, why):
    write(tmp_path / "photos/IMG_0001.jpg", original(), exif=camera_notes())
    write(tmp_path / "photos" / name, edit(original()), **notes)
    report = found_in(tmp_path / "photos", tmp_path / "library")
    (found,) = report.groups
    assert [file.path.name for file in found.files] == ["IMG_0001.jpg", name]
    assert (found.files[0].edit, found.files[1].edit) == ("", why)
    assert going(report, tmp_path / "photos") == ({}, {name: EDIT_STAYS})
    assert going(report, tmp_path / "photos", include_edits=True) == ({name: "IMG_0001.jpg"}, {})


@pytest.mark.parametrize("edit", [unchanged, smaller])
def test_what_an_editor_only_saved_again_goes(tmp_path, edit):
    write(tmp_path / "photos/IMG_0001.jpg", original(), exif=camera_notes())
    write(tmp_path / "photos/web.jpg", edit(original()), quality=70, exif=camera_notes(LIGHTROOM))
    report = found_in(tmp_path / "photos", tmp_path / "library")
    assert going(report, tmp_path / "photos") == ({"web.jpg": "IMG_0001.jpg"}, {})


def test_a_copy_that_nobody_edited_goes_however_it_looks(tmp_path):
    write(tmp_path / "photos/IMG_0001.jpg", original(), exif=camera_notes())
    write(tmp_path / "photos/received.jpg", graded(original()))
    report = found_in(tmp_path / "photos", tmp_path / "library")
    assert going(report, tmp_path / "photos") == ({"received.jpg": "IMG_0001.jpg"}, {})


@pytest.mark.parametrize("edit", [graded, grey_cut])
def test_of_a_photo_its_edit_and_copies_of_both_two_files_stay(tmp_path, edit):
    folder = tmp_path / "photos"
    photo = write(folder / "IMG_0001.jpg", original(), exif=camera_notes())
    edited = write(folder / "IMG_0001-Edit.jpg", edit(original()), exif=camera_notes(LIGHTROOM))
    write(folder / "sub-IMG_0001-Edit.jpg", edit(original()), exif=camera_notes(LIGHTROOM))
    sent(folder / "IMG-20190612-WA0001.jpg", photo)
    sent(folder / "IMG-20190612-WA0002.jpg", edited)
    report = found_in(folder, tmp_path / "library")
    went, left = going(report, folder)
    stays = next(iter(left))
    assert stays in ("IMG_0001-Edit.jpg", "sub-IMG_0001-Edit.jpg")
    other = {"IMG_0001-Edit.jpg", "sub-IMG_0001-Edit.jpg"} - {stays}
    assert went == {
        "IMG-20190612-WA0001.jpg": "IMG_0001.jpg",
        "IMG-20190612-WA0002.jpg": stays,
        other.pop(): stays,
    }
    assert left == {stays: EDIT_STAYS}


def test_two_edits_of_one_photo_both_stay(tmp_path):
    folder = tmp_path / "photos"
    write(folder / "IMG_0001.jpg", original(), exif=camera_notes())
    write(folder / "IMG_0001-Edit.jpg", graded(original()), exif=camera_notes(LIGHTROOM))
    write(folder / "IMG_0001-Edit-2.jpg", grey_cut(original()), exif=camera_notes(LIGHTROOM))
    went, left = going(found_in(folder, tmp_path / "library"), folder)
    assert (went, set(left)) == ({}, {"IMG_0001-Edit.jpg", "IMG_0001-Edit-2.jpg"})


def test_the_command_says_what_it_keeps_and_can_plan_it(tmp_path):
    folder, library = tmp_path / "photos", tmp_path / "library"
    photo = write(folder / "IMG_0001.jpg", original(), exif=camera_notes())
    edited = write(folder / "IMG_0001-Edit.jpg", graded(original()), exif=camera_notes(LIGHTROOM))
    sent(folder / "IMG-20190612-WA0001.jpg", photo)
    copy = sent(folder / "IMG-20190612-WA0002.jpg", edited)
    found_in(folder, library)

    def run(*options):
        done = CliRunner().invoke(cli, ["--library", str(library), "duplicates", "find", *map(str, options)])
        assert done.exit_code == 0, done.output
        return done

    told = run("--plan", tmp_path / "plan.json", "--html", tmp_path / "found.html")
    words = f"an edit: kept (saved by {LIGHTROOM})"
    assert f"  edit   {edited}" in told.stdout
    assert words in told.stdout
    assert words in (tmp_path / "found.html").read_text()
    assert f"left out of the plan: {edited}: an edit: kept" in told.stderr
    plan = json.loads((tmp_path / "plan.json").read_text())
    by_kept = {group["keep"]["path"]: group for group in plan["groups"]}
    assert by_kept[str(photo)]["edits_that_stay"] == [str(edited)]
    assert [file["path"] for file in by_kept[str(edited)]["files"]] == [str(copy)]
    assert by_kept[str(edited)]["reason"] == f"an edit of IMG_0001.jpg (saved by {LIGHTROOM})"

    files = json.loads(run("--json").stdout)["groups"][0]["files"]
    assert {file["path"]: (file.get("edit"), file.get("copy_of")) for file in files[1:]} == {
        str(edited): (f"saved by {LIGHTROOM}", None),
        str(folder / "IMG-20190612-WA0001.jpg"): (None, None),
        str(copy): (None, str(edited)),
    }
    run("--plan", tmp_path / "all.json", "--include-edits")
    (group,) = json.loads((tmp_path / "all.json").read_text())["groups"]
    assert len(group["files"]) == 3


@pytest.mark.parametrize(
    ("settings", "inside", "programs", "developed"),
    [
        ("", SAVED, ("Adobe Photoshop CC 2019",), False),
        ('crs:Exposure2012="+0.50" crs:AlreadyApplied="True"', "", (), True),
        ('crs:Exposure2012="+0.50" crs:AlreadyApplied="False"', "", (), False),
        ("", "", (), False),
    ],
)
def test_xmp_says_who_saved_a_file_and_how_it_was_developed(tmp_path, settings, inside, programs, developed):
    path = write(tmp_path / "photo.jpg", original(), xmp=HISTORY.format(settings, inside).encode())
    details = read_photo(path).details()
    assert (details.programs, details.developed) == (programs, developed)


@pytest.mark.parametrize(
    ("name", "is_edit"),
    [
        ("IMG_E4120.JPG", True),
        ("FullSizeRender.jpg", True),
        ("IMG_7043-Edit.jpg", True),
        ("IMG_7043-Edit-2.tif", True),
        ("photo-edited.jpg", True),
        ("photo-edited(1).jpg", True),
        ("photo_edited.jpg", True),
        ("photo (edited).jpg", True),
        ("Foto-Bearbeitet.jpg", True),
        ("photo-modifié.jpg", True),
        ("20190101_120000~2.jpg", True),
        ("IMG_4120.JPG", False),
        ("IMG_EDWARD.jpg", False),
        ("edition.jpg", False),
        ("credit.jpg", False),
        ("photo (1).jpg", False),
        ("copy of photo.jpg", False),
    ],
)
def test_names_of_edits_are_known(name, is_edit):
    file = Candidate(Path("/photos") / name, 1, b"", 1, 1, "JPEG", 4, 3)
    assert why_made_by_hand(file) == ("named as an edit" if is_edit else "")


@pytest.mark.parametrize(
    ("edit", "said"),
    [
        (graded, "with other light and colours"),
        (lambda image: ImageEnhance.Color(image).enhance(1.4), "with other colours"),
        (lambda image: ImageEnhance.Brightness(image).enhance(0.94), "with other light"),
        (retouched, "retouched"),
        (smaller, "the same, smaller"),
        (unchanged, "the same, saved again"),
    ],
)
def test_a_check_says_what_was_altered(tmp_path, edit, said):
    first, second = (
        write(tmp_path / "a.jpg", original()),
        write(tmp_path / "b.jpg", edit(original()), quality=60),
    )
    assert check_files(first, second).reason == said


def test_what_is_written_over_one_of_them_is_no_retouching_of_its_copy(tmp_path):
    image = original()
    ImageDraw.Draw(image).rectangle((0, image.height * 9 // 10, image.width, image.height), fill="black")
    first, second = write(tmp_path / "a.jpg", image), write(tmp_path / "b.jpg", image, quality=50)
    assert check_files(first, second).reason == "the same, saved again"
