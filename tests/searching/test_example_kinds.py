"""Examples in any form, words among them, weighed against each other."""

import io

import numpy as np
import pytest
from PIL import Image, ImageCms

from tests.support.mean_colour import MeanColour
from vitsearch.backbones.backbone import Embeddings
from vitsearch.errors import BadQuery, UnreadablePhoto
from vitsearch.library import Library
from vitsearch.searching.terms import Weighted, Words

COLOURS = {"red": (220, 20, 30), "green": (20, 200, 40), "blue": (30, 40, 210), "grey": (128, 128, 128)}


class Reading(MeanColour):
    """Reads the names of colours: the vector of a word is that of a photo in the colour."""

    def embed_texts(self, texts):
        pixels = np.array([np.full((8, 8, 3), COLOURS[text], np.uint8) for text in texts])
        return Embeddings.from_raw(self.embed_batch(pixels).rows)


@pytest.fixture
def photos(tmp_path, picture):
    for name, colour in COLOURS.items():
        picture(tmp_path / "photos" / f"{name}.png", colour)
    return tmp_path / "photos"


@pytest.fixture
def library(tmp_path, photos):
    with Library.open(tmp_path / "library", backbone=Reading()) as opened:
        opened.index([photos])
        yield opened


def order(result):
    return [match.path.stem for match in result.results]


def forms(path):
    image = Image.open(path)
    image.load()
    return {
        "path": path,
        "text": str(path),
        "bytes": path.read_bytes(),
        "file": io.BytesIO(path.read_bytes()),
        "PIL": image,
        "array": np.asarray(image),
        "strided array": np.asarray(image)[::-1, ::-1],
        "alpha": np.dstack([np.asarray(image), np.full(image.size[::-1], 255, np.uint8)]),
        "palette": image.convert("P", palette=Image.Palette.ADAPTIVE),
        "four inks": image.convert("CMYK"),
    }


FORMS = ("path", "text", "bytes", "file", "PIL", "array", "strided array", "alpha", "palette", "four inks")


@pytest.mark.parametrize("form", FORMS)
def test_an_image_in_any_form_finds_what_its_file_finds(library, photos, form):
    result = library.search(forms(photos / "blue.png")[form], include_self=True, k=2)
    assert order(result) == order(library.search(photos / "blue.png", include_self=True, k=2))
    assert result.results[0].score == pytest.approx(1, abs=2e-3)


def test_grey_pixels_and_one_bit_are_images_too(library):
    grey = np.full((40, 50), 128, np.uint8)
    assert order(library.search(grey, k=1)) == ["grey"]
    assert order(library.search(Image.fromarray(grey).convert("LA"), k=1)) == ["grey"]
    assert library.search(Image.new("1", (20, 20), 1), k=1).results


def test_a_pil_image_is_seen_upright_and_in_its_colours(library, tmp_path, photos):
    halves = Image.new("RGB", (64, 48), COLOURS["red"])
    halves.paste(COLOURS["blue"], (0, 0, 64, 24))
    exif = halves.getexif()
    exif[0x0112] = 3
    profile = ImageCms.ImageCmsProfile(ImageCms.createProfile("sRGB")).tobytes()
    halves.save(photos / "turned.png", exif=exif, icc_profile=profile)
    library.index()
    with Image.open(photos / "turned.png") as opened:
        assert library.search(opened, include_self=True, k=1).results[0].score == pytest.approx(1, abs=2e-3)


@pytest.mark.parametrize(
    "array",
    [
        np.zeros((4, 4, 3)),
        np.zeros((4, 4, 2), np.uint8),
        np.zeros((2, 4, 4, 3), np.uint8),
        np.zeros((0, 4, 3), np.uint8),
    ],
)
def test_an_array_that_is_no_image_is_refused_in_words(library, array):
    with pytest.raises(BadQuery):
        library.search(array)


def test_what_is_nothing_of_the_kind_is_refused(library):
    with pytest.raises(BadQuery, match="a dict is no image"):
        library.search({})
    with pytest.raises(UnreadablePhoto, match="the image that was given"):
        library.search(b"no picture")


def test_words_and_images_stand_beside_each_other(library, photos):
    assert order(library.search(Words("green"), k=1)) == ["green"]
    assert library.search(Words("green"), k=9) == library.search(text="green", k=9)
    both = library.search(
        photos / "red.png", Words("green"), negatives=[Words("blue")], include_self=True, k=4
    )
    assert set(order(both)[:2]) == {"red", "green"}
    assert order(both)[-1] == "blue"
    assert both.query == (str(photos / "red.png"), "green")


def test_a_weight_draws_the_answer_to_its_query(library, photos):
    """Against the weighted mean, worked out here."""
    red, green = (
        library.backbone(library.space_for(words=True)[1]).embed_texts([c]).rows[0] for c in ("red", "green")
    )
    for weight in (0.25, 1.0, 3.0):
        result = library.search(Weighted(photos / "red.png", weight), Words("green"), include_self=True, k=9)
        direction = weight * red + green
        direction /= np.linalg.norm(direction)
        scores = {match.path.stem: match.score for match in result.results}
        assert scores["red"] == pytest.approx(float(direction @ red), abs=1e-3)
        assert scores["green"] == pytest.approx(float(direction @ green), abs=1e-3)


def test_a_crop_belongs_to_the_one_image_of_a_query(library, photos):
    assert library.search(photos / "red.png", Words("red"), crop=(0, 0, 8, 8), k=1).results
    with pytest.raises(BadQuery, match="exactly one example image"):
        library.search(Words("red"), crop=(0, 0, 8, 8))


def test_the_command_line_tells_files_from_words(run, library, photos):
    """The library's own model is a fake here, so that its words cannot be read: the line says what to run."""
    for query in ("a red bicycle", "holiday"):
        done = run("search", query, cwd=photos)
        assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
        assert "reads no words: run `vitsearch index --also" in done.stderr
    done = run("search", "missing.jpg", cwd=photos)
    assert (done.returncode, "missing.jpg" in done.stderr, "No such file" in done.stderr) == (1, True, True)
    done = run("search", "red.png", "--not", "2:blue.png", "--json", cwd=photos)
    assert (done.returncode, '"green.png"' in done.stdout or "green.png" in done.stdout) == (0, True), (
        done.stderr
    )
    assert run("search", "0:red.png", cwd=photos).stderr.startswith("vitsearch: 0 is no weight")
