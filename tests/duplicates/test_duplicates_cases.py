"""What is the same, which file holds more, and what is never planned: one test for each way to lose a photo."""

import io
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from PIL import Image, ImageCms, ImageDraw, ImageEnhance, ImageFont, ImageOps

from tests.support.samples import SAMPLES
from vitsearch.duplicates.cleanup.planning import make_plan
from vitsearch.duplicates.find import find_duplicates
from vitsearch.duplicates.verify.check import check_files
from vitsearch.photos.photo import read_photo

DATA = Path(__file__).parents[1] / "data"
CASTLE = SAMPLES / "travel" / "castle-2.jpg"
DAY = 24 * 3600


def camera_notes() -> Image.Exif:
    exif = Image.Exif()
    exif[0x010F], exif[0x0110], exif[0x0132] = "Canon", "Canon EOS R5", "2024:05:01 10:00:00"
    exif.get_ifd(0x8769)[0x829A] = 0.01
    return exif


def scene(size: tuple[int, int] = (720, 480), path: Path = CASTLE) -> Image.Image:
    with Image.open(path) as image:
        return ImageOps.fit(image.convert("RGB"), size)


@pytest.fixture
def photos(tmp_path):
    folder = tmp_path / "photos"
    folder.mkdir()
    return folder


def older(path: Path) -> None:
    os.utime(path, (1_000_000_000, 1_000_000_000))


def found(library, folder):
    library.index([folder])
    return find_duplicates(library)


def tiers(report) -> list[tuple[str, str, set[str]]]:
    """Each group's tier, the name of the kept file, and the names of the others."""
    return [
        (group.tier, group.keep.name, {file.path.name for file in group.files[1:]}) for group in report.groups
    ]


def planned(report, folder) -> set[str]:
    plan = make_plan(report.groups, "trash", roots=[folder])
    return {file.path.name for group in plan.groups for file in group.files}


@pytest.mark.parametrize("notes", [True, False])
@pytest.mark.parametrize("copy", ["export.png", "again.jpg", "doubled.jpg"])
def test_the_jpeg_that_a_copy_was_made_from_is_kept(library, photos, copy, notes):
    exif = camera_notes() if notes else Image.Exif()
    scene((1080, 720)).save(photos / "original.jpg", quality=85, exif=exif)
    with Image.open(photos / "original.jpg") as original:
        image = original.convert("RGB")
    if copy == "export.png":
        image.save(photos / copy)
    elif copy == "again.jpg":
        image.save(photos / copy, quality=98)
    else:
        image.resize((2160, 1440), Image.Resampling.BICUBIC).save(photos / copy, quality=95)
    older(photos / copy)
    ((_, keep, others),) = tiers(found(library, photos))
    assert (keep, others) == ("original.jpg", {copy})


@pytest.mark.parametrize("quality", [75, 85])
@pytest.mark.parametrize("copy", ["brighter", "captioned"])
def test_a_copy_that_was_made_lighter_or_written_on_is_not_kept_where_no_notes_say_so(
    library, photos, copy, quality
):
    scene((1080, 720)).save(photos / "original.jpg", quality=quality)
    with Image.open(photos / "original.jpg") as original:
        image = original.convert("RGB")
    if copy == "brighter":
        image = ImageEnhance.Brightness(image).enhance(1.25)
    else:
        draw = ImageDraw.Draw(image)
        draw.rectangle((0, 620, 1080, 720), fill="black")
        draw.text((50, 640), "greetings", fill="white")
    image.save(photos / "copy.jpg", quality=97)
    # A frame around the original is larger than both: the copy is linked to that, and not to the original itself.
    with Image.open(photos / "original.jpg") as original:
        ImageOps.expand(original.convert("RGB"), 60, "white").save(photos / "framed.jpg", quality=97)
    older(photos / "copy.jpg")
    ((_, keep, others),) = tiers(found(library, photos))
    assert (keep, others) == ("original.jpg", {"copy.jpg", "framed.jpg"})


def test_a_photo_that_was_shrunk_losslessly_does_not_pass_for_the_original(library, photos):
    scene((1080, 720)).save(photos / "original.jpg", quality=85)
    scene((540, 360)).save(photos / "small.png")
    ((_, keep, _),) = tiers(found(library, photos))
    assert keep == "original.jpg"


