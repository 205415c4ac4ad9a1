"""The FAISS cache of a library follows SQLite: by what was added where that is all, and anew where it must."""

import inspect
import os
import signal
import subprocess
import sys
from functools import partial

import numpy as np
import pytest

from benchmarks.concurrent_access import make
from tests.support.mean_colour import MeanColour
from tests.support.summaries import places
from vitsearch.errors import LibraryError
from vitsearch.library import Library
from vitsearch.neighbours import cache
from vitsearch.neighbours.neighbours import Neighbours, StaleCache
from vitsearch.neighbours.reference_sample import ReferenceSample
from vitsearch.searching.matches import MatchOptions
from vitsearch.storage.filters import Filter
from vitsearch.storage.write_lock import write_lock


@pytest.fixture
def photos(tmp_path, picture):
    for number in range(20):
        picture(tmp_path / "photos" / f"{number:02}.png", (12 * number, 100, 250 - 12 * number))
    return tmp_path / "photos"


def cache_folder(library):
    return library.layout.search_caches / "1"


def assert_follows(library):
    """The neighbours hold exactly what SQLite holds."""
    space_id, space = library.catalog.active_space()
    neighbours = library.neighbours()
    ids, rows = library.catalog.vectors(space_id, space.dimension, library.catalog.embedded_ids(space_id))
    np.testing.assert_array_equal(neighbours.ids(), np.sort(ids))
    np.testing.assert_array_equal(neighbours.rows(ids), rows.astype(np.float32))
    assert neighbours.generation == library.catalog.generation(space_id)


def test_additions_are_followed_without_looking_at_what_was_there(library, photos, picture, monkeypatch):
    library.index([photos])
    asked = []
    vector_batches = library.catalog.vector_batches

    def counted(*arguments, **options):
        for ids, rows in vector_batches(*arguments, **options):
            asked.extend(ids.tolist())
            yield ids, rows

    monkeypatch.setattr(library.catalog, "vector_batches", counted)
    monkeypatch.setattr(library.catalog, "embedded_ids", lambda space: pytest.fail("all ids were listed"))
    picture(photos / "new.png", "red")
    picture(photos / "newer.png", "blue")
    library.index()
    assert len(asked) == 2
    monkeypatch.undo()
    assert_follows(library)


def test_removals_are_followed_too(library, photos, picture):
    library.index([photos])
    for number in (0, 7, 19):
        (photos / f"{number:02}.png").unlink()
    picture(photos / "new.png", "red")
    library.index(prune=True)
    assert len(library.neighbours()) == 18
    assert_follows(library)


def test_vectors_that_got_the_numbers_of_deleted_ones_are_not_taken_for_those(library, photos, picture):
    library.index([photos])
    database = library.catalog.database
    for number in range(20):
        picture(photos / f"{number:02}.png", (10, 12 * number, 200))
    with database.write():  # the last ten vectors, and with them their numbers
        database.run("DELETE FROM vectors WHERE id > 10")
        database.run("DELETE FROM files WHERE photo > 10")
        database.run("DELETE FROM photos WHERE id > 10")
    library.index()
    assert database.scalar("SELECT max(id) FROM vectors") > 20
    assert_follows(library)


def test_a_library_that_was_restored_from_an_older_copy_and_went_on_gets_a_new_cache(
    library, photos, picture, tmp_path
):
    library.index([photos])
    copy = (library.folder / "library.db").read_bytes()
    picture(photos / "a.png", "red")
    library.index()
    library.close()
    (photos / "a.png").unlink()
    (library.folder / "library.db").write_bytes(copy)
    for name, colour in (("b", "blue"), ("c", "lime")):
        picture(photos / f"{name}.png", colour)
    library.index()
    assert_follows(library)


def test_the_background_is_read_from_sqlite_once_and_again_when_the_library_has_changed(
    library, photos, picture, monkeypatch, tmp_path
):
    reads = []
    read = ReferenceSample.of

    def counted(*arguments):
        reads.append(arguments)
        return read(*arguments)

    monkeypatch.setattr(ReferenceSample, "of", counted)
    library.index([photos])
    expected = library.search(photos / "03.png", k=4)
    assert library.search(photos / "03.png", k=4) == expected
    assert len(reads) == 1
    with Library.open(library.folder, backbone=MeanColour()) as other:
        assert other.search(photos / "03.png", k=4) == expected
    assert len(reads) == 1
    picture(photos / "new.png", (36, 101, 214))
    library.index()
    assert len(reads) == 2
    assert library.search(photos / "03.png", k=4).results[0].path == photos / "new.png"
    assert len(library._search_cache(*library.catalog.active_space()).reference_sample().ids) == 21


