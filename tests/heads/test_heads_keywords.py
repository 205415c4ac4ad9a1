"""Which keywords of a sidecar are a head's: what it says now stands there, and nothing of a person's ever goes."""

import json
import shutil
import subprocess

import pytest
from click.testing import CliRunner

from tests.support.mean_colour import MeanColour
from tests.support.sidecars import DARKTABLE, DIGIKAM, add_keywords, read_keywords, remove_keyword
from vitsearch.cli import cli
from vitsearch.cli.session import Session
from vitsearch.heads.xmp import sidecar_path, write_labels
from vitsearch.library import Library


@pytest.fixture
def call(tmp_path, monkeypatch):
    """Run a command on a library whose model is the mean colour; return what it said."""
    monkeypatch.setattr(
        Session, "open", lambda self, **_: Library.open(self.library_folder, backbone=MeanColour())
    )

    def run(*arguments, status=0):
        done = CliRunner().invoke(cli, ["--library", str(tmp_path / "library"), *map(str, arguments)])
        assert done.exit_code == status, done.output
        return done

    return run


@pytest.fixture
def photo(tmp_path):
    path = tmp_path / "photo.jpg"
    path.touch()
    return path


def test_what_a_head_does_not_say_any_more_is_taken_out(photo):
    assert write_labels(photo, ["cat", "indoors"], head="pets").added == ("cat", "indoors")
    change = write_labels(photo, ["dog", "indoors"], head="pets")
    assert (change.added, change.removed) == (("dog",), ("cat",))
    assert set(read_keywords(photo)) == {"dog", "indoors"}
    assert set(write_labels(photo, [], head="pets").removed) == {"dog", "indoors"}
    assert read_keywords(photo) == ()
    assert b"vitsearch:" not in sidecar_path(photo).read_bytes()


def test_a_keyword_that_was_there_before_stays_whatever_a_head_says(photo):
    sidecar = sidecar_path(photo)
    sidecar.write_text(DARKTABLE)
    assert write_labels(photo, ["wrong"], head="pets").added == ()
    assert sidecar.read_text() == DARKTABLE
    write_labels(photo, ["cat", "wrong"], head="pets")
    assert write_labels(photo, [], head="pets").removed == ("cat",)
    assert sidecar.read_text() == DARKTABLE


def test_saying_the_same_in_another_order_does_not_touch_the_file(photo):
    sidecar = write_labels(photo, ["cat", "dog"], head="pets").path
    before = sidecar.stat()
    assert write_labels(photo, ["dog", "cat"], head="pets").added == ()
    assert (sidecar.stat().st_ino, sidecar.stat().st_mtime_ns) == (before.st_ino, before.st_mtime_ns)


def test_a_keyword_of_two_heads_goes_with_the_last_of_them(photo):
    write_labels(photo, ["cat"], head="pets")
    write_labels(photo, ["cat"], head="animals")
    assert write_labels(photo, [], head="pets").removed == ()
    assert read_keywords(photo) == ("cat",)
    assert write_labels(photo, [], head="animals").removed == ("cat",)


def test_one_that_a_person_took_out_and_put_back_after_a_run_is_the_person_s(photo):
    write_labels(photo, ["cat", "dog"], head="pets")
    remove_keyword(photo, "cat")
    write_labels(photo, ["dog"], head="pets")
    add_keywords(photo, ["cat"])
    assert write_labels(photo, [], head="pets").removed == ("dog",)
    assert read_keywords(photo) == ("cat",)


def test_a_sidecar_that_somebody_made_anew_is_the_person_s(photo):
    sidecar = write_labels(photo, ["Rome"], head="places").path
    sidecar.write_text(DIGIKAM)
    assert write_labels(photo, [], head="places").removed == ()
    assert sidecar.read_text() == DIGIKAM


