"""Photos and vectors go out to Parquet files and come in from them: from other libraries and other programs."""

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from PIL import Image, PngImagePlugin

from tests.support.mean_colour import MeanColour
from tests.support.summaries import figures, places
from vitsearch.decoding.decoders import Decoders
from vitsearch.engines.parquet.importing import import_parquet
from vitsearch.engines.parquet.writing import export_parquet
from vitsearch.engines.portable import Selection
from vitsearch.errors import LibraryError, LibraryMissing, SpaceMismatch, StoreError
from vitsearch.library import Library

XMP = """<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF xmlns:rdf="http://www.w3.org/1999/02/22-rdf-syntax-ns#">
<rdf:Description xmlns:dc="http://purl.org/dc/elements/1.1/" xmlns:xmp="http://ns.adobe.com/xap/1.0/"
 xmlns:exif="http://ns.adobe.com/exif/1.0/" xmlns:tiff="http://ns.adobe.com/tiff/1.0/"
 xmlns:aux="http://ns.adobe.com/exif/1.0/aux/" xmp:Rating="4" exif:DateTimeOriginal="2015-03-04T05:06:07+09:00"
 tiff:Make="NIKON CORPORATION" tiff:Model="NIKON D850" aux:Lens="50mm f/1.8" exif:GPSAltitude="1041/2"
 exif:GPSAltitudeRef="0" exif:GPSLatitude="33,51.4N" exif:GPSLongitude="70,30.0W">
<dc:subject><rdf:Bag><rdf:li>lake</rdf:li><rdf:li>boat</rdf:li></rdf:Bag></dc:subject>
<dc:description><rdf:Alt><rdf:li xml:lang="x-default">On the lake</rdf:li></rdf:Alt></dc:description>
</rdf:Description></rdf:RDF></x:xmpmeta>"""

COLOURS = ("red", "green", "blue", "orange", "purple", "brown")


@pytest.fixture
def photos(tmp_path, picture):
    folder = tmp_path / "photos"
    for colour in COLOURS:
        picture(folder / f"{colour}.png", colour)
    return folder


@pytest.fixture
def indexed(library, photos):
    library.index([photos])
    return library


@pytest.fixture
def others_backbone():
    return MeanColour()


@pytest.fixture
def other(tmp_path, others_backbone):
    """The library of another machine."""
    with Library.open(tmp_path / "other", backbone=others_backbone) as opened:
        yield opened


def exported(library, target, *, folders=(), **options):
    return export_parquet(Selection.of(library, folders), target, **options)


def vectors(library):
    """Every stored vector by its photo's hash."""
    return dict(
        library.catalog.database.rows(
            "SELECT p.photo_hash, v.vector FROM vectors v JOIN photos p ON p.id = v.photo ORDER BY p.photo_hash"
        )
    )


def everything(library):
    """All that a library holds, except how far its counters are."""
    dump = library.catalog.database.connection.iterdump()
    return [line for line in dump if "sqlite_sequence" not in line]


def rewritten(source, target, **columns):
    """A copy of a Parquet file with some columns replaced; None drops one."""
    table = pq.read_table(source)
    for name, values in columns.items():
        place = table.schema.get_field_index(name)
        table = table.drop_columns([name]) if values is None else table.set_column(place, name, values)
    pq.write_table(table, target)
    return target


