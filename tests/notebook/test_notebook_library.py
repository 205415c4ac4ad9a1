"""`vitsearch.Library` as Python has it: the command line's library, vectors, searches by vector, duplicates, heads."""

import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import vitsearch
from tests.support.mean_colour import MeanColour
from vitsearch.errors import BadQuery, HeadMissing, LibraryMissing, VitsearchError

COLOURS = ["red", "orange", "yellow", "lime", "blue", "magenta"]


@pytest.fixture
def photos(tmp_path, picture):
    for colour in COLOURS:
        picture(tmp_path / "photos" / f"{colour}.png", colour)
    return tmp_path / "photos"


@pytest.fixture
def library(tmp_path, photos):
    with vitsearch.Library.open(tmp_path / "library", backbone=MeanColour()) as opened:
        opened.index([photos])
        yield opened


def test_without_a_folder_it_is_the_library_of_the_command_line(monkeypatch, tmp_path, library, photos):
    monkeypatch.setenv("VITSEARCH_LIBRARY", str(library.folder))
    with vitsearch.Library.open() as opened:
        assert opened.folder == library.folder
        assert opened.status().photos == 6
    done = subprocess.run(
        [sys.executable, "-m", "vitsearch", "status", "--json"], capture_output=True, text=True, check=True
    )
    assert str(opened.folder) in done.stdout


def test_where_nothing_is_named_python_and_the_command_line_look_in_the_same_folders(tmp_path, monkeypatch):
    monkeypatch.delenv("VITSEARCH_LIBRARY", raising=False)
    monkeypatch.delenv("VITSEARCH_CACHE", raising=False)
    from vitsearch.cli.session import Session

    session = Session.create(library=None, cache=None, debug=False)
    with vitsearch.Library.open() as opened:
        assert opened.folder == session.library_folder.absolute()
        assert opened.cache_folder == session.cache_folder


def test_vectors_are_those_of_the_present_photos_one_a_row(library, photos):
    paths, vectors = library.vectors()
    assert sorted(path.stem for path in paths) == sorted(COLOURS)
    assert (vectors.shape, vectors.dtype) == ((6, 13), np.float32)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(np.ones(6), abs=1e-3)
    for path, vector in zip(paths, vectors, strict=True):
        with Image.open(path) as image:
            prepared = MeanColour().prepare(image)
        expected = MeanColour().embed_batch(prepared[None]).rows[0]
        assert vector == pytest.approx(expected, abs=1e-3)


def test_vectors_follow_a_filter_and_leave_out_what_has_gone(library, photos, picture):
    picture(photos / "2024" / "green.png", "green")
    (photos / "red.png").unlink()
    library.index()
    assert "red" not in {path.stem for path in library.vectors().paths}
    only = library.vectors(where=vitsearch.Filter(folders=(photos / "2024",)))
    assert [path.name for path in only.paths] == ["green.png"]
    assert only.vectors.shape == (1, 13)
    none = library.vectors(where=vitsearch.Filter(after="2024"))
    assert (none.paths, none.vectors.shape, none.photos.shape) == ((), (0, 13), (0,))


def test_vectors_of_a_photo_in_two_folders_have_the_path_that_the_filter_names(library, photos, picture):
    picture(photos / "copies" / "red again.png", "red")
    library.index()
    (path,) = library.vectors(where=vitsearch.Filter(folders=(photos / "copies",))).paths
    assert path == photos / "copies" / "red again.png"


def test_vectors_of_a_model_that_the_library_does_not_hold_are_refused(library):
    with pytest.raises(BadQuery, match="no vectors of dinov2-small, only of mean-colour"):
        library.vectors(model="dinov2-small")
    assert library.vectors(model="mean-colour").model == "mean-colour"


def test_a_library_that_is_not_there_has_no_vectors(tmp_path):
    with vitsearch.Library.open(tmp_path / "none") as opened, pytest.raises(LibraryMissing):
        opened.vectors()


def test_a_search_takes_a_vector_of_any_length(library, photos):
    paths, vectors = library.vectors()
    red = vectors[[path.stem for path in paths].index("red")]
    result = library.search(7 * red, k=3)
    expected = library.search(photos / "red.png", k=3, include_self=True)
    assert [match.path for match in result] == [match.path for match in expected]
    assert [match.score for match in result] == pytest.approx([match.score for match in expected], abs=1e-5)
    assert result.query == ("vector",)


@pytest.mark.parametrize(
    ("array", "words"),
    [
        (
            np.ones(5, np.float32),
            r"shape \(5,\) is no query: the vectors of mean-colour have the shape \(13,\)",
        ),
        (np.ones((2, 13), np.float32), r"the shape \(2, 13\) is no image"),
        (np.zeros(13, np.float32), "no direction"),
        (np.full(13, np.nan, np.float32), "no direction"),
    ],
)
def test_an_array_that_is_no_vector_of_the_model_is_refused(library, array, words):
    with pytest.raises(BadQuery, match=words):
        library.search(array)


