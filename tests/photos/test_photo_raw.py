"""Raw files of many makers: upright, with the facts of their shot, from the preview or from what the sensor saw."""

import shutil
import subprocess
from functools import partial
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from tests.support.mean_colour import MeanColour
from tests.support.raw_files import raf, tiff_raw
from tests.support.written_files import dng
from vitsearch.errors import UnreadablePhoto
from vitsearch.library import Library
from vitsearch.photos.photo import parse_photo, read_photo

PHOTO = (
    Image.open(Path(__file__).parents[2] / "sample_images/travel/castle-1.jpg")
    .convert("RGB")
    .resize((320, 240))
)
UPRIGHT = PHOTO.rotate(-90, expand=True)
MAKERS = {
    "arw": ("Sony ILCE-7M3", partial(tiff_raw, make="SONY", model="ILCE-7M3")),
    "cr2": ("Canon EOS 5D Mark II", partial(tiff_raw, make="Canon", model="Canon EOS 5D Mark II")),
    "nef": ("Nikon D800", partial(tiff_raw, make="NIKON CORPORATION", model="NIKON D800")),
    "pef": ("Pentax K-x", partial(tiff_raw, make="PENTAX", model="PENTAX K-x")),
    "srw": ("Samsung NX100", partial(tiff_raw, make="SAMSUNG", model="NX100")),
    "orf": ("Olympus E-M1", partial(tiff_raw, make="OLYMPUS IMAGING CORP.", model="E-M1", magic=b"IIRO")),
    "rw2": ("Panasonic DMC-GH4", partial(tiff_raw, make="Panasonic", model="DMC-GH4", magic=b"IIU\0")),
    "raf": ("Fujifilm FinePix X100", partial(raf, make="FUJIFILM", model="FinePix X100")),
}
# Of the others LibRaw knows that their sensor data is never without compression, or has a margin.
DEVELOPED = ("arw", "cr2", "pef", "srw", "raf")
needs_exiftool = pytest.mark.skipif(
    shutil.which("exiftool") is None, reason="exiftool is not here: apt install libimage-exiftool-perl"
)


def likeness(first, second):
    """The cosine of two pictures, each as 32 x 32 colours around their mean."""
    rows = [np.asarray(image.resize((32, 32)), np.float64).ravel() for image in (first, second)]
    one, two = (row - row.mean() for row in rows)
    return float(one @ two / np.linalg.norm(one) / np.linalg.norm(two))


@pytest.mark.parametrize("kind", MAKERS)
def test_a_preview_is_shown_upright_and_the_facts_are_those_of_the_shot(kind):
    camera, written = MAKERS[kind]
    photo = parse_photo(written(PHOTO), name=f"a.{kind}")
    assert (photo.facts.format, photo.facts.camera) == (kind.upper(), camera)
    assert (photo.facts.taken, photo.facts.taken_from) == ("2019-05-06T07:08:09", "EXIF")
    assert (photo.facts.width, photo.facts.height) == photo.pixels().size == UPRIGHT.size
    assert likeness(parse_photo(written(PHOTO), name=f"a.{kind}").pixels(), UPRIGHT) > 0.99


@pytest.mark.parametrize("kind", DEVELOPED)
def test_without_a_preview_what_the_sensor_saw_is_developed(kind):
    data = MAKERS[kind][1](PHOTO, preview=False)
    assert likeness(parse_photo(data, name=f"a.{kind}").pixels(), UPRIGHT) > 0.95
    half = parse_photo(data, name=f"a.{kind}").pixels(min_side=100)
    assert half.size == (UPRIGHT.width // 2, UPRIGHT.height // 2)
    assert likeness(half, UPRIGHT) > 0.95


@pytest.mark.parametrize("kind", DEVELOPED)
def test_what_the_sensor_saw_is_all_there_or_it_is_called_truncated(kind):
    data = MAKERS[kind][1](PHOTO, preview=False)
    # Directories behind the sensor data are cut with it; then nothing says what it is.
    reason = r"truncated" if kind == "raf" else r"truncated|not supported|damaged"
    for kept in (1 / 3, 2 / 3):
        with pytest.raises(UnreadablePhoto, match=reason):
            parse_photo(data[: int(len(data) * kept)], name=f"a.{kind}").pixels()


@pytest.mark.parametrize("kept", [90, 106, 150, 3000])
def test_a_fujifilm_file_of_which_next_to_nothing_is_there_is_called_truncated(kept):
    with pytest.raises(UnreadablePhoto, match="truncated"):
        parse_photo(raf(PHOTO, "FUJIFILM", "FinePix X100")[:kept], name="a.raf").pixels()


@needs_exiftool
@pytest.mark.parametrize("kind", ["arw", "cr2", "nef", "pef", "srw"])
def test_tagging_a_raw_file_leaves_it_what_it_is(tmp_path, kind):
    path = tmp_path / f"a.{kind}"
    path.write_bytes(MAKERS[kind][1](PHOTO))
    before = read_photo(path)
    command = ["exiftool", "-q", "-m", "-overwrite_original", "-XMP:Rating=5", str(path)]
    subprocess.run(command, check=False, capture_output=True)
    after = read_photo(path)
    assert after.file_hash != before.file_hash
    assert after.photo_hash == before.photo_hash
    assert after.facts.rating == 5


@pytest.mark.parametrize("orientation", [1, 6])
def test_a_sensor_with_oblong_pixels_has_the_size_that_is_shown(orientation):
    photo = parse_photo(dng(PHOTO, preview=False, orientation=orientation, scale=2), name="a.dng")
    stretched = (2 * PHOTO.width, PHOTO.height)
    assert (photo.facts.width, photo.facts.height) == (stretched if orientation == 1 else stretched[::-1])
    assert photo.pixels().size == (photo.facts.width, photo.facts.height)


def test_raw_files_of_all_makers_are_indexed_and_found_by_their_jpeg(tmp_path):
    (tmp_path / "raw").mkdir()
    for kind, (_, written) in MAKERS.items():
        (tmp_path / f"raw/{kind}.{kind}").write_bytes(written(PHOTO))
    Image.new("RGB", (320, 240), "blue").save(tmp_path / "raw/other.png")
    UPRIGHT.save(tmp_path / "a.jpg", quality=95)
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        report = library.index([tmp_path / "raw"])
        assert (report.photos, report.unreadable) == (len(MAKERS) + 1, ())
        best = library.search(tmp_path / "a.jpg", k=len(MAKERS)).results
        assert {match.path.suffix for match in best} == {f".{kind}" for kind in MAKERS}
        assert min(match.score for match in best) > 0.99
