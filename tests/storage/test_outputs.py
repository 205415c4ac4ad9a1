"""Whatever a command is told to write, it overwrites nothing that a person would miss, and leaves no half file."""

import os
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import pytest
from click.testing import CliRunner
from PIL import Image

import vitsearch.cli
from tests.support.mean_colour import MeanColour
from tests.support.tiny_checkpoints import make_checkpoint
from vitsearch.errors import OutputError
from vitsearch.library import Library
from vitsearch.storage import atomic
from vitsearch.storage.outputs import Output, check_outputs, write_picture
from vitsearch.storage.own_files import PAGE_MARK, is_own

pytestmark = pytest.mark.trust

COLOURS = ["red", "orange", "yellow", "lime", "blue", "magenta"]
STOPPED = 1
OLD = PAGE_MARK.encode() + b"old"
SHEET = Image.new("RGB", (30, 20), "navy")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A library of six photos with a head, a raw photo, a video and notes of a person beside them."""
    folder = tmp_path_factory.mktemp("made")
    photos = folder / "photos"
    photos.mkdir()
    for number, colour in enumerate(COLOURS):
        Image.new("RGB", (64, 48), colour).save(photos / f"{colour}.png")
        shutil.copy(photos / f"{colour}.png", photos / f"copy-{number}.png")
    Image.new("RGB", (64, 48), "teal").save(photos / "teal.bmp")
    for label in ("warm", "cold"):
        (folder / "labelled" / label).mkdir(parents=True)
    for name, label in (("red", "warm"), ("orange", "warm"), ("blue", "cold"), ("lime", "cold")):
        shutil.copy(photos / f"{name}.png", folder / "labelled" / label)
    (photos / "raw.cr3").write_bytes(b"\x00\x00\x00\x18ftypcrx " + bytes(4000))
    (photos / "clip.mov").write_bytes(b"\x00\x00\x00\x14ftypqt  " + bytes(4000))
    (photos / "red.png.xmp").write_text("<x:xmpmeta>a person's keywords</x:xmpmeta>")
    (folder / "labels.csv").write_text("path,label\nphotos/red.png,warm\n")
    from vitsearch.heads.store import HeadStore

    with Library.open(folder / "library", backbone=MeanColour()) as library:
        library.index([photos])
        HeadStore(library).from_examples("mood", folder=folder / "labelled")
        HeadStore(library).from_examples("other", folder=folder / "labelled")
    return folder


@pytest.fixture
def call(made, monkeypatch):
    """Run a command on that library with the small model."""
    opened = Library.open

    def with_small_model(folder, **options):
        return opened(folder, **{**options, "backbone": options.get("backbone") or MeanColour()})

    monkeypatch.setattr("vitsearch.library.Library.open", with_small_model)

    def run(*arguments):
        words = ["--library", str(made / "library"), *map(str, arguments)]
        return CliRunner().invoke(vitsearch.cli.cli, words)

    return run


@pytest.fixture
def checkpoint(tmp_path_factory):
    return make_checkpoint("vit", tmp_path_factory.mktemp("model") / "vit")


def everything(folder):
    return {
        path: (path.read_bytes(), path.stat().st_mode)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and "neighbours" not in path.parts and path.name != "counts.json"
    }


def commands(photos, target, checkpoint):
    """Each command that writes to a path that a person names."""
    red = photos / "red.png"
    return {
        "sheet": ("search", red, "--sheet", target),
        "page": ("search", red, "--html", target),
        "explain": ("explain", red, "--out", target, "--model", checkpoint),
        "duplicates page": ("duplicates", "--tier", "exact", "--html", target),
        "plan": ("duplicates", "--tier", "exact", "--plan", target),
        "table": ("label", red, "--head", "mood", "--csv", target),
        "compare": ("models", "compare", checkpoint, checkpoint, "--on", photos, "--html", target),
        "export": ("export", "--to", target),
        "head": ("heads", "export", "mood", target),
    }


NAMES = ["sheet", "page", "explain", "duplicates page", "plan", "table", "compare"]


@pytest.mark.parametrize("command", NAMES)
@pytest.mark.parametrize(
    "target", ["red.png", "copy-3.png", "teal.bmp", "raw.cr3", "clip.mov", "red.png.xmp"]
)
def test_no_command_overwrites_a_photo_that_it_reads_or_does_not_read(
    made, call, checkpoint, command, target
):
    photos = made / "photos"
    before = everything(made)
    done = call(*commands(photos, photos / target, checkpoint)[command])
    assert done.exit_code == STOPPED
    assert isinstance(done.exception, OutputError), done.exception
    assert str(photos / target) in str(done.exception)
    assert everything(made) == before


@pytest.mark.parametrize("command", ["page", "table", "duplicates page", "plan"])
@pytest.mark.parametrize("target", ["labels.csv", "library/library.db", "library/heads/other.safetensors"])
def test_no_command_overwrites_labels_or_what_a_library_is_made_of(made, call, checkpoint, command, target):
    before = everything(made)
    done = call(*commands(made / "photos", made / target, checkpoint)[command])
    assert isinstance(done.exception, OutputError), done.exception
    assert everything(made) == before


def test_an_exported_head_never_replaces_another_head_of_a_library(made, call, checkpoint):
    before = everything(made)
    target = made / "library" / "heads" / "other.safetensors"
    for force in ((), ("--force",)):
        done = call("heads", "export", "mood", target, *force)
        assert isinstance(done.exception, OutputError)
    model = checkpoint / "model.safetensors"
    weights = model.read_bytes()
    assert isinstance(call("heads", "export", "mood", model).exception, OutputError)
    assert (everything(made), model.read_bytes()) == (before, weights)


def test_photos_that_another_program_exported_are_not_overwritten(made, call, tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    theirs = tmp_path / "theirs.parquet"
    pq.write_table(pa.table({"n": [1, 2]}), theirs)
    before = theirs.read_bytes()
    assert isinstance(call("export", "--to", theirs).exception, OutputError)
    assert theirs.read_bytes() == before
    named = tmp_path / "photo-00001-of-00002.parquet"
    shutil.copy(made / "photos" / "red.png", named)
    assert isinstance(
        call("export", "--to", tmp_path / "photo.parquet", "--shards", 2).exception, OutputError
    )
    assert named.read_bytes() == (made / "photos" / "red.png").read_bytes()
    assert sorted(path.name for path in tmp_path.iterdir()) == [named.name, "theirs.parquet"]
    assert call("export", "--to", theirs, "--force").exit_code == 0
    assert call("export", "--to", theirs).exit_code == 0  # its own export


def test_links_and_other_names_of_an_input_are_that_input(made, call, tmp_path):
    photo = tmp_path / "photo.png"
    shutil.copy(made / "photos" / "red.png", photo)
    before = photo.read_bytes()
    (tmp_path / "link.png").symlink_to(photo)
    os.link(photo, tmp_path / "hard.png")
    (tmp_path / "elsewhere").symlink_to(tmp_path)
    for name in ("photo.png", "link.png", "hard.png", "elsewhere/photo.png"):
        for force in ((), ("--force",)):
            done = call("search", photo, "--sheet", tmp_path / name, *force)
            assert isinstance(done.exception, OutputError), name
            assert "an input of this command" in str(done.exception)
    assert photo.read_bytes() == before
    assert (tmp_path / "link.png").is_symlink()


def test_force_overwrites_another_photo_but_never_an_input(made, call, tmp_path):
    other = tmp_path / "other.png"
    shutil.copy(made / "photos" / "blue.png", other)
    red = made / "photos" / "red.png"
    assert "--force" in str(call("search", red, "--sheet", other).exception)
    assert call("search", red, "--sheet", other, "--force").exit_code == 0
    with Image.open(other) as sheet:
        assert sheet.width > 1000
    before = red.read_bytes()
    done = call("search", red, "--not", made / "photos" / "blue.png", "--sheet", red, "--force")
    assert isinstance(done.exception, OutputError)
    away = made / "photos" / "blue.png"
    blue = away.read_bytes()
    assert isinstance(call("search", red, "--not", away, "--sheet", away, "--force").exception, OutputError)
    assert (red.read_bytes(), away.read_bytes()) == (before, blue)


@pytest.mark.parametrize("name", ["sheet.png", "sheet.jpg", "sheet.jpeg"])
def test_a_picture_that_vitsearch_wrote_is_replaced_and_one_that_a_person_changed_is_not(tmp_path, name):
    path = tmp_path / name
    write_picture(SHEET, Output(path, "sheet"))
    with Image.open(path) as image:
        image.load()
        assert image.size == (30, 20)
    write_picture(Image.new("RGB", (9, 9), "red"), Output(path, "sheet"))
    with Image.open(path) as image:
        assert image.size == (9, 9)
        drawn = image.convert("RGB")
    # Another program opens it, draws on it and saves it, comments and all.
    with Image.open(path) as image:
        drawn.info = dict(image.info)
    drawn.putpixel((4, 4), (0, 0, 255))
    drawn.save(path, comment=drawn.info.get("comment", b""))
    before = path.read_bytes()
    with pytest.raises(OutputError, match="did not write"):
        write_picture(SHEET, Output(path, "sheet"))
    assert path.read_bytes() == before


def test_no_changed_byte_of_a_picture_goes_unnoticed(tmp_path):
    path = tmp_path / "sheet.png"
    write_picture(SHEET, Output(path, "sheet"))
    sound = path.read_bytes()
    assert is_own(path, "sheet")
    for at in range(len(sound)):
        path.write_bytes(sound[:at] + bytes([sound[at] ^ 1]) + sound[at + 1 :])
        assert not is_own(path, "sheet"), at
    for cut in (0, 8, 40, len(sound) - 1):
        path.write_bytes(sound[:cut])
        assert not is_own(path, "sheet")
    path.write_bytes(sound + b"x")
    assert not is_own(path, "sheet")


def test_each_command_replaces_what_it_wrote_before_and_keeps_its_permissions(
    made, call, checkpoint, tmp_path
):
    suffix = {
        "sheet": ".png",
        "explain": ".png",
        "table": ".csv",
        "export": ".parquet",
        "head": ".safetensors",
    }
    for name in ("sheet", "page", "explain", "duplicates page", "table", "compare", "export", "head"):
        target = tmp_path / f"{name}{suffix.get(name, '.html')}"
        words = commands(made / "photos", target, checkpoint)[name]
        if name == "compare":
            words = (*words, "--no-labels", "--sample", 6)
        done = call(*words)
        assert done.exit_code == 0, (name, done.exception)
        target.chmod(0o640)
        kept = target.stat().st_ino
        done = call(*words)
        assert done.exit_code == 0, (name, done.exception)
        assert target.stat().st_mode & 0o777 == 0o640
        assert target.stat().st_ino != kept
    assert [path for path in tmp_path.iterdir() if path.name.startswith(".")] == []


def test_a_plan_is_never_replaced(made, call, tmp_path):
    plan = tmp_path / "plan.json"
    assert call("duplicates", "--tier", "exact", "--plan", plan).exit_code == 0
    before = plan.read_bytes()
    for force in ((), ("--force",)):
        done = call("duplicates", "--tier", "exact", "--plan", plan, *force)
        assert "exists already" in str(done.exception)
        done = call("duplicates", "--tier", "exact", "--html", plan)
        assert isinstance(done.exception, OutputError)
    assert plan.read_bytes() == before


def test_two_outputs_of_one_name_are_refused(made, call, tmp_path):
    done = call(
        "search", made / "photos" / "red.png", "--sheet", tmp_path / "a.png", "--html", tmp_path / "a.png"
    )
    assert "named twice" in str(done.exception)
    assert list(tmp_path.iterdir()) == []


def test_an_unreadable_file_of_the_library_is_a_photo_too(made, call, tmp_path):
    photos = tmp_path / "photos"
    photos.mkdir()
    shutil.copy(made / "photos" / "red.png", photos)
    (photos / "broken.jpg").write_bytes(b"once a photo, perhaps to be saved by somebody" * 100)
    library = tmp_path / "library"
    assert call("--library", library, "index", photos).exit_code == 0
    before = (photos / "broken.jpg").read_bytes()
    for option in ("--sheet", "--html"):
        done = call("--library", library, "search", photos / "red.png", option, photos / "broken.jpg")
        assert "an indexed photo" in str(done.exception)
    assert (photos / "broken.jpg").read_bytes() == before


@pytest.mark.parametrize("kind", ["page", "sheet", "picture", "table", "head", "photos", "backup"])
def test_no_file_of_a_person_is_replaced_whatever_is_in_it_unless_they_insist(tmp_path, kind):
    notes = tmp_path / "notes.txt"
    for content in (
        b"notes of yesterday\n" * 9,
        b"x",
        b"<html><body>mine</body></html>",
        b"a,b\n1,2\n",
        b"\0",
    ):
        notes.write_bytes(content)
        with pytest.raises(OutputError, match="did not write; choose another name, or add --force"):
            Output(notes, kind).write(b"new")
        assert notes.read_bytes() == content
    Output(notes, kind, force=True).write(b"new")
    assert notes.read_bytes() == b"new"
    notes.write_bytes(b"")
    Output(notes, kind).write(b"new")  # a name that was reserved
    assert [each.name for each in tmp_path.iterdir()] == ["notes.txt"]


def test_a_photo_that_comes_to_a_name_while_the_file_is_written_stays(tmp_path):
    path = tmp_path / "found.html"
    photo = b"\xff\xd8\xff\xe0 a photo of another program"

    def write():
        with Output(path, "page").open() as file:
            file.write(b"<!doctype html>")
            path.write_bytes(photo)

    with pytest.raises(OutputError, match="a photo"):
        write()
    assert path.read_bytes() == photo
    path.unlink()
    with Output(path, "page").open() as file:
        file.write(b"<!doctype html> new")
        path.write_bytes(PAGE_MARK.encode())  # of another search at the same time
    assert path.read_bytes() == b"<!doctype html> new"
    assert [each.name for each in tmp_path.iterdir()] == ["found.html"]


def test_a_failure_leaves_the_old_file_and_nothing_else(tmp_path):
    path = tmp_path / "page.html"
    Output(path, "page").write(OLD)

    def half():
        with Output(path, "page").open() as file:
            file.write(b"new")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        half()
    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
    resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
    try:
        with pytest.raises(OutputError, match=r"cannot write the page .*File too large"):
            Output(path, "page").write(b"x" * 1_000_000)
        with pytest.raises(OutputError, match=r"cannot write the plan .*File too large"):
            Output(tmp_path / "plan.json", "plan").write(b"x" * 1_000_000)
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        signal.signal(signal.SIGXFSZ, before)
    assert path.read_bytes() == OLD
    assert [each.name for each in tmp_path.iterdir()] == ["page.html"]


def test_what_a_killed_process_left_is_removed_by_the_next_and_what_a_living_one_writes_is_not(tmp_path):
    program = (
        "import sys, time; from pathlib import Path; from vitsearch.storage.outputs import Output\n"
        "with Output(Path(sys.argv[1]), 'page').open() as file:\n"
        "    file.write(b'half'); file.flush(); print('written', flush=True); time.sleep(600)\n"
    )
    running = [
        subprocess.Popen([sys.executable, "-c", program, tmp_path / name], stdout=subprocess.PIPE)
        for name in ("killed.html", "living.html")
    ]
    try:
        for process in running:
            assert process.stdout is not None
            assert process.stdout.readline() == b"written\n"
        drafts = sorted(tmp_path.iterdir())
        assert len(drafts) == 2
        running[0].kill()
        running[0].wait()
        assert atomic.abandoned(tmp_path) == []  # too young to be sure of
        for path in drafts:
            os.utime(path, (0, 0))
        mine = tmp_path / ".vitsearch-notes.tmp"
        mine.write_bytes(b"a person's")
        os.utime(mine, (0, 0))
        Output(tmp_path / "next.html", "page").write(b"next")
        left = [path for path in tmp_path.iterdir() if path in drafts]
        assert len(left) == 1
        assert mine.exists()
    finally:
        for process in running:
            process.kill()
            process.communicate()


def test_processes_that_write_one_file_leave_all_of_one_of_them(tmp_path):
    path = tmp_path / "page.html"
    contents = [PAGE_MARK.encode() + bytes([65 + number]) * 300_000 for number in range(4)]

    def again(content):
        for _ in range(20):
            Output(path, "page").write(content)

    threads = [threading.Thread(target=again, args=(content,)) for content in contents]
    for thread in threads:
        thread.start()
    while any(thread.is_alive() for thread in threads):
        if path.exists():
            assert path.read_bytes() in contents
        time.sleep(0.001)
    for thread in threads:
        thread.join()
    assert [each.name for each in tmp_path.iterdir()] == ["page.html"]


def test_a_new_file_takes_no_name_that_is_taken_also_where_links_cannot_be_made(tmp_path, monkeypatch):
    path = tmp_path / "plan.json"
    for refuse in (False, True):
        if refuse:
            monkeypatch.setattr(os, "link", lambda *_: (_ for _ in ()).throw(PermissionError(1, "no links")))
        atomic.write(path, b"first", new=True)
        with pytest.raises(FileExistsError):
            atomic.write(path, b"second", new=True)
        assert path.read_bytes() == b"first"
        assert [each.name for each in tmp_path.iterdir()] == ["plan.json"]
        path.unlink()


def test_pipes_and_devices_are_written_through(tmp_path):
    reader, writer = os.pipe()
    Output(Path(f"/dev/fd/{writer}"), "table").write(b"path,label\r\n")
    os.close(writer)
    with os.fdopen(reader, "rb") as pipe:
        assert pipe.read() == b"path,label\r\n"
    Output(Path(os.devnull), "page").write(b"gone")
    assert not Path(os.devnull).is_file()


def test_a_link_to_a_page_stays_a_link(tmp_path):
    (tmp_path / "www").mkdir()
    (tmp_path / "latest.html").symlink_to("www/found.html")
    for text in (f"{PAGE_MARK} one", f"{PAGE_MARK} two"):
        Output(tmp_path / "latest.html", "page").write_text(text)
        assert (tmp_path / "www" / "found.html").read_text() == text
    assert (tmp_path / "latest.html").is_symlink()


def test_outputs_are_checked_before_the_work(tmp_path):
    with pytest.raises(OutputError, match="No such file or directory"):
        check_outputs(Output(tmp_path / "nowhere" / "page.html", "page"))