def test_of_one_picture_the_file_with_the_cameras_notes_is_kept_whatever_the_file_times_are(library, photos):
    scene().save(photos / "with.jpg", quality=90, exif=camera_notes())
    scene().save(photos / "stripped.jpg", quality=90)
    older(photos / "stripped.jpg")
    report = found(library, photos)
    assert tiers(report) == [("pixels", "with.jpg", {"stripped.jpg"})]
    assert report.groups[0].reason == "has the camera's own data"


def test_a_motion_photo_is_kept_and_its_still_is_not_the_same_file(library, photos):
    video = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + bytes(5000)
    scene().save(photos / "still.jpg", quality=90)
    (photos / "motion.jpg").write_bytes((photos / "still.jpg").read_bytes() + video)
    older(photos / "still.jpg")
    assert tiers(found(library, photos)) == [("near", "motion.jpg", {"still.jpg"})]


def box(kind, content):
    return (8 + len(content)).to_bytes(4, "big") + kind + content


def film(brand):
    """The outline of a video under any brand."""
    return box(b"ftyp", brand + bytes(4) + b"mp42") + box(b"moov", b"\1" * 40) + box(b"mdat", b"\2\3" * 3000)


def unknown(seed=0):
    return np.random.default_rng(seed).bytes(6000)


@pytest.mark.parametrize(
    "behind",
    [
        film(b"mp4v"),
        film(b"hvc1"),
        film(b"M4A "),
        film(b"XAVC"),
        film(b"zzzz"),
        b"\0\0\x30\x0a\x10\0\0\0MotionPhoto_Data" + unknown() + b"SEFH\x6a\0\0\0SEFT",
    ],
)
def test_a_video_behind_a_picture_stays_whatever_it_calls_itself(library, photos, behind):
    scene().save(photos / "still.jpg", quality=90)
    (photos / "motion.jpg").write_bytes((photos / "still.jpg").read_bytes() + behind)
    older(photos / "still.jpg")
    report = found(library, photos)
    assert tiers(report) == [("near", "motion.jpg", {"still.jpg"})]
    assert report.groups[0].reason == "holds the video of its moment"


@pytest.mark.parametrize("kind", ["jpg", "png", "webp"])
def test_data_of_an_unknown_kind_behind_a_picture_stays_and_padding_is_none(library, photos, kind):
    scene().save(photos / f"still.{kind}", quality=90)
    still = (photos / f"still.{kind}").read_bytes()
    (photos / f"more.{kind}").write_bytes(still + unknown())
    older(photos / f"still.{kind}")
    report = found(library, photos)
    assert tiers(report) == [("near", f"more.{kind}", {f"still.{kind}"})]
    assert report.groups[0].reason == "holds data behind its picture"
    (photos / f"still.{kind}").write_bytes(still + unknown(1))
    report = found(library, photos)
    assert report.groups == ()
    assert [one.lost for one in report.contains] == ["it holds other data behind its picture"]


@pytest.mark.parametrize("kind", ["heic", "jxl", "jp2", "avif", "png", "webp", "tif", "gif"])
def test_a_picture_alone_holds_no_video_and_nothing_else(photos, kind):
    path = photos / f"a.{kind}"
    if kind in ("heic", "jxl"):
        source = SAMPLES / "copies/bridge-1.heic" if kind == "heic" else DATA / "photo.jxl"
        shutil.copyfile(source, path)
    else:
        scene().save(path)
    details = read_photo(path).details()
    assert (details.video_bytes, details.behind_bytes, details.extras) == (0, 0, "")


@pytest.mark.parametrize("behind", [bytes(9000), b"\xe5" * 9000 + bytes(500), b"a maker's own notes " * 100])
def test_padding_and_short_notes_behind_a_picture_are_nothing_that_it_holds(library, photos, behind):
    scene().save(photos / "still.jpg", quality=90)
    (photos / "padded.jpg").write_bytes((photos / "still.jpg").read_bytes() + behind)
    assert [tier for tier, _, _ in tiers(found(library, photos))] == ["pixels"]


@pytest.mark.parametrize("behind", [box(b"mpvd", film(b"hvc1")), box(b"mpvd", unknown())])
def test_the_video_in_a_heic_stays(library, photos, behind):
    still = (SAMPLES / "copies/bridge-1.heic").read_bytes()
    (photos / "still.heic").write_bytes(still)
    (photos / "motion.heic").write_bytes(still + behind)
    older(photos / "still.heic")
    report = found(library, photos)
    assert [(keep, others) for _, keep, others in tiers(report)] == [("motion.heic", {"still.heic"})]
    assert report.groups[0].reason == "holds the video of its moment"
    (photos / "still.heic").write_bytes(still + box(b"mpvd", film(b"isom") + b"another"))
    assert found(library, photos).groups == ()