class TestExport:
    def test_a_file_holds_facts_places_and_vectors_exactly_as_stored(self, indexed, photos, tmp_path):
        report = exported(indexed, tmp_path / "out.parquet")
        table = pq.read_table(tmp_path / "out.parquet")
        assert report.photos == table.num_rows == len(COLOURS)
        rows = {row["path"]: row for row in table.to_pylist()}
        assert sorted(rows) == sorted(str(photos / f"{colour}.png") for colour in COLOURS)
        red = rows[str(photos / "red.png")]
        assert (red["format"], red["width"], red["height"], red["model"]) == ("PNG", 64, 48, "mean-colour")
        (place,) = red["files"]
        info = (photos / "red.png").stat()
        assert (place["root"], place["path"]) == (str(photos), "red.png")
        assert (place["size"], place["modified_ns"]) == (info.st_size, info.st_mtime_ns)
        stored = vectors(indexed)
        for row in rows.values():
            assert np.array(row["vector"], "<f2").tobytes() == stored[bytes.fromhex(row["photo"])]

    def test_duckdb_finds_neighbours_in_a_file(self, indexed, photos, tmp_path):
        exported(indexed, tmp_path / "out.parquet")
        found = duckdb.execute(
            f"SELECT b.path FROM '{tmp_path}/out.parquet' a, '{tmp_path}/out.parquet' b "
            f"WHERE a.path = '{photos}/orange.png' AND b.photo <> a.photo "
            "ORDER BY list_cosine_similarity(a.vector, b.vector) DESC LIMIT 2"
        ).fetchall()
        matches = indexed.search(photos / "orange.png", k=2).results
        assert [path for (path,) in found] == [str(match.path) for match in matches]

    def test_numpy_gets_the_vectors_as_one_matrix_without_a_copy_for_each(self, indexed, tmp_path):
        exported(indexed, tmp_path / "out.parquet", precision="float32")
        column = pq.read_table(tmp_path / "out.parquet").column("vector").combine_chunks()
        matrix = column.flatten().to_numpy().reshape(-1, 13)
        assert matrix.dtype == np.float32
        assert np.allclose(np.linalg.norm(matrix, axis=1), 1, atol=1e-3)

    def test_shards_hold_every_photo_once_and_are_named_as_datasets_expects(self, indexed, tmp_path):
        report = exported(indexed, tmp_path / "out.parquet", shards=4)
        assert [file.name for file in report.files] == [f"out-0000{n}-of-00004.parquet" for n in range(4)]
        counts = [pq.ParquetFile(file).metadata.num_rows for file in report.files]
        assert max(counts) - min(counts) <= 1
        paths = [path for file in report.files for path in pq.read_table(file).column("path").to_pylist()]
        assert len(set(paths)) == len(paths) == len(COLOURS)

    def test_in_takes_only_photos_below_a_folder(self, library, photos, picture, tmp_path):
        picture(photos / "inner/pink.png", "pink")
        library.index([photos])
        assert exported(library, tmp_path / "out.parquet", folders=(photos / "inner",)).photos == 1

    def test_an_export_that_fails_leaves_the_old_file_and_nothing_else(self, indexed, tmp_path, monkeypatch):
        exported(indexed, tmp_path / "out.parquet")
        before = (tmp_path / "out.parquet").read_bytes()
        monkeypatch.setattr(
            Selection, "photos", lambda *_: (_ for _ in ()).throw(OSError(28, "No space left"))
        )
        with pytest.raises(StoreError, match=r"No space left.*make room"):
            exported(indexed, tmp_path / "out.parquet")
        assert (tmp_path / "out.parquet").read_bytes() == before
        assert [path.name for path in tmp_path.iterdir() if path.name.startswith(".")] == []

    def test_what_a_killed_export_left_is_removed_by_the_next(self, indexed, tmp_path):
        left = tmp_path / f".vitsearch-{'0f' * 8}.tmp"
        left.write_bytes(b"half")
        os.utime(left, (0, 0))
        exported(indexed, tmp_path / "out.parquet")
        assert [path.name for path in tmp_path.glob(".*")] == []

    @pytest.mark.skipif(sys.platform != "linux", reason="other systems refuse such names")
    def test_a_name_that_is_not_utf8_comes_back_as_it_was(self, library, other, photos, picture, tmp_path):
        odd = os.fsencode(photos / "caf") + b"\xe9.png"
        shutil.copy(picture(tmp_path / "one.png", "navy"), odd)
        library.index([photos])
        exported(library, tmp_path / "out.parquet", folders=(photos,))
        named = duckdb.execute(f"SELECT path FROM '{tmp_path}/out.parquet'").fetchall()
        assert (f"{photos}/caf\\xe9.png",) in named
        import_parquet(other, [tmp_path / "out.parquet"])
        assert Path(os.fsdecode(odd)) in places(other, tmp_path / "one.png")

    def test_an_empty_place_and_a_library_that_is_none_say_so(self, library, tmp_path):
        with pytest.raises(LibraryMissing, match="vitsearch index"):
            exported(library, tmp_path / "out.parquet")