@pytest.mark.parametrize(
    ("space", "name", "path"),
    [
        ("http://www.digikam.org/ns/1.0/", "TagsList", "Animals/cat"),
        ("http://ns.adobe.com/lightroom/1.0/", "hierarchicalSubject", "Animals|cat|tabby"),
    ],
)
def test_what_a_person_filed_in_a_tree_since_is_the_person_s(photo, space, name, path):
    sidecar = write_labels(photo, ["cat", "dog"], head="pets").path
    tree = f'<o:{name} xmlns:o="{space}"><rdf:Bag><rdf:li>{path}</rdf:li></rdf:Bag></o:{name}>'
    sidecar.write_text(sidecar.read_text().replace("</rdf:Description>", f"{tree}</rdf:Description>"))
    assert write_labels(photo, [], head="pets").removed == ("dog",)
    assert read_keywords(photo) == ("cat",)
    assert path in sidecar.read_text()


def test_a_label_that_a_person_has_in_a_tree_is_not_put_beside_it(photo):
    sidecar = sidecar_path(photo)
    sidecar.write_text(DIGIKAM)
    write_labels(photo, ["Rome"], head="places")
    assert sidecar.read_text() == DIGIKAM


def test_a_label_that_looks_like_a_branch_is_no_tree(photo):
    sidecar = sidecar_path(photo)
    sidecar.write_text(DIGIKAM)
    write_labels(photo, ["cat", "cat/tabby"], head="pets")
    assert set(write_labels(photo, [], head="pets").removed) == {"cat", "cat/tabby"}
    assert sidecar.read_text().split() == DIGIKAM.replace("</rdf:D", " </rdf:D").split()


def test_lists_of_other_programs_are_kept_in_step(photo):
    sidecar = write_labels(photo, ["cat"], head="pets").path
    lists = "".join(
        f'<o{number}:{name} xmlns:o{number}="{space}"><rdf:Bag><rdf:li>cat</rdf:li></rdf:Bag></o{number}:{name}>'
        for number, (space, name) in enumerate(
            [
                ("http://www.digikam.org/ns/1.0/", "TagsList"),
                ("http://ns.microsoft.com/photo/1.0/", "LastKeywordXMP"),
                ("http://ns.adobe.com/lightroom/1.0/", "hierarchicalSubject"),
                ("http://ns.iview-multimedia.com/mediapro/1.0/", "CatalogSets"),
            ]
        )
    )
    sidecar.write_text(sidecar.read_text().replace("</rdf:Description>", f"{lists}</rdf:Description>"))
    write_labels(photo, ["dog"], head="pets")
    assert "cat" not in sidecar.read_text()
    assert sidecar.read_text().count("<rdf:li>dog</rdf:li>") == 5


@pytest.mark.skipif(shutil.which("exiftool") is None, reason="exiftool is not installed")
def test_another_program_that_writes_the_sidecar_anew_keeps_whose_keywords_they_are(photo):
    sidecar = write_labels(photo, ["cat", "dog/wolf"], head="pets").path
    done = subprocess.run(
        ["exiftool", "-q", "-overwrite_original", "-xmp:subject+=own", "-xmp:title=a cat", sidecar],
        check=False,
    )
    assert done.returncode == 0
    assert set(read_keywords(photo)) == {"cat", "dog/wolf", "own"}
    assert set(write_labels(photo, [], head="pets").removed) == {"cat", "dog/wolf"}
    assert read_keywords(photo) == ("own",)
    assert b"a cat" in sidecar.read_bytes()


def test_sidecars_that_nobody_labelled_are_left_in_peace(photo):
    """Also one that is no sidecar: there is nothing to write."""
    sidecar = sidecar_path(photo)
    sidecar.write_text("no sidecar")
    assert write_labels(photo, [], head="pets").removed == ()
    photo.unlink()
    assert write_labels(photo, [], head="pets").removed == ()


def test_a_correction_changes_the_keywords_that_label_writes(call, labelled, photos):
    call("heads", "train", "colours", "--from", labelled)
    call("label", photos, "--head", "colours", "--xmp")
    own = photos / "red" / "101.png"
    add_keywords(own, ["my own"])
    assert set(read_keywords(own)) == {"red", "my own"}
    call("heads", "correct", "colours", own, "green")
    report = json.loads(call("label", photos, "--head", "colours", "--xmp", "--json").stdout)
    assert report["sidecars"] == {"changed": 1, "taken_back": 1, "failed": []}
    assert set(read_keywords(own)) == {"green", "my own"}
    call("heads", "correct", "colours", own, "--none")
    call("label", own, "--head", "colours", "--xmp")
    assert read_keywords(own) == ("my own",)