def test_two_motion_photos_with_other_videos_are_no_duplicates(library, photos):
    scene().save(photos / "still.jpg", quality=90)
    still = (photos / "still.jpg").read_bytes()
    (photos / "still.jpg").unlink()
    for number in (1, 2):
        video = b"\x00\x00\x00\x18ftypmp42\x00\x00\x00\x00mp42isom" + bytes([number]) * 5000
        (photos / f"{number}.jpg").write_bytes(still + video)
    report = found(library, photos)
    assert report.groups == ()
    assert [(one.path.name, one.lost) for one in report.contains] == [("2.jpg", "it holds a video")]


def test_pixels_under_another_colour_profile_are_not_the_same_and_srgb_is_no_other_one(library, photos):
    wide = ImageCms.ImageCmsProfile(ImageCms.createProfile("LAB")).tobytes()
    srgb = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    scene().save(photos / "plain.png")
    scene().save(photos / "wide.png", icc_profile=wide)
    older(photos / "plain.png")
    assert tiers(found(library, photos)) == [("near", "wide.png", {"plain.png"})]
    (photos / "wide.png").unlink()
    scene().save(photos / "srgb.png", icc_profile=srgb)
    assert [tier for tier, _, _ in tiers(found(library, photos))] == ["pixels"]


def shot_notes(*, rendered=None, subsecond=None, software=None) -> Image.Exif:
    """What a phone notes in each of the pictures that it makes of one second."""
    exif = camera_notes()
    if software:
        exif[0x0131] = software
    notes = exif.get_ifd(0x8769)
    notes[0x9003] = "2024:05:01 10:00:00"
    if rendered is not None:
        notes[0xA401] = rendered
    if subsecond is not None:
        notes[0x9291] = subsecond
    return exif


def brighter() -> Image.Image:
    return ImageEnhance.Brightness(scene()).enhance(1.15)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({"rendered": 3, "subsecond": "550"}, {"rendered": 4, "subsecond": "016"}),
        ({"rendered": 3}, {"rendered": 4}),
        ({"rendered": 8}, {"rendered": 2}),
        ({"subsecond": "12"}, {"subsecond": "48"}),
    ],
)
def test_two_pictures_that_a_camera_made_of_one_second_are_never_planned(library, photos, one, two):
    scene().save(photos / "hdr.jpg", quality=90, exif=shot_notes(**one))
    brighter().save(photos / "plain.jpg", quality=90, exif=shot_notes(**two))
    report = found(library, photos)
    assert [tier for tier, _, _ in tiers(report)] == ["burst"]
    assert planned(report, photos) == set()
    said = check_files(photos / "hdr.jpg", photos / "plain.jpg")
    assert (said.tier, "one second" in said.reason) == (None, True)


@pytest.mark.parametrize(
    ("one", "two"),
    [
        ({"rendered": 3, "subsecond": "550"}, {"rendered": 3, "subsecond": "55"}),
        ({"rendered": 3}, {}),
        ({"subsecond": "12"}, {}),
        ({"subsecond": "12"}, {"subsecond": "48", "software": "Adobe Photoshop Lightroom 7"}),
    ],
)
def test_a_copy_of_one_of_them_is_planned(library, photos, one, two):
    scene().save(photos / "hdr.jpg", quality=90, exif=shot_notes(**one))
    brighter().save(photos / "edit.jpg", quality=90, exif=shot_notes(**two))
    assert [tier for tier, _, _ in tiers(found(library, photos))] == ["near"]
    assert check_files(photos / "hdr.jpg", photos / "edit.jpg").tier == "near"


def test_a_cameras_file_and_a_deeper_one_without_its_notes_both_stay(library, photos):
    grey = np.asarray(scene().convert("L"), np.uint16)
    rng = np.random.default_rng(0)
    deep = grey * 257 + rng.integers(0, 200, grey.shape, np.uint16)
    Image.fromarray(grey.astype(np.uint8)).save(photos / "camera.jpg", quality=95, exif=camera_notes())
    Image.fromarray(np.clip(deep, 0, 65535).astype(np.uint16)).save(photos / "scan.tif")
    report = found(library, photos)
    assert report.groups == ()
    assert [(one.path.name, one.lost) for one in report.contains] == [
        ("camera.jpg", "it has the camera's own data, which the other one lacks")
    ]