class TestMergingLibraries:
    def test_a_lost_library_is_restored_with_nothing_embedded(self, indexed, other, photos, tmp_path):
        exported(indexed, tmp_path / "out.parquet", shards=3)
        report = import_parquet(other, sorted(tmp_path.glob("out-*.parquet")))
        assert (report.photos, report.vectors, report.here, report.elsewhere) == (6, 6, 6, 0)
        assert report.searched
        assert vectors(other) == vectors(indexed)
        assert places(other, photos / "red.png") == places(indexed, photos / "red.png")
        assert figures(other.index()) == {"photos": 6, "files": 6, "unchanged": 6}

    def test_vectors_come_back_to_the_last_bit(self, library, other, photos, picture, tmp_path):
        for number in range(100):
            picture(photos / f"{number}.png", (number * 2, 255 - number * 2, number), size=(8, 8))
        library.index([photos])
        for precision in ("float16", "float32"):
            exported(library, tmp_path / f"{precision}.parquet", precision=precision)
            import_parquet(other, [tmp_path / f"{precision}.parquet"])
            assert vectors(other) == vectors(library)

    def test_an_import_again_changes_nothing(self, indexed, other, tmp_path):
        exported(indexed, tmp_path / "out.parquet")
        import_parquet(other, [tmp_path / "out.parquet"])
        before = everything(other)
        report = import_parquet(other, [tmp_path / "out.parquet"])
        assert (report.photos, report.vectors) == (6, 0)
        assert everything(other) == before

    def test_a_folder_of_another_machine_is_offline_until_it_is_relocated(
        self, indexed, other, others_backbone, photos, tmp_path
    ):
        exported(indexed, tmp_path / "out.parquet")
        photos.rename(tmp_path / "mounted")
        report = import_parquet(other, [tmp_path / "out.parquet"])
        assert (report.here, report.elsewhere, report.offline_roots) == (0, 6, (photos,))
        assert [(root.path, root.online) for root in other.roots()] == [(photos, False)]
        query = tmp_path / "mounted/red.png"
        assert other.search(query, include_self=True).results == ()
        other.relocate_root(photos, tmp_path / "mounted")
        assert len(places(other, query)) == 6
        assert others_backbone.embedded == 0

    def test_a_folder_of_another_system_can_be_relocated_by_the_name_that_it_has_there(
        self, indexed, other, photos, tmp_path
    ):
        exported(indexed, tmp_path / "out.parquet")
        table = pq.read_table(tmp_path / "out.parquet")
        files = [
            [{**file, "root": r"C:\Photos"} for file in row] for row in table.column("files").to_pylist()
        ]
        rewritten(
            tmp_path / "out.parquet",
            tmp_path / "windows.parquet",
            files=pa.array(files, table.schema.field("files").type),
        )
        import_parquet(other, [tmp_path / "windows.parquet"])
        other.relocate_root(r"C:\Photos", photos)
        assert places(other, photos / "red.png") == places(indexed, photos / "red.png")

    def test_vectors_from_elsewhere_belong_to_files_here_that_hold_the_same_photos(
        self, indexed, other, photos, picture, tmp_path
    ):
        exported(indexed, tmp_path / "out.parquet")
        copy = tmp_path / "here"
        shutil.copytree(photos, copy)
        photos.rename(tmp_path / "gone")
        for path in copy.iterdir():
            path.rename(path.with_name(f"renamed-{path.name}"))
        picture(copy / "new.png", "teal")
        import_parquet(other, [tmp_path / "out.parquet"])
        report = other.index([copy])
        assert (report.embedded, report.photos) == (1, 7)

    def test_the_same_folder_name_on_another_machine_gives_no_place_to_a_file_that_is_not_here(
        self, indexed, other, photos, picture, tmp_path
    ):
        exported(indexed, tmp_path / "out.parquet")
        shutil.rmtree(photos)
        picture(photos / "mine.png", "teal")
        other.index([photos])
        report = import_parquet(other, [tmp_path / "out.parquet"])
        assert (report.here, report.elsewhere, report.vectors) == (0, 0, 6)
        assert places(other, photos / "mine.png") == [photos / "mine.png"]

    def test_two_machines_with_a_folder_of_one_name_are_told_apart_by_relocate(
        self, other, photos, picture, tmp_path
    ):
        shutil.rmtree(photos)
        exports = []
        for name, colours in (("laptop", ("red", "green")), ("desktop", ("blue", "green"))):
            for number, colour in enumerate(colours):
                picture(photos / f"{number}.png", colour)
            with Library.open(tmp_path / name, backbone=MeanColour()) as machine:
                machine.index([photos])
                exports.append(exported(machine, tmp_path / f"{name}.parquet").files[0])
            shutil.rmtree(photos)
        import_parquet(other, exports[:1])
        assert import_parquet(other, exports[1:]).taken == 1
        report = import_parquet(other, exports[1:], relocate={str(photos): str(tmp_path / "desk")})
        assert (report.taken, report.photos) == (0, 2)
        assert [(str(root.path), root.files) for root in other.roots()] == [
            (str(tmp_path / "desk"), 2),
            (str(photos), 2),
        ]

    def test_one_photo_of_two_machines_is_one_photo_and_the_own_facts_win(
        self, library, other, picture, tmp_path
    ):
        for machine, camera in ((library, "Theirs"), (other, "Mine")):
            tags = Image.Exif()
            tags[0x0110] = camera
            picture(tmp_path / camera / "a.jpg", "red", exif=tags)
            machine.index([tmp_path / camera])
        exported(library, tmp_path / "out.parquet")
        report = import_parquet(other, [tmp_path / "out.parquet"])
        assert (report.photos, report.vectors) == (1, 0)
        (match,) = other.search(tmp_path / "Mine/a.jpg", include_self=True).results
        assert match.camera == "Mine"
        assert match.other_paths == (tmp_path / "Theirs/a.jpg",)

    def test_all_facts_of_a_photo_travel(self, library, other, tmp_path):
        notes = PngImagePlugin.PngInfo()
        notes.add_itxt("XML:com.adobe.xmp", XMP)
        (tmp_path / "told").mkdir()
        Image.new("RGB", (20, 10), "red").save(tmp_path / "told/a.png", pnginfo=notes)
        library.index([tmp_path / "told"])
        exported(library, tmp_path / "out.parquet")
        assert import_parquet(other, [tmp_path / "out.parquet"]).photos == 1
        (there,) = library.catalog.photos([1]).values()
        (here,) = other.catalog.photos([1]).values()
        assert here.facts == there.facts
        assert (here.facts.keywords, here.facts.rating, here.facts.caption) == (
            ("lake", "boat"),
            4,
            "On the lake",
        )
        assert (here.facts.taken_from, here.facts.utc_offset, here.facts.lens) == (
            "XMP",
            "+09:00",
            "50mm f/1.8",
        )
        assert (here.facts.altitude, here.facts.camera) == (520.5, "Nikon D850")

    def test_facts_that_make_no_sense_are_left_out(self, library, other, tmp_path):
        columns = {
            "photo": ["0" * 64],
            "path": ["a.png"],
            "width": pa.array([2], pa.int32()),
            "height": pa.array([2], pa.int32()),
            "taken": ["yesterday"],
            "taken_from": ["guess"],
            "utc_offset": ["late"],
            "altitude": [float("inf")],
            "rating": [77],
            "lens": ["a\x1b[2Jb"],
            "keywords": [["ok", "\x07", "x" * 9000, None]],
            "vector": pa.array([[1.0] + [0.0] * 12], pa.list_(pa.float32())),
        }
        table = pa.table(columns).replace_schema_metadata(
            {b"vitsearch.space": MeanColour().space.to_json(), b"vitsearch.format": "1"}
        )
        pq.write_table(table, tmp_path / "odd.parquet")
        assert import_parquet(other, [tmp_path / "odd.parquet"]).photos == 1
        (row,) = other.catalog.photos([1]).values()
        known = row.facts
        assert (
            known.taken,
            known.taken_from,
            known.utc_offset,
            known.altitude,
            known.rating,
            known.lens,
        ) == (None,) * 6
        assert known.keywords == ("ok", "x" * 200)

    def test_an_import_that_is_killed_is_mended_by_the_next(self, library, photos, picture, tmp_path):
        for number in range(60):
            picture(photos / f"more/{number}.png", (number, 250 - number, 3 * number % 256))
        library.index([photos])
        exported(library, tmp_path / "out.parquet")
        code = f"""
import sys
from pathlib import Path
from vitsearch.library import Library
from vitsearch.engines.parquet import importing
from vitsearch.engines.parquet import reading as parquet_reading
parquet_reading._ROWS_AT_ONCE = 7
store = importing.Merge.by_content
def slowly(self, rows):
    store(self, rows)
    print("batch", flush=True)
    sys.stdin.readline()
importing.Merge.by_content = slowly
with Library.open({str(tmp_path / "killed")!r}) as library:
    importing.import_parquet(library, [Path({str(tmp_path / "out.parquet")!r})])
"""
        process = subprocess.Popen(
            [sys.executable, "-c", code], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )
        for _ in range(3):
            assert process.stdout is not None
            assert process.stdout.readline() == "batch\n"
            assert process.stdin is not None
            process.stdin.write("\n")
            process.stdin.flush()
        process.send_signal(signal.SIGKILL)
        process.communicate()
        with Library.open(tmp_path / "killed", backbone=MeanColour()) as killed:
            report = import_parquet(killed, [tmp_path / "out.parquet"])
            assert 0 < report.vectors < 66
            assert vectors(killed) == vectors(library)
            assert len(places(killed, photos / "red.png")) == 66

    def test_vectors_of_another_model_stand_beside_the_own_until_change_model(
        self, indexed, other, photos, tmp_path
    ):
        exported(indexed, tmp_path / "out.parquet")
        with Library.open(tmp_path / "third", backbone=MeanColour(model="other-colour")) as third:
            third.index([photos])
            report = import_parquet(third, [tmp_path / "out.parquet"])
            assert (report.model, report.searched, report.vectors) == ("mean-colour", False, 6)
            assert third.search(photos / "red.png").model == "other-colour"
            report = import_parquet(third, [tmp_path / "out.parquet"], change_model=True)
            assert report.searched
            assert third.search(photos / "red.png").model == "mean-colour"


