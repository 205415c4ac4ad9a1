"""What a walk over a folder yields, in which order, and what it never touches."""

import os
import shutil
import socket
import time

import pytest

from vitsearch.errors import VitsearchError
from vitsearch.folders.scan import Passed, PhotoFolder, Skipped, walk, walk_folders
from vitsearch.photos.formats import looks_like_image
from vitsearch.records import FoundFile

JPEG_HEAD = b"\xff\xd8\xff\xe0\x00\x10JFIF"


def touch(path, content=b""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)
    return path


def found(root, *, below=""):
    return [item.relative for item in walk(root, below=below) if isinstance(item, FoundFile)]


def skipped(root):
    return [item for item in walk(root) if isinstance(item, Skipped)]


def test_files_come_sorted_by_path_with_their_size_and_time(tmp_path):
    for name in ("b.jpg", "a/z.png", "a/B.PNG", "a.jpg", "c/d/e.webp"):
        touch(tmp_path / name, b"123")
    os.utime(tmp_path / "b.jpg", ns=(1, 1_700_000_000_123_456_789))
    items = [item for item in walk(tmp_path) if isinstance(item, FoundFile)]
    assert [item.relative for item in items] == ["a/B.PNG", "a/z.png", "a.jpg", "b.jpg", "c/d/e.webp"]
    assert [item.path for item in items] == sorted(item.path for item in items)
    assert items[3] == FoundFile(tmp_path, "b.jpg", 3, 1_700_000_000_123_456_789)


def test_a_folder_of_photos_alone_comes_in_one_piece(tmp_path):
    for name in ("b.jpg", "A.JPG", "c.png"):
        touch(tmp_path / "photos" / name, b"12")
    (tmp_path / "photos" / "link.jpg").symlink_to(tmp_path / "photos" / "b.jpg")
    (folder,) = walk_folders(tmp_path)
    assert isinstance(folder, PhotoFolder)
    assert folder.paths == ["photos/A.JPG", "photos/b.jpg", "photos/c.png", "photos/link.jpg"]
    assert [folder.file(place) for place in range(4)] == list(walk(tmp_path))
    assert folder.file(3).size == 2


@pytest.mark.parametrize("beside", [".hidden.jpg", "folder.jpg/inner.jpg", "video.mp4", "jpg", "broken.jpg"])
def test_what_lies_among_photos_is_seen_for_what_it_is(tmp_path, beside):
    for name in ("a.jpg", "z.jpg"):
        touch(tmp_path / name, b"12")
    if beside == "broken.jpg":
        (tmp_path / beside).symlink_to(tmp_path / "nowhere")
    else:
        touch(tmp_path / beside, b"text")
    expected = {"folder.jpg/inner.jpg": ["a.jpg", "folder.jpg/inner.jpg", "z.jpg"]}
    assert found(tmp_path) == expected.get(beside, ["a.jpg", "z.jpg"])
    assert [item.path.name for item in skipped(tmp_path)] == ["broken.jpg"] * (beside == "broken.jpg")


@pytest.mark.parametrize(
    "extension",
    "jpg JPEG jpe jfif png webp gif tif TIFF bmp avif heic HEIF hif mpo".split(),
)
def test_every_extension_of_an_image_is_yielded_whatever_the_file_holds(tmp_path, extension):
    touch(tmp_path / f"photo.{extension}", b"not an image")
    assert found(tmp_path) == [f"photo.{extension}"]


@pytest.mark.parametrize(
    "head",
    [
        JPEG_HEAD,
        b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR",
        b"GIF89a",
        b"GIF87a",
        b"II*\x00",
        b"MM\x00*",
        b"RIFF\x10\0\0\0WEBPVP8 ",
        b"\0\0\0\x18ftypheic",
        b"\0\0\0\x1cftypavif",
        b"\0\0\0\x18ftypmif1",
    ],
)
def test_images_without_or_with_an_unknown_extension_are_found_by_their_first_bytes(tmp_path, head):
    assert looks_like_image(head)
    for name in ("IMG_1234", "photo.jpg_original", "photo.dat"):
        touch(tmp_path / name, head + bytes(16))
    assert found(tmp_path) == ["IMG_1234", "photo.dat", "photo.jpg_original"]