@pytest.mark.parametrize(
    "harm", [lambda content: b"", lambda content: content[:300], lambda content: b"x" * 99]
)
def test_a_damaged_background_is_read_again(library, photos, harm):
    library.index([photos])
    expected = library.search(photos / "03.png")
    path = cache_folder(library) / "background.npz"
    sound = path.read_bytes()
    path.write_bytes(harm(sound))
    with Library.open(library.folder, backbone=MeanColour()) as other:
        assert other.search(photos / "03.png") == expected
    space_id, space = library.catalog.active_space()
    generation = library.catalog.generation(space_id)
    assert ReferenceSample.load(path, generation=generation, dimension=space.dimension) is not None
    assert ReferenceSample.load(path, generation=generation + 1, dimension=space.dimension) is None
    assert not list(cache_folder(library).glob("*.tmp"))


def test_a_filter_gives_the_same_answer_whether_the_nearest_are_looked_at_first_or_not(
    library, photos, monkeypatch, picture
):
    for name in ("a/x", "a b/x", "a0/x", "a/b/x", "ä/x"):
        picture(photos / f"{name}.png", (len(name) * 20, ord(name[-3]) % 250, 77))
    library.index([photos])
    for folder in (photos / "a", photos / "ä", photos):
        for k in (1, 3, 100):
            search = partial(library.search, photos / "03.png", k=k, where=Filter((folder,)))
            expected = search()
            assert all(match.path.is_relative_to(folder) for match in expected.results)
            monkeypatch.setattr("vitsearch.searching.matches._LOOK_FIRST_FROM", 0)
            assert search() == expected
            monkeypatch.setattr("vitsearch.searching.matches._LOOK_FIRST", 2)
            assert search() == expected
            monkeypatch.undo()
    assert len(library.search(photos / "03.png", where=Filter(folders=(photos / "a",)), k=100).results) == 2


@pytest.mark.skipif(
    os.name == "nt" or sys.platform == "darwin", reason="names that are not UTF-8 exist on Linux only"
)
def test_a_folder_whose_name_is_not_utf_8_can_be_searched_by_itself(library, photos, picture):
    for folder in (b"caf\xe9", b"caf\xe9s", b"caf"):
        picture(photos / os.fsdecode(folder) / "x.png", (len(folder) * 30, 9, 9))
    picture(photos / "caf" / os.fsdecode(b"\xe9") / "y.png", (200, 200, 9))
    library.index([photos])
    for folder, count in ((b"caf\xe9", 1), (b"caf\xe9s", 1), (b"caf", 2)):
        inside = Filter((photos / os.fsdecode(folder),))
        found = library.catalog.select(inside)
        assert len(found) == count
        assert library.catalog.kept(inside, library.catalog.select(Filter())) == set(found.tolist())


LARGE = """
import sys
from pathlib import Path
import numpy as np
from vitsearch.neighbours.neighbours import Neighbours
rows = np.random.default_rng(int(sys.argv[2])).standard_normal((3000, {dimension})).astype(np.float32)
rows /= np.linalg.norm(rows, axis=1, keepdims=True)
batches = [(np.arange(start, start + 500), rows[start : start + 500]) for start in range(0, 3000, 500)]
{before}
Neighbours.build({dimension}, batches, folder=Path({folder!r}), generation=int(sys.argv[2]), approximate_from=1000)
"""


def build_in_a_process(folder, generation, before="", *, dimension=24):
    code = LARGE.format(before=before, folder=str(folder), dimension=dimension)
    return subprocess.run(
        [sys.executable, "-c", code, "-", str(generation)], capture_output=True, text=True, check=False
    )


def loaded(folder, *, dimension=24):
    return Neighbours.load(folder, dimension=dimension, thorough=True, approximate_from=1000)


@pytest.mark.parametrize("step", ["RowFiles.sync", "Cells.write", "write_manifest"])
def test_a_build_that_is_killed_leaves_the_old_cache_in_use(tmp_path, step):
    folder = tmp_path / "cache"
    assert build_in_a_process(folder, 1).returncode == 0
    name, _, method = step.rpartition(".")
    owner = f"vitsearch.neighbours.committing.{name}" if name else "vitsearch.neighbours.committing"
    kill = f"""
import os, signal, vitsearch.neighbours.committing
setattr({owner}, {method!r}, lambda *a, **o: os.kill(os.getpid(), signal.SIGKILL))
"""
    assert build_in_a_process(folder, 2, kill).returncode == -signal.SIGKILL
    assert loaded(folder).generation == 1
    assert build_in_a_process(folder, 3).returncode == 0
    assert loaded(folder).generation == 3