def test_a_result_is_a_sequence_of_matches_and_a_table(library, photos):
    result = library.search(photos / "red.png", k=2)
    assert len(result) == 2
    assert [match.path.stem for match in result] == ["orange", "magenta"]
    assert result[0] == result.results[0]
    table = result.to_pandas()
    assert list(table["path"]) == [str(photos / "orange.png"), str(photos / "magenta.png")]
    assert list(table["score"]) == [match.score for match in result]
    assert {"percentile", "width", "height", "taken", "camera", "photo"} <= set(table.columns)


def test_vectors_and_matches_are_joined_by_photo(library, photos):
    stored = library.vectors()
    table = library.search(photos / "red.png", k=2).to_pandas().merge(stored.to_pandas(), on="photo")
    assert list(table["path_x"]) == list(table["path_y"])
    assert table["vector"][0].shape == (13,)


def test_without_pandas_the_way_out_is_said(library, photos, monkeypatch):
    monkeypatch.setitem(sys.modules, "pandas", None)
    with pytest.raises(VitsearchError, match="pip install pandas"):
        library.search(photos / "red.png").to_pandas()


def test_duplicates_are_a_sequence_a_table_and_pictures(library, photos):
    noise = Image.effect_noise((400, 300), 90).convert("RGB")
    noise.save(photos / "noise.png")
    noise.save(photos / "noise.bmp")
    library.index()
    report = library.duplicates(tiers=("exact", "pixels"))
    (found,) = report
    assert (len(report), found.tier, len(found.files)) == (1, "pixels", 2)
    table = report.to_pandas()
    assert list(table["keep"]) == [True, False]
    assert set(table["path"]) == {str(photos / "noise.png"), str(photos / "noise.bmp")}
    assert report._repr_html_().count("data:image/jpeg;base64,") == 2


def test_heads_are_made_listed_and_applied(library, photos, picture, tmp_path):
    rng = np.random.default_rng(0)
    for name, base in (("warm", (200, 60, 30)), ("cold", (30, 80, 200))):
        for number in range(12):
            colour = tuple(int(value) for value in np.clip(base + rng.integers(-25, 25, 3), 0, 255))
            picture(tmp_path / "labelled" / name / f"{number}.png", colour)
    assert list(library.heads) == []
    library.heads.from_examples("tone", folder=tmp_path / "labelled")
    assert list(library.heads) == ["tone"]
    assert "tone" in library.heads
    assert repr(library.heads) == "Heads(tone)"
    said = library.heads.label("tone", [photos / "red.png", photos / "blue.png"], k=1)
    assert [(photo.path.stem, photo.labels[0].label) for photo in said] == [("red", "warm"), ("blue", "cold")]
    table = said.to_pandas()
    assert list(table["label"]) == ["warm", "cold"]
    assert said._repr_html_().count("<img") == 2
    result = library.heads.search("tone", "cold", k=1)
    assert isinstance(result, vitsearch.SearchResult)
    with pytest.raises(HeadMissing):
        library.heads.label("shape", photos)


def test_a_result_in_a_notebook_shows_small_pictures_and_escapes_every_name(tmp_path, picture):
    folder = tmp_path / "<b>photos"
    hostile = '<img src=x onerror="alert(1)">\'&"\n\x1b[31m.png'
    Image.effect_noise((3000, 2000), 90).convert("RGB").save(folder.mkdir() or folder / "large.png")
    picture(folder / hostile, "orange")
    picture(folder / "red.png", "red")
    with vitsearch.Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([folder])
        html = library.search(folder / "red.png")._repr_html_()
    assert html.count("data:image/jpeg;base64,") == 2
    assert "&lt;img src=x onerror=&#34;alert(1)&#34;&gt;&#39;&amp;&#34;" in html
    assert 'onerror="' not in html
    assert "<b>" not in html
    assert "\x1b" not in html
    assert len(html) < 60_000  # a photo of 6 megapixels of noise stands in it as a thumbnail
    for word in ("<script", "http:", "https:", "file:"):
        assert word not in html


def test_a_notebook_keeps_sixty_pictures_at_most_and_says_how_many_more(tmp_path):
    (tmp_path / "photos").mkdir()
    for number in range(70):
        Image.new("RGB", (64, 48), (number, 200 - number, 90)).save(tmp_path / f"photos/{number}.png")
    with vitsearch.Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([tmp_path / "photos"])
        html = library.search(tmp_path / "photos/0.png", k=100)._repr_html_()
    assert html.count("<img") == 60
    assert "and 9 more" in html


def test_a_file_that_has_gone_since_is_a_frame_without_a_picture(library, photos):
    result = library.search(photos / "red.png", k=2)
    (photos / "orange.png").unlink()
    html = result._repr_html_()
    assert html.count("<img") == 1
    assert "cannot be read now" in html


def test_every_public_name_is_there_and_the_package_itself_imports_nothing_heavy():
    for name in vitsearch.__all__:
        assert getattr(vitsearch, name) is not None
    assert set(vitsearch.__all__) <= set(dir(vitsearch))
    with pytest.raises(AttributeError, match="nonsense"):
        vitsearch.nonsense  # noqa: B018
