"""`vitsearch.embed`: photos as vectors, without a library."""

import numpy as np
import pytest
from PIL import Image

import vitsearch
from tests.support.mean_colour import MeanColour
from tests.support.samples import SAMPLES
from vitsearch.errors import LibraryError, UnknownModel

COLOURS = ["red", "orange", "yellow", "lime", "blue", "magenta"]


@pytest.fixture
def photos(tmp_path, picture):
    for colour in COLOURS:
        picture(tmp_path / "photos" / f"{colour}.png", colour)
    return tmp_path / "photos"


def expected(path):
    backbone = MeanColour()
    with Image.open(path) as image:
        return backbone.embed_batch(backbone.prepare(image)[None]).rows[0]


def test_a_folder_becomes_paths_and_unit_rows_in_full_precision(photos):
    paths, vectors = vitsearch.embed(photos, backbone=MeanColour())
    assert [path.name for path in paths] == sorted(f"{colour}.png" for colour in COLOURS)
    assert (vectors.shape, vectors.dtype) == ((6, 13), np.float32)
    for path, vector in zip(paths, vectors, strict=True):
        assert vector == pytest.approx(expected(path), abs=1e-7)  # float16 would be 1e-4 away


def test_files_keep_the_order_in_which_they_were_given(photos):
    given = [photos / "yellow.png", str(photos / "blue.png"), photos / "red.png"]
    paths, vectors = vitsearch.embed(given, backbone=MeanColour())
    assert list(paths) == [photos / "yellow.png", photos / "blue.png", photos / "red.png"]
    assert vectors[1] == pytest.approx(expected(photos / "blue.png"), abs=1e-7)


def test_one_file_is_a_batch_of_one(photos):
    paths, vectors = vitsearch.embed(str(photos / "red.png"), backbone=MeanColour())
    assert (paths, vectors.shape) == ((photos / "red.png",), (1, 13))


def test_copies_of_a_photo_have_rows_of_their_own_and_are_embedded_once(photos, picture):
    picture(photos / "red again.png", "red")
    backbone = MeanColour()
    paths, vectors = vitsearch.embed(photos, backbone=backbone)
    rows = {path.name: vector for path, vector in zip(paths, vectors, strict=True)}
    assert np.array_equal(rows["red again.png"], rows["red.png"])
    assert backbone.embedded == 6


def test_a_file_that_cannot_be_read_costs_its_own_row_only(photos):
    (photos / "broken.jpg").write_bytes(b"broken")
    found = vitsearch.embed(photos, backbone=MeanColour())
    assert len(found) == 6
    assert [(file.path.name, file.reason) for file in found.unreadable] == [
        ("broken.jpg", "it is not an image in a format that is read here")
    ]


def test_an_empty_folder_is_no_rows_of_the_models_width(tmp_path):
    found = vitsearch.embed(tmp_path, backbone=MeanColour())
    assert (found.paths, found.vectors.shape, found.unreadable) == ((), (0, 13), ())


def test_a_file_that_is_not_there_is_an_error_that_names_it(tmp_path):
    with pytest.raises(LibraryError, match=r"none\.jpg cannot be embedded: No such file"):
        vitsearch.embed(tmp_path / "none.jpg", backbone=MeanColour())


def test_a_model_that_nobody_knows_is_refused_before_any_photo_is_read(photos):
    with pytest.raises(UnknownModel):
        vitsearch.embed(photos, model="nonsense")


def test_vectors_as_a_table(photos):
    table = vitsearch.embed(photos, backbone=MeanColour()).to_pandas()
    assert list(table.columns) == ["path", "vector"]
    assert np.stack(table["vector"]).shape == (6, 13)


@pytest.mark.weights
def test_real_weights_give_the_vectors_that_a_library_stores(tmp_path):
    paths, vectors = vitsearch.embed(SAMPLES / "animals", model="clip-vit-base-patch16-int8")
    with vitsearch.Library.open(tmp_path / "library") as library:
        library.index([SAMPLES / "animals"], model="clip-vit-base-patch16-int8")
        stored = dict(zip(*library.vectors(), strict=True))
    assert set(stored) == set(paths)
    for path, vector in zip(paths, vectors, strict=True):
        assert float(vector @ stored[path]) > 0.999