@pytest.mark.skipif(os.name == "nt", reason="Windows has no limit on the size of files")
@pytest.mark.parametrize(("dimension", "limit"), [(24, 100_000), (4, 25_000)])
def test_a_disk_that_fills_up_while_the_cache_is_built_leaves_the_old_one_and_no_litter(
    tmp_path, dimension, limit
):
    """A limit on the size of files stands in for the full disk: it ends the rows, or FAISS's file."""
    folder = tmp_path / "cache"
    assert build_in_a_process(folder, 1, dimension=dimension).returncode == 0
    before = sorted(folder.iterdir())
    limited = f"""
import resource, signal
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, ({limit}, resource.RLIM_INFINITY))
"""
    done = build_in_a_process(folder, 2, limited, dimension=dimension)
    assert done.stderr.splitlines()[-1].startswith("OSError: [Errno ")
    assert sorted(folder.iterdir()) == before
    assert loaded(folder, dimension=dimension).generation == 1


def test_a_cache_that_cannot_be_written_is_one_line_that_says_what_to_do(library, photos, monkeypatch):
    library.index([photos])
    (cache_folder(library) / "manifest.json").unlink()

    def full(*arguments):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("vitsearch.neighbours.row_files.RowFiles.append", full)
    with pytest.raises(LibraryError) as caught:
        library.index()
    assert str(caught.value) == (
        f"cannot write the search cache to {cache_folder(library)}: No space left on device; make room there, or mend "
        "its permissions"
    )
    monkeypatch.undo()
    assert len(places(library, photos / "03.png")) == 20


@pytest.fixture
def large(tmp_path, photos, monkeypatch):
    """A library whose cache counts as a large one: its rows are not read before a search."""
    monkeypatch.setattr("vitsearch.neighbours.committing.READ_WHOLE_BYTES", 0)
    for method in (Neighbours.build, Neighbours.load):
        monkeypatch.setitem(inspect.unwrap(method).__kwdefaults__, "approximate_from", 1000)
    (tmp_path / "large").mkdir()
    make(tmp_path / "large", photos, 1500)
    with Library.open(tmp_path / "large") as library:
        yield library


def vector_of(library, photo):
    space_id, space = library.catalog.active_space()
    return library.catalog.vectors(space_id, space.dimension, np.array([photo]))[1][0].astype(np.float32)


def ask(library, vector):
    answer = library.search_by_vectors([vector], options=MatchOptions(5, Filter())).results
    return [(match.photo, round(match.score, 4)) for match in answer]


def give_the_row_of(library, photo, other):
    """Overwrite the row of a photo with another photo's: what it says is plausible, and wrong."""
    (path,) = cache_folder(library).glob("rows-*")
    width = library.catalog.active_space()[1].dimension
    rows = np.fromfile(path, np.float16).reshape(-1, width)
    rows[photo - 1] = rows[other - 1]
    with path.open("r+b") as file:  # in place, as a disk does it
        file.write(rows.tobytes())


def is_sound(library):
    try:
        Neighbours.load(
            cache_folder(library), dimension=library.catalog.active_space()[1].dimension, thorough=True
        )
    except StaleCache:
        return False
    return True


def test_a_row_of_a_large_cache_that_is_not_the_librarys_never_answers(large):
    query = vector_of(large, 5)
    expected = ask(large, query)
    give_the_row_of(large, expected[1][0], 5)
    with Library.open(large.folder) as other:
        assert not is_sound(other)
        assert ask(other, query) == expected
        assert is_sound(other)


def test_a_large_cache_is_mended_for_one_search_where_another_run_changes_the_library(large):
    query = vector_of(large, 5)
    expected = ask(large, query)
    give_the_row_of(large, expected[1][0], 5)
    with Library.open(large.folder) as other, write_lock(large.folder):
        assert ask(other, query) == expected
        assert ask(other, query) == expected
        assert not is_sound(other)
    assert ask(large, query) == expected


def test_a_damaged_row_of_a_large_cache_is_found_before_all_rows_are_compared(large):
    give_the_row_of(large, 700, 5)
    with Library.open(large.folder) as other:
        assert_follows(other)
    assert is_sound(large)


def test_an_answer_of_a_cache_that_is_behind_is_not_taken_for_damage(large, monkeypatch):
    query = vector_of(large, 5)
    expected = ask(large, query)
    monkeypatch.setattr(Neighbours, "build", lambda *_, **__: pytest.fail("the cache was built again"))
    monkeypatch.setattr(cache, "_COPIED_BYTES", 0)  # of a smaller library the newest vectors are copied
    with Library.open(large.folder) as other, write_lock(large.folder):
        space_id, _ = large.catalog.active_space()
        ((row,),) = large.catalog.database.rows(
            "SELECT id FROM vectors WHERE space = ? AND photo = ?", [space_id, expected[1][0]]
        )
        large.catalog.drop_vectors([row])
        assert ask(other, query) == expected