class TestHostileFiles:
    @pytest.fixture
    def out(self, indexed, tmp_path):
        exported(indexed, tmp_path / "out.parquet")
        return tmp_path / "out.parquet"

    def matrix(self, rows):
        rows = np.asarray(rows, np.float32)
        return pa.FixedSizeListArray.from_arrays(pa.array(rows.ravel()), rows.shape[1])

    def test_rows_that_are_not_as_they_should_be_are_left_out_with_a_reason(self, out, other, tmp_path):
        rows = np.stack(
            [np.array(row, np.float32) for row in pq.read_table(out).column("vector").to_pylist()]
        )
        rows[0, 3] = np.nan
        rows[1] *= 3
        rows[2] = 0
        hashes = pq.read_table(out).column("photo").to_pylist()
        hashes[3] = "../../etc/passwd"
        bad = rewritten(out, tmp_path / "bad.parquet", vector=self.matrix(rows), photo=pa.array(hashes))
        report = import_parquet(other, [bad])
        assert (report.photos, report.refused) == (2, 4)
        assert [(row.row, row.reason) for row in report.reasons] == [
            (0, "its vector is not finite"),
            (1, "its vector has the length 3.000, not 1"),
            (2, "its vector is zero"),
            (3, "its photo hash is not 64 hexadecimal digits"),
        ]

    @pytest.mark.parametrize("path", ["../../../etc/passwd", "/etc/passwd", "a/../../b", "", "a\0b"])
    def test_no_row_can_name_a_file_outside_of_its_folder(self, out, other, tmp_path, path):
        table = pq.read_table(out)
        files = [[{**file, "path": path} for file in row] for row in table.column("files").to_pylist()]
        bad = rewritten(
            out, tmp_path / "bad.parquet", files=pa.array(files, table.schema.field("files").type)
        )
        import_parquet(other, [bad])
        assert other.catalog.database.scalar("SELECT count(*) FROM files") == 0

    def test_files_that_cannot_be_used_are_named_with_the_reason(self, out, other, tmp_path):
        (tmp_path / "text.parquet").write_text("PAR1 this is none")
        (tmp_path / "cut.parquet").write_bytes(out.read_bytes()[:-100])
        (tmp_path / "empty.parquet").touch()
        pq.write_table(pa.table({"path": ["a"], "embedding": [[1.0]]}), tmp_path / "names.parquet")
        pq.write_table(pa.table({"path": ["a"], "vector": ["x"]}), tmp_path / "kind.parquet")
        pq.write_table(pa.table({"path": ["a"], "vector": [[1.0, 2.0]]}), tmp_path / "model.parquet")
        pq.write_table(pa.table({"vector": [[1.0, 2.0]], "model": ["m"]}), tmp_path / "path.parquet")
        for name, words in {
            "text": "text.parquet: it is no Parquet file, or not all of it is there: export it again, or copy",
            "cut": "cannot read .*: it is no Parquet file, or not all of it is there",
            "empty": "cannot read .*: it is no Parquet file, or not all of it is there",
            "missing": "cannot read .*: No such file or directory",
            "names": "no column `vector`: rename yours",
            "kind": "not lists of numbers",
            "model": "name it with --model",
            "path": "no column `path`",
        }.items():
            with pytest.raises(StoreError, match=words) as caught:
                import_parquet(other, [tmp_path / f"{name}.parquet"])
            assert "\n" not in str(caught.value)
        assert not (tmp_path / "other").exists()

    def test_a_file_of_another_dimension_than_its_space_is_refused(self, out, other, tmp_path):
        bad = rewritten(out, tmp_path / "bad.parquet", vector=self.matrix(np.eye(6, 7)))
        with pytest.raises(StoreError, match="7 dimensions, not 13"):
            import_parquet(other, [bad])

    def test_a_flipped_byte_never_brings_a_traceback(self, out, tmp_path):
        data = bytearray(out.read_bytes())
        random = np.random.default_rng(1)
        for attempt in range(25):
            broken = bytearray(data)
            for place in random.integers(0, len(data), 8):
                broken[place] ^= 0xFF
            (tmp_path / "flipped.parquet").write_bytes(broken)
            with (
                Library.open(tmp_path / f"flip-{attempt}", backbone=MeanColour()) as library,
                contextlib.suppress(StoreError, LibraryError),
            ):
                import_parquet(library, [tmp_path / "flipped.parquet"])