@pytest.mark.parametrize(
    "head", [b"", b"\xff", b"BM", b"RIFF\x10\0\0\0WAVEfmt ", b"\0\0\0\x18ftypmp42", b"%PDF"]
)
def test_files_that_neither_look_nor_are_named_like_images_are_left_out(tmp_path, head):
    assert not looks_like_image(head)
    touch(tmp_path / "thing", head)
    touch(tmp_path / "thing.dat", head)
    assert found(tmp_path) == []


def test_documents_and_videos_are_left_out_by_name(tmp_path):
    for name in ("a.txt", "b.mp4", "c.PDF", "e.xmp", "f.svg"):
        touch(tmp_path / name, JPEG_HEAD)
    assert found(tmp_path) == []


def test_what_is_left_out_is_counted_by_kind(tmp_path):
    for name in (
        "a.txt",
        "b.mp4",
        "c.MOV",
        "d.mp3",
        "e.xmp",
        "Thumbs.db",
        "f.dng",
        "g.JPG",
        "g.CR2",
        "h.EPS",
        "i.pcx",
        "j.svg",
        ".hidden",
    ):
        touch(tmp_path / name, b"")
    passed = [(item.path.name, item.kind) for item in walk(tmp_path) if isinstance(item, Passed)]
    assert found(tmp_path) == ["f.dng", "g.JPG"]
    assert passed == [
        ("a.txt", "file that is no image"),
        ("b.mp4", "video"),
        ("c.MOV", "video"),
        ("d.mp3", "sound"),
        ("g.CR2", "raw file beside its photo"),
        ("h.EPS", "image of a kind that is not read"),
        ("i.pcx", "image of a kind that is not read"),
        ("j.svg", "image of a kind that is not read"),
    ]


@pytest.mark.parametrize(
    "folder",
    [
        ".git",
        ".thumbnails",
        ".Trash-1000",
        "@eaDir",
        "@EADIR",
        "#recycle",
        "$RECYCLE.BIN",
        "$Recycle.Bin",
        "System Volume Information",
        "lost+found",
        "__MACOSX",
    ],
)
def test_hidden_and_system_folders_are_not_entered(tmp_path, folder):
    touch(tmp_path / "trip" / folder / "deep" / "a.jpg")
    touch(tmp_path / "trip" / ".hidden.jpg")
    touch(tmp_path / "trip" / "b.jpg")
    assert list(walk(tmp_path)) == [
        FoundFile(tmp_path, "trip/b.jpg", 0, (tmp_path / "trip/b.jpg").stat().st_mtime_ns)
    ]


def test_a_hidden_folder_is_walked_when_it_is_what_was_asked_for(tmp_path):
    touch(tmp_path / ".photos" / "a.jpg")
    assert found(tmp_path / ".photos") == ["a.jpg"]


def test_ignore_files_are_gitignore_patterns_from_their_own_folder_down(tmp_path):
    touch(tmp_path / ".vitsearchignore", b"# screenshots\nScreenshot*\n/private/\n*.gif\n!keep.gif\n")
    touch(tmp_path / "trip/.vitsearchignore", b"raw/\n")
    for name in (
        "Screenshot 1.png",
        "private/a.jpg",
        "keep.gif",
        "other.gif",
        "trip/Screenshot 2.png",
        "trip/private/b.jpg",
        "trip/raw/c.jpg",
        "raw/d.jpg",
        "trip/e.jpg",
    ):
        touch(tmp_path / name)
    assert found(tmp_path) == ["keep.gif", "raw/d.jpg", "trip/e.jpg", "trip/private/b.jpg"]


def test_a_walk_of_a_subfolder_minds_the_ignore_files_above_it(tmp_path):
    touch(tmp_path / ".vitsearchignore", b"/2024/private/\n*.gif\n")
    touch(tmp_path / "2024/.vitsearchignore", b"raw/\n")
    for name in ("2024/private/a.jpg", "2024/b.jpg", "2024/c.gif", "2024/may/raw/d.jpg", "2024/may/e.jpg"):
        touch(tmp_path / name)
    assert found(tmp_path, below="2024/") == ["2024/b.jpg", "2024/may/e.jpg"]
    assert found(tmp_path, below="2024/may/") == ["2024/may/e.jpg"]


