"""Whatever looks at photos, indexing aside: a file that crashes or hangs its decoder costs itself and nothing else."""

import numpy as np
import pytest
from PIL import Image

from tests.support.mean_colour import MeanColour
from tests.support.samples import SAMPLES
from vitsearch.cli import main
from vitsearch.decoding.decoders import Decoders
from vitsearch.decoding.process import Limits
from vitsearch.duplicates.find import find_duplicates
from vitsearch.duplicates.verify.check import check_files
from vitsearch.errors import UnreadablePhoto
from vitsearch.evaluation.evaluate import rank_copies
from vitsearch.library import Library
from vitsearch.pages.contact_sheet import write_contact_sheet
from vitsearch.pages.duplicates import write_page
from vitsearch.pages.results import write_result_page

CRASHED = "the decoder crashed on it (SIGSEGV)"
HUNG = "it took longer than 1 seconds to decode"


@pytest.fixture
def hostile(monkeypatch):
    """A word behind a photo's end crashes or hangs its decoder."""
    monkeypatch.setitem(Decoders.__init__.__kwdefaults__, "program", "tests.support.hostile_decoder")
    monkeypatch.setitem(Decoders.__init__.__kwdefaults__, "limits", Limits(seconds=1))


@pytest.fixture(scope="module")
def home(tmp_path_factory):
    """One photo in three sizes in a library, all of them well when they were indexed, and a fourth outside of it."""
    folder = tmp_path_factory.mktemp("home")
    (folder / "photos").mkdir()
    with Image.open(SAMPLES / "animals/cat-1.jpg") as image:
        for name, width, word in (
            ("photos/a", 900, b""),
            ("photos/b", 800, b""),
            ("photos/crash", 700, b"CRASH"),
            ("hang", 600, b"HANG"),
        ):
            small = image.resize((width, width * image.height // image.width))
            small.save(folder / f"{name}.jpg", quality=90)
            with (folder / f"{name}.jpg").open("ab") as file:
                file.write(word)
    with Library.open(folder / "library", backbone=MeanColour()) as opened:
        assert opened.index([folder / "photos"]).embedded == 3
    return folder


@pytest.fixture
def photos(home):
    return home / "photos"


@pytest.fixture
def library(home, hostile):
    with Library.open(home / "library", backbone=MeanColour()) as opened:
        yield opened


def test_sheets_and_pages_show_the_others(library, home, photos, tmp_path):
    found = library.search(photos / "a.jpg")
    assert {match.path.name for match in found.results} == {"b.jpg", "crash.jpg"}
    queries = [photos / "a.jpg", home / "hang.jpg"]
    write_contact_sheet(found, queries, tmp_path / "sheet.png")
    with Image.open(tmp_path / "sheet.png") as sheet:
        cells = np.asarray(sheet.convert("L"), np.float32)
    # A photo has texture; a cell with a reason in it is blank paper around one line.
    textured = [cells[60:200, 252 * cell + 32 : 252 * cell + 232].std() > 20 for cell in range(4)]
    assert textured == [True, False, *(match.path.name == "b.jpg" for match in found.results)]
    write_result_page(found, queries[:1], tmp_path / "page.html")
    page = (tmp_path / "page.html").read_text()
    assert (page.count('src="data:image/jpeg'), page.count('src=""')) == (2, 1)


def test_a_search_for_duplicates_finds_the_others_and_says_what_it_could_not_read(library, photos, tmp_path):
    report = find_duplicates(library)
    assert [{file.path.name for file in group.files} for group in report.groups] == [{"a.jpg", "b.jpg"}]
    assert {item.path.name: item.reason for item in report.skipped} == {"crash.jpg": CRASHED}
    write_page(report.groups, tmp_path / "page.html")
    assert (tmp_path / "page.html").read_text().count('src="data:image/jpeg') == 2


def test_a_check_of_two_files_says_which_one_cannot_be_read(hostile, home, photos):
    assert check_files(photos / "a.jpg", photos / "b.jpg").tier == "near"
    with pytest.raises(UnreadablePhoto, match=r"crash\.jpg.*SIGSEGV"):
        check_files(photos / "a.jpg", photos / "crash.jpg")
    with pytest.raises(UnreadablePhoto, match=f"hang.jpg.*{HUNG}"):
        check_files(photos / "a.jpg", home / "hang.jpg")


def test_an_evaluation_leaves_it_out(library, photos):
    names = ("a", "crash", "b")
    chosen = [(number, [photos / f"{name}.jpg"]) for number, name in enumerate(names, 1)]
    copies = rank_copies(library, library.backbone(library.existing_space()), chosen)
    both = rank_copies(library, library.backbone(library.existing_space()), [chosen[0]])
    assert len(copies.ranks) == 2 * len(both.ranks) > 0


@pytest.mark.parametrize(
    "command", [["explain", "PHOTO", "--out", "SEEN"], ["duplicates", "--check", "PHOTO", "PHOTO2"]]
)
def test_a_command_that_looks_at_it_ends_in_one_line(
    home, photos, hostile, tmp_path, command, monkeypatch, capsys
):
    paths = {"PHOTO": str(photos / "crash.jpg"), "PHOTO2": str(photos / "a.jpg")}
    paths["SEEN"] = str(tmp_path / "seen.png")
    words = ["--library", str(home / "library"), *(paths.get(word, word) for word in command)]
    monkeypatch.setattr("sys.argv", ["vitsearch", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    said = capsys.readouterr().err
    assert (ended.value.code, said.count("\n"), CRASHED in said) == (1, 1, True)
    assert not (tmp_path / "seen.png").exists()
