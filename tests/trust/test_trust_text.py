"""Text of strangers, in names, imports, models, labels and errors, acts on no terminal and in no spreadsheet."""

import ast
import csv
import io
import logging
import sys
import warnings
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

import vitsearch.cli
from tests.support.mean_colour import MeanColour
from vitsearch.cli.output import SafeFormatter, say
from vitsearch.heads.csv_cells import from_cell, to_cell
from vitsearch.heads.examples import read_label_csv
from vitsearch.heads.export_labels import write_label_csv
from vitsearch.heads.head import LabelProbability
from vitsearch.heads.labelling import LabelledPhoto
from vitsearch.library import Library

pytestmark = pytest.mark.trust

CLI = Path(vitsearch.cli.__file__).parent
EVIL = "evil\x1b[2J\x1b]0;title\x07\r\nphotos      999\u202e\x9b31m"


@pytest.fixture
def program(tmp_path, monkeypatch, capfdbinary):
    """Run the command line as `main` runs it; return its status and all that it printed, as bytes."""
    hook, show = sys.excepthook, warnings.showwarning

    def run(*words):
        given = ["vitsearch", "--library", tmp_path / "library", "--cache", tmp_path / "cache", *words]
        monkeypatch.setattr(sys, "argv", list(map(str, given)))
        capfdbinary.readouterr()
        with pytest.raises(SystemExit) as ended:
            vitsearch.cli.main()
        return ended.value.code, b"".join(capfdbinary.readouterr()).decode()

    yield run
    sys.excepthook, warnings.showwarning = hook, show


def assert_harmless(text):
    assert all(character.isprintable() or character == "\n" for character in text), repr(text)
    assert "\nphotos      999" not in text  # no line that the program did not write


@pytest.fixture
def imported(tmp_path):
    """Vectors from a stranger: whatever is text in the file is hostile."""
    rows = np.eye(4, 13, dtype=np.float32)
    columns = {
        "photo": [f"{number:064x}" for number in range(1, 5)],
        "path": [f"/pictures/{EVIL}{number}.jpg" for number in range(4)],
        "camera": [EVIL] * 4,
        "software": [EVIL] * 4,
        "model": [EVIL] * 4,
        "vector": pa.array(list(rows), pa.list_(pa.float32(), 13)),
    }
    pq.write_table(pa.table(columns), tmp_path / "stranger.parquet")
    return tmp_path / "stranger.parquet"


def test_the_name_of_an_imported_model_never_acts_on_the_terminal(program, imported, tmp_path):
    said = []
    for words in (
        ("import", imported),
        ("import", imported, "--model", EVIL),
        ("status",),
        ("roots", "list"),
        ("doctor",),
        ("eval",),
        ("search", "--text", "cat"),
        ("export", "--to", tmp_path / "again.parquet"),
        ("models", "remove", EVIL),
        ("models", "show", EVIL),
        ("heads", "list"),
    ):
        status, text = program(*words)
        said.append((status, text))
        assert text or words[0] == "roots", words
        assert_harmless(text)
    assert any("evil\\x1b[2J" in text for _, text in said)


def test_a_traceback_with_debug_and_one_of_a_fault_are_harmless_too(program, imported, capfdbinary):
    for error in (OSError(5, EVIL), ValueError(EVIL)):
        try:
            raise error
        except (OSError, ValueError):
            told = sys.exc_info()
        program("--version")
        capfdbinary.readouterr()
        sys.excepthook(*told)
        text = capfdbinary.readouterr().err.decode()
        assert "Traceback" in text
        assert_harmless(text.replace("\nphotos      999", ""))  # Python quotes an error's own lines


def test_warnings_and_log_records_are_harmless(program, capfdbinary):
    program("--version")
    capfdbinary.readouterr()
    warnings.showwarning(UserWarning(EVIL), UserWarning, "file.py", 3)
    assert_harmless(capfdbinary.readouterr().err.decode())
    stream = io.StringIO()
    handler = logging.StreamHandler(stream)
    handler.setFormatter(SafeFormatter("%(message)s"))
    handler.emit(logging.LogRecord("x", logging.ERROR, __file__, 1, "%s", ("\x1b[2J\x9b",), None))
    assert stream.getvalue() == "\\x1b[2J\\x9b\n"