def test_an_ignore_file_that_is_not_text_is_named_in_one_line(tmp_path):
    touch(tmp_path / "a.jpg")
    touch(tmp_path / ".vitsearchignore", b"\xff\xfe\x00*")
    with pytest.raises(VitsearchError, match=r"cannot use .*\.vitsearchignore: .*; mend or remove it"):
        found(tmp_path)


def test_an_ignore_file_that_is_a_pipe_is_never_opened(tmp_path):
    touch(tmp_path / "a.jpg")
    os.mkfifo(tmp_path / ".vitsearchignore")
    with pytest.raises(VitsearchError, match="not a regular file"):
        found(tmp_path)


def test_a_walk_narrowed_to_a_subfolder_keeps_paths_relative_to_the_root(tmp_path):
    for name in ("a.jpg", "2024/b.jpg", "2024/may/c.jpg", "2024b/d.jpg"):
        touch(tmp_path / name)
    assert found(tmp_path, below="2024/") == ["2024/b.jpg", "2024/may/c.jpg"]
    assert found(tmp_path, below="2024/may/") == ["2024/may/c.jpg"]


def test_links_to_folders_are_followed_and_no_folder_is_entered_twice(tmp_path):
    root, elsewhere = tmp_path / "root", tmp_path / "elsewhere"
    touch(root / "a/b/c.jpg")
    touch(elsewhere / "d.jpg")
    (root / "a/b/up").symlink_to(root)
    (root / "a/b/self").symlink_to(".")
    (root / "z-link").symlink_to(elsewhere)
    (root / "z-link-again").symlink_to(elsewhere)
    (elsewhere / "back").symlink_to(root / "a")
    assert found(root) == ["a/b/c.jpg", "z-link/d.jpg"]
    assert skipped(root) == []


def test_links_to_files_are_files_and_broken_links_are_reported(tmp_path):
    touch(tmp_path / "real.jpg", b"12345")
    (tmp_path / "link.jpg").symlink_to("real.jpg")
    (tmp_path / "gone.jpg").symlink_to("nowhere.jpg")
    (tmp_path / "loop.jpg").symlink_to("loop.jpg")
    (tmp_path / "gone").symlink_to("nowhere")
    assert [(item.relative, item.size) for item in walk(tmp_path) if isinstance(item, FoundFile)] == [
        ("link.jpg", 5),
        ("real.jpg", 5),
    ]
    assert skipped(tmp_path) == [
        Skipped(tmp_path / "gone.jpg", "No such file or directory"),
        Skipped(tmp_path / "loop.jpg", "Too many levels of symbolic links"),
    ]


def test_pipes_sockets_and_devices_are_never_opened(tmp_path):
    os.mkfifo(tmp_path / "pipe.jpg")
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "zero.jpg").symlink_to("/dev/zero")
    (tmp_path / "folder.jpg").mkdir()
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(tmp_path / "socket.jpg"))
        touch(tmp_path / "photo.jpg")
        assert found(tmp_path) == ["photo.jpg"]


@pytest.mark.parametrize(
    "name",
    [
        b"caf\xe9.jpg",
        b"\xff\xfe.jpg",
        b"new\nline.jpg",
        b"\x1b[31mred\x1b[0m.jpg",
        b"tab\t\r.jpg",
        b"*.jpg",
        b" .jpg",
    ],
)
def test_any_name_that_the_file_system_allows_leads_back_to_its_file(tmp_path, name):
    touch(tmp_path / os.fsdecode(name), b"xyz")
    (item,) = walk(tmp_path)
    assert isinstance(item, FoundFile)
    assert os.fsencode(item.relative) == name
    assert item.path.read_bytes() == b"xyz"