def test_a_small_file_with_a_cameras_notes_does_not_go_for_a_large_one_without_any(library, photos):
    scene((2400, 1600)).save(photos / "large.jpg", quality=90)
    scene().save(photos / "small.jpg", quality=90, exif=camera_notes())
    report = found(library, photos)
    assert report.groups == ()
    assert [one.path.name for one in report.contains] == ["small.jpg"]


@pytest.mark.parametrize("kind", ["webp", "png"])
def test_a_cameras_jpeg_stays_for_what_was_made_from_it_with_its_notes(library, photos, kind):
    scene().save(photos / "camera.jpg", quality=92, exif=camera_notes())
    with Image.open(photos / "camera.jpg") as image:
        image.save(photos / f"export.{kind}", quality=90, exif=camera_notes())
    older(photos / f"export.{kind}")
    report = found(library, photos)
    assert [group.keep.name for group in report.groups] == ["camera.jpg"]


def test_a_16_bit_scan_is_kept_and_8_bits_stored_in_16_are_no_more(library, photos):
    grey = np.asarray(scene().convert("L"), np.uint16)
    fine = grey * 257 + np.random.default_rng(0).integers(0, 200, grey.shape, np.uint16).clip(
        0, 65535 - grey * 257
    )
    Image.fromarray(fine.astype(np.uint16)).save(photos / "scan.tif")
    Image.fromarray(grey.astype(np.uint8)).save(photos / "scan.png")
    older(photos / "scan.png")
    ((_, keep, others),) = tiers(found(library, photos))
    assert (keep, others) == ("scan.tif", {"scan.png"})
    Image.fromarray(grey * 257).save(photos / "scan.tif")
    assert [tier for tier, _, _ in tiers(found(library, photos))] == ["pixels"]


def test_colour_with_notes_is_kept_before_a_grey_copy_of_better_quality(library, photos):
    scene().save(photos / "colour.jpg", quality=88, exif=camera_notes())
    scene().convert("L").save(photos / "grey.jpg", quality=96)
    older(photos / "grey.jpg")
    assert tiers(found(library, photos)) == [("near", "colour.jpg", {"grey.jpg"})]


@pytest.mark.parametrize("tone", ["grey", "sepia"])
def test_colour_is_kept_before_grey_where_nothing_else_differs(library, photos, tone):
    scene().save(photos / "colour.jpg", quality=88)
    grey = ImageOps.grayscale(scene())
    (grey if tone == "grey" else ImageOps.colorize(grey, (40, 20, 0), (255, 240, 200))).save(
        photos / "a.jpg", quality=96
    )
    older(photos / "a.jpg")
    ((_, keep, _),) = tiers(found(library, photos))
    assert keep == "colour.jpg"


def test_a_greeting_card_never_costs_the_photo_on_it(library, photos):
    photo = scene((720, 480))
    photo.save(photos / "photo.jpg", quality=90, exif=camera_notes())
    card = Image.new("RGB", (1440, 1200), (250, 245, 230))
    card.paste(photo.resize((1440, 960), Image.Resampling.BICUBIC), (0, 240))
    ImageDraw.Draw(card).text((200, 60), "Happy birthday!", "darkred", ImageFont.load_default(size=120))
    card.save(photos / "card.jpg", quality=95)
    older(photos / "card.jpg")
    report = found(library, photos)
    assert "photo.jpg" not in planned(report, photos)
    assert all(keep == "photo.jpg" for _, keep, _ in tiers(report))