@given(st.text())
def test_one_line_that_is_said_is_one_line(text):
    from click.testing import CliRunner

    with CliRunner().isolation() as (output, *_):
        say(f"about {text}.")
        printed = output.getvalue().decode("utf-8", "surrogatepass")
    assert printed.endswith(".\n")
    assert printed[:-1].isprintable()


def test_every_line_goes_through_say():
    """Nothing in the command line prints by another way, save documents in JSON and bytes for programs."""
    allowed = {
        ("output.py", "echo"),
        ("matches.py", "echo"),  # parts that went through `shown`, with colours and links of our own
        ("completion.py", "echo"),  # click's own script
        ("preview.py", "print"),  # a picture
        ("search.py", "print"),  # a method of the answer's
    }
    found = set()
    for path in CLI.rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text("utf-8"))):
            if isinstance(node, ast.Call):
                name = (
                    node.func.attr if isinstance(node.func, ast.Attribute) else getattr(node.func, "id", "")
                )
                if name in ("echo", "secho", "echo_via_pager", "print", "style"):
                    found.add((path.name, name))
    assert found == allowed
    output = (CLI / "output.py").read_text("utf-8")
    # `say`, documents, and twice the bytes of names, for programs.
    assert (output.count("click.echo("), output.count("click.echo(os.fsencode(path)")) == (4, 2)
    assert (CLI / "search.py").read_text("utf-8").count("print(") == 1


LABELS = [
    '=HYPERLINK("http://x","y")',
    "+1",
    "-2+3",
    "@SUM(A1)",
    "'=1",
    "''+1",
    "\uff1d1",
    "plain",
    "it's",
    "'60s",
    "a=b",
]


def test_no_cell_of_a_table_is_a_formula_and_all_come_back(tmp_path):
    photos = [tmp_path / f"{number}.png" for number in range(len(LABELS))]
    for photo in photos:
        photo.touch()
    labelled = [
        LabelledPhoto(photo, (LabelProbability(label, 0.5),), abstained=False, none=False)
        for photo, label in zip(photos, LABELS, strict=True)
    ]
    labelled.append(
        LabelledPhoto(Path("-rf.png"), (LabelProbability("=A1", 0.25),), abstained=False, none=False)
    )
    (tmp_path / "-rf.png").touch()
    write_label_csv(labelled, tmp_path / "labels.csv")
    with (tmp_path / "labels.csv").open(encoding="utf-8", newline="") as file:
        cells = [cell for line in list(csv.reader(file))[1:] for cell in line]
    assert [cell for cell in cells if cell[:1] in set("=+-@\uff1d\t\r")] == []
    back = read_label_csv(tmp_path / "labels.csv")
    assert [item.label for item in back] == [*LABELS, "=A1"]
    assert back[-1].path.name == "-rf.png"


@given(st.text())
def test_every_text_comes_back_from_a_cell_and_none_is_a_formula(text):
    assert from_cell(to_cell(text)) == text
    assert to_cell(text)[:1] not in set("=+-@\t\r\uff1d\uff0b\uff0d\uff20")


def test_a_table_of_a_person_is_read_as_it_was(tmp_path):
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "own.csv").write_text("path,label\na.png,'60s\na.png,=odd\n")
    assert [item.label for item in read_label_csv(tmp_path / "own.csv")] == ["'60s", "=odd"]


def test_a_library_with_hostile_labels_says_them_harmlessly(tmp_path, program, monkeypatch):
    photos = tmp_path / "photos"
    photos.mkdir()
    for number, colour in enumerate(("red", "blue", "green", "gold")):
        Image.new("RGB", (64, 48), colour).save(photos / f"{number}.png")
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([photos])
    for words in (
        ("heads", "show", EVIL),
        ("heads", "delete", EVIL),
        ("heads", "export", EVIL, tmp_path / "x.safetensors"),
        ("label", "--head", EVIL),
        ("search", "--label", EVIL, "--head", EVIL),
        ("duplicates", "--not-duplicates", EVIL),
        ("apply", tmp_path / EVIL),
    ):
        status, text = program(*words)
        assert status
        assert_harmless(text)