def test_folders_nested_to_a_path_of_4000_characters_are_walked_to_the_end(tmp_path):
    depth = (4000 - len(str(tmp_path))) // 2
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d", dir_fd=here)
        below = os.open("d", os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(os.open("deep.jpg", os.O_CREAT | os.O_WRONLY, dir_fd=here))
    os.close(here)
    assert found(tmp_path) == ["d/" * depth + "deep.jpg"]
    unnest(tmp_path, depth)


def unnest(folder, depth):
    """Take a deep chain apart from the top: removing it whole would exceed Python's recursion limit."""
    for level in range(depth):
        (folder / "d").rename(folder / f"level-{level}")
        inner = folder / f"level-{level}" / "d"
        if inner.exists():
            inner.rename(folder / "d")


def test_a_path_longer_than_the_system_allows_is_reported_and_the_rest_is_found(tmp_path):
    touch(tmp_path / "z.jpg")
    depth = 20
    here = os.open(tmp_path, os.O_RDONLY)
    for _ in range(depth):
        os.mkdir("d" * 250, dir_fd=here)
        below = os.open("d" * 250, os.O_RDONLY, dir_fd=here)
        os.close(here)
        here = below
    os.close(here)
    assert found(tmp_path) == ["z.jpg"]
    (item,) = skipped(tmp_path)
    assert item.reason == "File name too long"


def test_a_folder_without_permission_is_reported_and_the_rest_is_found(own_folder):
    touch(own_folder / "closed/a.jpg")
    touch(own_folder / "open/b.jpg")
    (own_folder / "closed").chmod(0)
    assert skipped(own_folder) == [Skipped(own_folder / "closed", "Permission denied")]
    assert found(own_folder) == ["open/b.jpg"]


def test_a_root_that_is_not_there_or_is_a_file_is_reported(tmp_path):
    file = touch(tmp_path / "a.jpg")
    assert list(walk(tmp_path / "nowhere")) == [Skipped(tmp_path / "nowhere", "No such file or directory")]
    assert list(walk(file)) == [Skipped(file, "Not a directory")]


def test_a_librarys_own_folder_below_the_root_is_skipped(tmp_path):
    touch(tmp_path / "photo.jpg")
    touch(tmp_path / "library/library.db")
    touch(tmp_path / f"library/.vitsearch/thumbnails/ab/{'c' * 62}-320.jpg")
    touch(tmp_path / f"library/thumbnails/ab/{'c' * 62}-320.jpg")  # as earlier versions kept them
    assert found(tmp_path) == ["photo.jpg"]


def test_a_library_kept_in_the_root_itself_hides_its_own_pictures_and_not_the_photos(tmp_path):
    photos = ["photo.jpg", "thumbnails/1.jpg", "trip/a.jpg", "uploads/b.jpg"]
    upload = touch(tmp_path / f"uploads/{'d' * 32}")
    upload.write_bytes(b"\xff\xd8\xff\xe0" + b"0" * 20)
    for name in ("library.db", f"thumbnails/ab/{'c' * 62}-640.jpg", ".vitsearch/uploads/1.jpg", *photos):
        touch(tmp_path / name)
    assert found(tmp_path) == photos


@pytest.mark.parametrize(
    ("count", "seconds"), [(20_000, 4), pytest.param(100_000, 20, marks=pytest.mark.slow)]
)
def test_a_walk_over_a_folder_of_very_many_files_takes_seconds_at_most(tmp_path, count, seconds):
    flat = tmp_path / "flat"
    flat.mkdir()
    for number in range(count):
        os.close(os.open(flat / f"{number:05}.jpg", os.O_CREAT | os.O_WRONLY))
    started = time.process_time()
    relatives = found(tmp_path)
    assert time.process_time() - started < seconds
    assert relatives == [f"flat/{number:05}.jpg" for number in range(count)]


@pytest.mark.slow
def test_a_folder_with_100_000_entries_is_indexed_and_looked_at_again(library, picture, tmp_path):
    folder = tmp_path / "flat"
    for number in range(100_000):
        if number % 50_000 == 0:  # a file can have about so many names
            first = picture(folder / f"{number:06}.jpg", "red")
        else:
            # Names of one file: a run reads each as if it were a photo, and the disk holds one.
            os.link(first, folder / f"{number:06}.jpg")
    report = library.index([folder])
    assert (report.files, report.photos, report.embedded, len(report.unreadable)) == (100_000, 1, 1, 0)
    again = library.index()
    assert (again.unchanged, again.embedded) == (100_000, 0)


def test_a_folder_that_vanishes_during_the_walk_is_reported_and_the_rest_is_found(tmp_path):
    for name in ("a/1.jpg", "b/2.jpg", "c/3.jpg"):
        touch(tmp_path / name)
    items = walk(tmp_path)
    first = next(items)
    assert isinstance(first, FoundFile)
    assert first.relative == "a/1.jpg"
    shutil.rmtree(tmp_path / "b")
    assert next(items) == Skipped(tmp_path / "b", "No such file or directory")
    (last,) = items
    assert isinstance(last, FoundFile)
    assert last.relative == "c/3.jpg"