def test_four_photos_and_a_collage_of_them_all_stay(library, photos):
    collage = Image.new("RGB", (1440, 960))
    sources = ["travel/castle-2", "animals/cat-2", "nature/mountain-1", "things/coffee-1"]
    for number, name in enumerate(sources):
        image = scene((720, 480), SAMPLES / f"{name}.jpg")
        image.save(photos / f"{number}.jpg", quality=92, exif=camera_notes())
        collage.paste(image, (720 * (number % 2), 480 * (number // 2)))
    collage.save(photos / "collage.jpg", quality=95)
    report = found(library, photos)
    assert planned(report, photos) == set()
    assert {one.lost for one in report.contains} <= {
        "it contains the other one",
        "it shows more of the scene",
    }


def test_tiles_of_a_panorama_all_stay(library, photos):
    whole = scene((1200, 480))
    for number, left in enumerate((0, 160, 320)):
        whole.crop((left, 0, left + 640, 480)).save(photos / f"tile-{number}.jpg", quality=92)
    report = found(library, photos)
    assert report.groups == ()
    assert report.contains


def test_a_crop_goes_for_the_whole_photo_and_never_the_other_way(library, photos):
    whole = scene((1080, 720))
    whole.save(photos / "whole.jpg", quality=90)
    whole.crop((60, 40, 960, 660)).save(photos / "crop.jpg", quality=97, exif=camera_notes())
    older(photos / "crop.jpg")
    assert tiers(found(library, photos)) == [("near", "whole.jpg", {"crop.jpg"})]


def test_an_animation_is_kept_before_its_first_frame(library, photos):
    frames = [scene((480, 320)).rotate(angle) for angle in (0, 2, 4)]
    frames[0].save(photos / "moves.gif", save_all=True, append_images=frames[1:], duration=100)
    with Image.open(photos / "moves.gif") as gif:
        gif.convert("RGB").save(photos / "frame.png")
    older(photos / "frame.png")
    assert tiers(found(library, photos)) == [("near", "moves.gif", {"frame.png"})]


def test_documents_of_several_pages_with_one_cover_are_no_duplicates(library, photos):
    cover = scene()
    for name, seed in (("a.tif", 1), ("b.tif", 2)):
        pages = [
            Image.fromarray(np.random.default_rng(seed * 10 + page).integers(0, 255, (480, 720, 3), np.uint8))
            for page in (0, 1)
        ]
        cover.save(photos / name, save_all=True, append_images=pages)
    report = found(library, photos)
    assert report.groups == ()


def drawing(shape: str, colour: tuple[int, int, int]) -> Image.Image:
    image = Image.new("RGBA", (400, 400), (0, 0, 0, 0))
    draw = ImageDraw.Draw(image)
    if shape == "ring":
        draw.ellipse((60, 60, 340, 340), outline=(*colour, 255), width=30)
    elif shape == "cross":
        draw.line((60, 60, 340, 340), (*colour, 255), 30)
        draw.line((340, 60, 60, 340), (*colour, 255), 30)
    else:
        draw.text((40, 120), shape, (*colour, 255), ImageFont.load_default(size=120))
    return image


def test_white_drawings_on_transparency_are_as_different_as_what_they_show(library, photos):
    for shape in ("ring", "cross", "Anna", "Otto", "Z"):
        drawing(shape, (255, 255, 255)).save(photos / f"{shape}.png")
    report = found(library, photos)
    assert (report.groups, report.photos) == ((), 5)
    drawing("ring", (255, 255, 255)).save(photos / "again.png", compress_level=1)
    assert [tier for tier, _, _ in tiers(found(library, photos))] == ["pixels"]


def test_a_drawing_on_transparency_is_kept_before_its_print_on_white(library, photos):
    image = drawing("ring", (200, 30, 30))
    image.save(photos / "drawing.png")
    flat = Image.new("RGB", image.size, "white")
    flat.paste(image, mask=image.getchannel("A"))
    flat.save(photos / "print.png")
    older(photos / "print.png")
    report = found(library, photos)
    assert "drawing.png" not in planned(report, photos)


def invoice(number: int) -> Image.Image:
    page = Image.new("RGB", (1000, 1414), "white")
    draw = ImageDraw.Draw(page)
    font, large = ImageFont.load_default(size=26), ImageFont.load_default(size=48)
    draw.text((90, 80), "Stadtwerke Musterstadt", "navy", large)
    draw.text((90, 220), f"Invoice {20240 + number}    {number + 1:02}.03.2024", "black", font)
    for row in range(20):
        draw.text(
            (90, 300 + 42 * row), f"Position {row + 1}, as agreed in the contract of 2019", "black", font
        )
    draw.line((90, 1160, 900, 1160), "black", 2)
    draw.text((90, 1180), f"Total  {48 + 7 * number}.{17 * number % 100:02} EUR", "black", font)
    return page


def board(piece_at: tuple[int, int]) -> Image.Image:
    image = Image.new("RGB", (800, 800))
    draw = ImageDraw.Draw(image)
    for row in range(8):
        for column in range(8):
            light = (row + column) % 2 == 0
            square = (column * 100, row * 100, column * 100 + 99, row * 100 + 99)
            draw.rectangle(square, (240, 217, 181) if light else (181, 136, 99))
    for column, row in [(c, r) for r in (0, 1, 6, 7) for c in range(8) if (c, r) != (4, 6)] + [piece_at]:
        colour = "black" if row < 2 else "white"
        draw.ellipse(
            (column * 100 + 25, row * 100 + 25, column * 100 + 75, row * 100 + 75), colour, "black", 3
        )
    return image


@pytest.mark.parametrize("kind", ["invoices", "boards"])
def test_pages_and_boards_that_differ_in_a_detail_are_alike_and_never_planned(library, photos, kind):
    for number in range(4):
        if kind == "invoices":
            invoice(number).save(photos / f"{number}.jpg", quality=90)
        else:
            board((4, 5 - number)).save(photos / f"{number}.png")
    report = found(library, photos)
    assert report.groups == ()
    assert report.alike
    # A copy of a page is still one.
    if kind == "invoices":
        invoice(0).save(photos / "copy.png")
        invoice(1).resize((700, 990), Image.Resampling.LANCZOS).save(photos / "small.jpg", quality=92)
        pairs = {frozenset({keep, *others}) for _, keep, others in tiers(found(library, photos))}
        assert pairs == {frozenset({"0.jpg", "copy.png"}), frozenset({"1.jpg", "small.jpg"})}


def test_150_versions_of_a_photo_are_one_group_with_nothing_left_for_a_second_round(library, photos):
    image = scene((480, 320))
    image.save(photos / "original.jpg", quality=95, exif=camera_notes())
    for number in range(149):
        width = 240 + number
        image.resize((width, round(width * 2 / 3))).save(photos / f"{number}.jpg", quality=60 + number % 35)
    report = found(library, photos)
    assert [(keep, len(others)) for _, keep, others in tiers(report)] == [("original.jpg", 149)]
    for name in planned(report, photos):
        (photos / name).unlink()
    assert found(library, photos).groups == ()


def test_a_file_under_several_names_is_one_file(library, photos, tmp_path):
    outside = tmp_path / "elsewhere"
    outside.mkdir()
    scene().save(photos / "photo.jpg", quality=90)
    os.link(photos / "photo.jpg", photos / "hard link.jpg")
    (photos / "link.jpg").symlink_to(photos / "photo.jpg")
    shutil.copy(photos / "photo.jpg", outside / "outside.jpg")
    (photos / "to outside.jpg").symlink_to(outside / "outside.jpg")
    (photos / "folder").symlink_to(outside)
    report = found(library, photos)
    assert (report.skipped, [len(group.files) for group in report.groups]) == ((), [2])
    library.index([outside])
    report = found(library, tmp_path)
    assert (report.skipped, [len(group.files) for group in report.groups]) == ((), [2])
    names = {file.path.name for file in report.groups[0].files}
    assert names & {"photo.jpg", "hard link.jpg"}
    assert "outside.jpg" in names


def test_notes_of_other_programs_go_with_their_photo_or_are_named_in_the_plan(library, photos):
    kept, copy = photos / "a", photos / "b"
    for folder in (kept, copy):
        folder.mkdir()
        scene().save(folder / "photo.jpg", quality=90)
    for name in ("photo.xmp", "photo.jpg.xmp", "photo.AAE", "photo.jpg.json"):
        (copy / name).write_text(name)
    (kept / "photo.xmp").write_text("photo.xmp")
    (kept / "photo.jpg.json").write_text("other")
    library.index([photos])
    plan = make_plan(find_duplicates(library, prefer=[kept]).groups, "trash", roots=[photos])
    going = {file.path for group in plan.groups for file in group.files}
    named = {path for group in plan.groups for path in group.sidecars}
    assert going == {copy / "photo.jpg", copy / "photo.xmp"}
    assert named == {copy / "photo.jpg.json"}
    # What the kept file lacks is put beside it.
    assert {file.path: file.to for group in plan.groups for file in group.moves} == {
        copy / "photo.jpg.xmp": kept / "photo.jpg.xmp",
        copy / "photo.AAE": kept / "photo.AAE",
    }


def test_what_a_decoder_says_of_a_file_is_what_it_holds(photos):
    from vitsearch.decoding.decoders import Decoders

    video = b"\x00\x00\x00\x18ftypisom\x00\x00\x00\x00mp42isom" + bytes(99)
    buffer = io.BytesIO()
    scene().save(buffer, "JPEG", quality=90, exif=camera_notes())
    (photos / "a.jpg").write_bytes(buffer.getvalue() + video)
    with Decoders() as decoders, decoders.open(photos / "a.jpg") as opened:
        details = opened.details(with_pixels=True)
    assert (details.frames, details.depth, details.alpha, details.profile) == (1, 8, False, "")
    assert (details.video_bytes, details.lens, details.exposure) == (len(video), False, True)
    assert len(details.table) == len(details.pixels) == 64