class TestVectorsOfOtherPrograms:
    @pytest.fixture
    def theirs(self, photos, tmp_path):
        """Vectors that somebody's own script made: a path, numbers of any length, a name."""
        random = np.random.default_rng(3)
        rows = random.standard_normal((len(COLOURS), 5)) * 4
        paths = [str(photos / f"{colour}.png") for colour in COLOURS]
        table = pa.table({"path": paths, "vector": rows.tolist(), "model": ["my-net"] * len(rows)})
        pq.write_table(table, tmp_path / "theirs.parquet")
        return rows / np.linalg.norm(rows, axis=1, keepdims=True)

    def test_they_are_searched_with_photos_that_they_name(self, theirs, photos, tmp_path):
        with Library.open(tmp_path / "library") as library:
            report = import_parquet(library, [tmp_path / "theirs.parquet"], root=photos)
            assert (report.photos, report.vectors, report.model, report.searched) == (6, 6, "my-net", True)
            matches = library.search(photos / "red.png", k=5).results
        scores = theirs @ theirs[0]
        expected = [photos / f"{COLOURS[i]}.png" for i in np.argsort(-scores) if i]
        assert [match.path for match in matches] == expected
        assert matches[0].score == pytest.approx(np.sort(scores)[-2], abs=2e-3)

    def test_a_folder_that_is_not_there_does_not_become_a_root(self, theirs, photos, tmp_path):
        with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
            library.index([photos])
            with pytest.raises(LibraryError, match="typo does not exist"):
                import_parquet(library, [tmp_path / "theirs.parquet"], root=tmp_path / "typo")
            assert [root.path for root in library.roots()] == [photos]

    def test_a_photo_that_they_do_not_name_cannot_be_asked_about(self, theirs, photos, picture, tmp_path):
        with Library.open(tmp_path / "library") as library:
            import_parquet(library, [tmp_path / "theirs.parquet"], root=photos)
            with pytest.raises(SpaceMismatch, match="vectors of my-net were imported"):
                library.search(picture(tmp_path / "new.png", "teal"))

    def test_they_name_a_folder_or_are_asked_for_it(self, theirs, photos, tmp_path):
        with (
            Library.open(tmp_path / "library") as library,
            pytest.raises(StoreError, match=r"in no folder of the library: .* --root"),
        ):
            import_parquet(library, [tmp_path / "theirs.parquet"])

    def test_photos_that_cannot_be_read_are_left_out_with_a_reason(self, theirs, photos, tmp_path):
        (photos / "red.png").unlink()
        (photos / "green.png").write_text("no photo")
        with Library.open(tmp_path / "library") as library:
            report = import_parquet(library, [tmp_path / "theirs.parquet"], root=photos)
        assert (report.photos, report.refused) == (4, 2)
        assert "red.png: No such file" in report.reasons[0].reason

    def test_a_photo_that_kills_its_decoder_is_left_out_with_a_reason(
        self, theirs, photos, tmp_path, monkeypatch
    ):
        with (photos / "red.png").open("ab") as file:
            file.write(b"HEADER")
        monkeypatch.setitem(Decoders.__init__.__kwdefaults__, "program", "tests.support.hostile_decoder")
        with Library.open(tmp_path / "library") as library:
            report = import_parquet(library, [tmp_path / "theirs.parquet"], root=photos)
        assert (report.photos, report.refused) == (5, 1)
        assert "red.png: the decoder crashed on it (SIGSEGV)" in report.reasons[0].reason

    def test_under_the_name_of_the_librarys_model_they_have_to_be_that_models(
        self, indexed, theirs, photos, picture, tmp_path
    ):
        right = tmp_path / "right.parquet"
        new = picture(photos / "new.png", "teal")
        model = MeanColour()
        rows = model.embed_batch(
            np.stack([model.prepare(Image.open(path)) for path in (photos / "red.png", new)])
        ).rows
        table = {"path": [str(photos / "red.png"), str(new)], "model": ["mean-colour"] * 2}
        pq.write_table(pa.table({**table, "vector": rows.tolist()}), right)
        assert import_parquet(indexed, [right]).vectors == 1
        assert new in places(indexed, photos / "red.png")
        wrong = tmp_path / "wrong.parquet"
        pq.write_table(pa.table({**table, "vector": rows[::-1].tolist()}), wrong)
        with pytest.raises(SpaceMismatch, match=r"not those that mean-colour gives here \(cosine 0\.\d+"):
            import_parquet(indexed, [wrong])


