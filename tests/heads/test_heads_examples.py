"""Labels from folders and CSV files."""

import os
from pathlib import Path

import pytest
from PIL import Image

from vitsearch.errors import HeadError
from vitsearch.heads.examples import LabelledFile, labels_by_photo, read_label_csv, read_label_folders
from vitsearch.heads.export_labels import write_label_csv
from vitsearch.heads.head import LabelProbability
from vitsearch.heads.labelling import LabelledPhoto


def photo(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new("RGB", (8, 8)).save(path)
    return path


def test_subfolders_are_labels_and_deeper_folders_belong_to_them(tmp_path):
    cat = photo(tmp_path / "cat" / "a.jpg")
    deep = photo(tmp_path / "cat" / "2024" / "b.jpg")
    dog = photo(tmp_path / "dog" / "a.jpg")
    photo(tmp_path / "loose.jpg")
    (tmp_path / "dog" / "notes.txt").write_text("not a photo")
    assert set(read_label_folders(tmp_path)) == {
        LabelledFile(cat, "cat"),
        LabelledFile(deep, "cat"),
        LabelledFile(dog, "dog"),
    }


def test_an_empty_label_folder_is_named(tmp_path):
    photo(tmp_path / "cat" / "a.jpg")
    (tmp_path / "dog").mkdir()
    with pytest.raises(HeadError, match=r"no photos in .* for 'dog': add some, or remove the empty folder"):
        read_label_folders(tmp_path)


def test_a_folder_without_subfolders_says_what_belongs_there(tmp_path):
    photo(tmp_path / "a.jpg")
    with pytest.raises(HeadError, match="has no subfolders: put the photos of each label into a folder"):
        read_label_folders(tmp_path)


def test_a_folder_that_does_not_exist_is_named(tmp_path):
    with pytest.raises(HeadError, match="nowhere is not a folder"):
        read_label_folders(tmp_path / "nowhere")


def test_a_csv_gives_paths_beside_itself_several_labels_and_none(tmp_path):
    a, b, c = (photo(tmp_path / "photos" / f"{name}.jpg") for name in "abc")
    csv = tmp_path / "labels.csv"
    csv.write_text(
        'path,label,remark\nphotos/a.jpg,beach,x\nphotos/a.jpg,"people, many",\n'
        f"{b},beach,\nphotos/c.jpg,,none fits\n",
        encoding="utf-8-sig",
    )
    assert read_label_csv(csv) == (
        LabelledFile(a, "beach"),
        LabelledFile(a, "people, many"),
        LabelledFile(b, "beach"),
        LabelledFile(c, None),
    )


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("file,tag\na.jpg,cat\n", "columns path,label"),
        ("", "columns path,label"),
        ("path,label\na.jpg\n", "line 2: a path or a label is missing"),
        ("path,label\na.jpg,cat\ngone.jpg,cat\n", r"line 3: there is no file .*gone.jpg"),
        ('path,label\na.jpg,"cat\nowl"\n', "not a label"),
        ('path,label\na.jpg,"cat\n', "cannot read"),
        ("path,label\na.jpg,\n", "needs labels"),
    ],
)
def test_a_csv_that_cannot_be_used_is_refused_with_its_line(tmp_path, content, message):
    photo(tmp_path / "a.jpg")
    csv = tmp_path / "labels.csv"
    csv.write_text(content)
    with pytest.raises(HeadError, match=message):
        read_label_csv(csv)


@pytest.mark.parametrize(
    "content",
    [
        b"path,label\n\xff\xfe,cat\n",
        "path,label\na.jpg,Kühe\n".encode("latin-1"),
        "path,label\nKühe.jpg,cows\n".encode("latin-1"),
        "path,label\na.jpg,cat\n".encode("utf-16"),
    ],
)
def test_a_csv_that_is_not_text_is_refused(tmp_path, content):
    photo(tmp_path / "a.jpg")
    csv = tmp_path / "labels.csv"
    csv.write_bytes(content)
    with pytest.raises(HeadError, match="must be a CSV file in UTF-8"):
        read_label_csv(csv)


def test_a_table_that_was_written_of_any_file_name_is_read_again(tmp_path):
    files = [tmp_path / os.fsdecode(name) for name in (b"caf\xe9.jpg", "café.jpg".encode(), b"=1.jpg")]
    try:
        for file in files:
            photo(file)
    except OSError:
        pytest.skip("this file system takes names in UTF-8 only")
    best = (LabelProbability("Kühe", 0.9),)
    write_label_csv(
        [LabelledPhoto(file, best, abstained=False, none=False) for file in files], tmp_path / "t.csv"
    )
    assert read_label_csv(tmp_path / "t.csv") == tuple(LabelledFile(file, "Kühe") for file in files)


CAT, DOG = Path("/p/cat/a.jpg"), Path("/p/dog/b.jpg")


def test_copies_within_a_label_are_one_example_and_unreadable_files_are_left_out():
    files = [LabelledFile(CAT, "cat"), LabelledFile(Path("/p/cat/copy.jpg"), "cat"), LabelledFile(DOG, "dog")]
    photos = {CAT: 1, Path("/p/cat/copy.jpg"): 1, DOG: 2}
    assert labels_by_photo(files, photos, several_labels=False) == {1: ("cat",), 2: ("dog",)}
    broken = [*files, LabelledFile(Path("/p/dog/broken.jpg"), "dog")]
    assert labels_by_photo(broken, photos, several_labels=False) == {1: ("cat",), 2: ("dog",)}


def test_one_photo_under_two_labels_is_refused_with_both_paths():
    files = [LabelledFile(CAT, "cat"), LabelledFile(DOG, "dog")]
    with pytest.raises(HeadError, match=r"/p/cat/a.jpg and /p/dog/b.jpg are the same photo under two labels"):
        labels_by_photo(files, {CAT: 1, DOG: 1}, several_labels=False)


def test_where_several_labels_are_meant_one_photo_has_both():
    files = [LabelledFile(CAT, "cat"), LabelledFile(DOG, "dog"), LabelledFile(CAT, None)]
    assert labels_by_photo(files, {CAT: 1, DOG: 1}, several_labels=True) == {1: ("cat", "dog")}


def test_a_label_without_a_readable_photo_is_named():
    files = [LabelledFile(CAT, "cat"), LabelledFile(DOG, "dog")]
    with pytest.raises(HeadError, match="no photo of 'dog' can be read"):
        labels_by_photo(files, {CAT: 1}, several_labels=False)