def test_a_head_that_is_deleted_takes_its_keywords_along_where_that_is_asked_for(call, labelled, photos):
    call("index", photos)
    for head in ("colours", "tones"):
        call("heads", "train", head, "--from", labelled)
    call("label", "--head", "colours", "--xmp")
    own, other, broken = (photos / "red" / f"{number}.png" for number in (100, 101, 102))
    add_keywords(own, ["my own"])
    call("label", other, "--head", "tones", "--xmp")
    written = sum(read_keywords(photo) != () for photo in photos.rglob("*.png"))
    assert written > 3
    # One that cannot be written keeps the head: nothing else knows which keywords were its.
    sidecar = sidecar_path(broken)
    elsewhere = sidecar.rename(broken.with_name("elsewhere.xmp"))
    sidecar.symlink_to(elsewhere)
    done = call("heads", "delete", "colours", "--xmp", status=1)
    assert str(broken) in done.stderr
    assert "'colours' was not deleted" in str(done.exception)
    assert "colours" in call("heads", "list").stdout
    sidecar.unlink()
    elsewhere.rename(sidecar)
    done = call("heads", "delete", "colours", "--xmp")
    assert (done.stdout, done.stderr.splitlines()[-1]) == (
        "deleted colours\n",
        "1 keyword taken out of 1 sidecar",
    )
    assert {photo: read_keywords(photo) for photo in photos.rglob("*.png") if read_keywords(photo)} == {
        own: ("my own",),
        other: ("red",),
    }
    assert "there is no head 'colours'" in str(
        call("heads", "delete", "colours", "--xmp", status=1).exception
    )


def test_keywords_of_a_head_that_was_deleted_before_can_still_be_taken_out(call, labelled, photos):
    call("index", photos)
    call("heads", "train", "colours", "--from", labelled)
    call("label", "--head", "colours", "--xmp")
    written = [photo for photo in photos.rglob("*.png") if read_keywords(photo)]
    call("heads", "delete", "colours")
    assert all(map(read_keywords, written))
    said = call("heads", "delete", "colours", "--xmp").stderr
    assert said.splitlines()[-1] == f"{len(written)} keywords taken out of {len(written)} sidecars"
    assert not any(map(read_keywords, written))


def test_a_sidecar_that_cannot_be_written_ends_label_with_1_and_the_others_are_written(
    call, labelled, photos
):
    call("heads", "train", "colours", "--from", labelled)
    broken = sidecar_path(photos / "red" / "101.png")
    broken.write_text("no sidecar")
    done = call("label", photos, "--head", "colours", "--xmp", status=1)
    assert "\n1 sidecar could not be written:\n" in done.stderr
    assert done.stderr.splitlines()[-1].startswith(f"  {photos / 'red' / '101.png'}: {broken} is not an XMP")
    assert read_keywords(photos / "blue" / "101.png") == ("blue",)
    document = json.loads(call("label", photos, "--head", "colours", "--xmp", "--json", status=1).stdout)
    assert [failed["path"] for failed in document["sidecars"]["failed"]] == [str(photos / "red" / "101.png")]
    broken.write_text("")
    call("label", photos, "--head", "colours", "--xmp")
    assert read_keywords(photos / "red" / "101.png") == ("red",)


def test_a_file_that_was_named_and_cannot_be_read_ends_label_with_1(call, labelled, photos):
    call("heads", "train", "colours", "--from", labelled)
    sound, broken = photos / "blue" / "101.png", photos / "blue" / "broken.png"
    broken.write_bytes(sound.read_bytes()[:60])
    assert str(sound) in call("label", broken, sound, "--head", "colours", status=1).stdout
    call("label", photos, "--head", "colours")


def test_a_head_that_learnt_otherwise_takes_back_what_its_former_version_wrote(call, labelled, photos):
    call("heads", "train", "colours", "--from", labelled)
    call("label", photos, "--head", "colours", "--xmp")
    (labelled / "red").rename(labelled / "crimson")
    call("heads", "train", "colours", "--from", labelled)
    call("label", photos, "--head", "colours", "--xmp")
    keywords = {keyword for path in (photos / "red").glob("*.png") for keyword in read_keywords(path)}
    assert keywords == {"crimson"}