class TestCommands:
    def test_export_and_import_say_in_json_what_they_did(self, indexed, photos, answer, tmp_path):
        out = tmp_path / "out.parquet"
        report = answer("export", "--to", out)
        assert report == {
            "files": [str(out)],
            "photos": 6,
            "model": "mean-colour",
            "bytes": out.stat().st_size,
        }
        report = answer("--library", tmp_path / "new", "import", out)
        del report["seconds"]
        assert report == {
            "files": [str(out)],
            "photos": 6,
            "vectors": 6,
            "here": 6,
            "elsewhere": 0,
            "taken": 0,
            "offline_roots": [],
            "refused": 0,
            "reasons": [],
            "model": "mean-colour",
            "searched": True,
        }
        assert len(answer("--library", tmp_path / "new", "search", photos / "red.png")["results"]) == 5

    def test_a_person_is_told_what_to_do_about_folders_that_are_not_here(
        self, indexed, photos, run, tmp_path
    ):
        run("export", "--to", tmp_path / "out.parquet")
        photos.rename(tmp_path / "away")
        done = run("--library", tmp_path / "new", "import", tmp_path / "out.parquet")
        assert done.returncode == 0
        assert done.stdout == "6 photos: 6 new vectors of mean-colour\n"
        assert f"6 photos only in folders that are not here:\n  {photos}\n" in done.stderr
        done = run("--library", tmp_path / "new", "roots", "relocate", photos, tmp_path / "away")
        assert done.returncode == 0

    def test_wrong_usage_is_one_line(self, run, tmp_path):
        done = run("export", "--to", "photos.csv")
        assert (done.returncode, done.stdout) == (2, "")
        done = run("import", tmp_path / "none.parquet")
        assert (done.returncode, len(done.stderr.splitlines())) == (1, 1)
