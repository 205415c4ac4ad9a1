"""Several photos at once: favourites, labels, copies, downloads, and a plan that moves them to the trash."""

import errno
import io
import json
import os
import shutil
import time
import zipfile
from concurrent.futures import ThreadPoolExecutor

import pytest

from tests.support.mean_colour import MeanColour
from tests.support.samples import SAMPLES
from tests.support.web_client import web_client
from vitsearch.duplicates.cleanup.planning import plan_for
from vitsearch.duplicates.cleanup.plans import PlannedFile, PlannedGroup, content_hash
from vitsearch.heads.head import Labelling, LabelProbability
from vitsearch.heads.store import HeadStore
from vitsearch.library import Library
from vitsearch.storage.backup import backups, write_backup
from vitsearch.storage.layout import Layout
from vitsearch.web.services.archives import LEFT_OUT, zipped

NAMES = ("animals/cat-1.jpg", "animals/cat-2.jpg", "nature/bee-1.jpg", "travel/castle-1.jpg")


@pytest.fixture
def place(tmp_path):
    return made(tmp_path)


def made(tmp_path):
    photos = tmp_path / "photos"
    for name in NAMES:
        (photos / name).parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(SAMPLES / name, photos / name)
    (photos / "other").mkdir()
    shutil.copy(photos / "animals/cat-1.jpg", photos / "other/cat-1.jpg")
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([photos])
        HeadStore(library).train("kinds", folder=photos_by_label(tmp_path))
    return tmp_path


def photos_by_label(place):
    folder = place / "labelled"
    for label in ("animals", "nature", "travel"):
        (folder / label).mkdir(parents=True)
        for path in sorted((SAMPLES / label).glob("*.jpg"))[:5]:
            shutil.copy(path, folder / label)
    return folder


@pytest.fixture
def client(place):
    with web_client(place / "library", MeanColour()) as client:
        yield client


def ids(client):
    grid = client.get("/api/grid").json()["ids"]
    captions = client.get("/api/captions", params={"ids": ",".join(map(str, grid))}).json()["captions"]
    return {caption["name"]: int(photo) for photo, caption in captions.items()}


def post(client, what, **order):
    answer = client.post(f"/api/selection/{what}", json=order)
    assert answer.status_code < 300, answer.text
    return answer.json()


def test_favourites_are_kept_by_what_a_photo_shows(client, place):
    known = ids(client)
    cat, bee = known["cat-1.jpg"], known["bee-1.jpg"]
    assert post(client, "favourites", photos=[cat, bee], favourite=True) == {"changed": 2}
    assert post(client, "favourites", photos=[cat, bee], favourite=True) == {"changed": 0}
    assert post(client, "favourites", photos=[bee], favourite=False) == {"changed": 1}
    assert client.get("/api/favourites").json() == {"photos": [cat]}
    assert client.get("/api/grid", params={"favourite": "true"}).json()["ids"] == [cat]
    assert client.get("/api/facets").json()["favourites"] == 1
    # The photo goes, and comes back under another name: it is the same photo.
    for copy in (place / "photos/animals/cat-1.jpg", place / "photos/other/cat-1.jpg"):
        copy.unlink()
    with Library.open(place / "library", backbone=MeanColour()) as library:
        library.index([place / "photos"], prune=True)
        shutil.copy(SAMPLES / "animals/cat-1.jpg", place / "photos/back.jpg")
        library.index([place / "photos"])
    again = ids(client)["back.jpg"]
    assert client.get("/api/favourites").json() == {"photos": [again]}
    assert client.get(f"/api/photos/{again}").json()["favourite"] is True


def test_what_was_said_until_yesterday_is_in_a_backup_before_the_page_changes_it(client, place):
    known = ids(client)
    cat, bee = known["cat-1.jpg"], known["bee-1.jpg"]
    layout = Layout.of(place / "library")
    said = {"photo": cat, "labels": ["nature"]}

    def change(what, **order):
        return lambda: post(client, what, **order)

    def of_heads(method, address, **body):
        return lambda: client.request(method, f"/api/heads/kinds/corrections{address}", **body).is_success

    post(client, "favourites", photos=[cat], favourite=True)
    assert of_heads("POST", "", json=said)()
    for act in (
        change("favourites", photos=[cat, bee], favourite=False),
        of_heads("POST", "", json=said | {"labels": ["travel"]}),
        of_heads("POST", "/all", json={"photos": [cat, bee], "labels": ["animals"]}),
        of_heads("DELETE", f"/{cat}"),
        change("labels", photos=[cat], head="kinds", label="nature", has=True),
    ):
        for path in backups(layout):
            os.utime(path, (time.time() - 2 * 86_400,) * 2)
        with Library.open(place / "library", backbone=MeanColour()) as library:
            write_backup(library.catalog.database, layout, place / "before.db")
        assert act()
        assert backups(layout)[-1].read_bytes() == (place / "before.db").read_bytes()
        (place / "before.db").unlink()


def test_a_label_is_added_to_some_photos_and_taken_from_others(client):
    known = ids(client)
    some = [known["cat-1.jpg"], known["cat-2.jpg"]]
    assert post(client, "labels", photos=some, head="kinds", label="pets", has=True) == {"changed": 2}
    assert post(client, "labels", photos=some, head="kinds", label="pets", has=True) == {"changed": 0}
    labels = post(client, "labels-of", photos=some)["labels"]
    assert {"head": "kinds", "label": "pets", "count": 2} in labels
    assert post(client, "labels", photos=some[:1], head="kinds", label="pets", has=False) == {"changed": 1}
    labels = post(client, "labels-of", photos=some)["labels"]
    assert {"head": "kinds", "label": "pets", "count": 1} in labels
    assert client.get(f"/api/photos/{some[0]}").json()["labels"] == []
    missing = client.post(
        "/api/selection/labels", json={"photos": some, "head": "none", "label": "pets", "has": True}
    )
    assert missing.status_code == 404


def test_a_label_more_takes_none_away_that_a_photo_was_given_as_an_example(client, place):
    with Library.open(place / "library", backbone=MeanColour()) as library:
        head_store = HeadStore(library)
        photos = sorted(head_store.tables.examples("kinds"))
        labels = [("beach", "sunset"), ("beach",), ("sunset",), ()]
        given = {photo: labels[at % 4] for at, photo in enumerate(photos)}
        head_store.train("places", photos=given, multi=True)
    both, neither = photos[0], photos[2]
    order = {"head": "places", "label": "dog", "has": True}
    assert post(client, "labels", photos=[both], **order) == {"changed": 1}
    order = {"head": "places", "label": "sunset", "has": False}
    assert post(client, "labels", photos=[neither], **order) == {"changed": 1}
    with Library.open(place / "library", backbone=MeanColour()) as library:
        learnt = HeadStore(library).tables.examples("places")
    assert set(learnt[both]) == {"beach", "sunset", "dog"}
    assert learnt[neither] == ()


@pytest.mark.trust
def test_two_labels_that_two_clients_say_at_once_are_both_kept(client, place):
    with Library.open(place / "library", backbone=MeanColour()) as library:
        head_store = HeadStore(library)
        photos = sorted(head_store.tables.examples("kinds"))
        labels = [("beach", "sunset"), ("beach",), ("sunset",), ()]
        head_store.train(
            "crowds", photos={photo: labels[at % 4] for at, photo in enumerate(photos)}, multi=True
        )
    said = [f"label {number}" for number in range(16)]

    def say(label):
        return post(client, "labels", photos=photos, head="crowds", label=label, has=True)

    with ThreadPoolExecutor(4) as clients:
        assert [answer["changed"] for answer in clients.map(say, said)] == [len(photos)] * len(said)
    with Library.open(place / "library", backbone=MeanColour()) as library:
        known = HeadStore(library).tables.examples("crowds")
    assert {photo: set(said) - set(known[photo]) for photo in photos} == {photo: set() for photo in photos}


@pytest.mark.trust
def test_a_label_more_says_nothing_of_the_labels_that_the_head_guesses(client, place):
    with Library.open(place / "library", backbone=MeanColour()) as library:
        head_store = HeadStore(library)
        learnt = sorted(head_store.tables.examples("kinds"))
        labels = [("beach", "sunset"), ("beach",), ("sunset",), ()]
        head_store.train("sights", photos={one: labels[at % 4] for at, one in enumerate(learnt)}, multi=True)
        head_store.tables.replace_examples("sights", {})
        photo, other = ids(client)["bee-1.jpg"], ids(client)["castle-1.jpg"]

        def guess(*names):
            likely = Labelling(tuple(LabelProbability(name, 0.9) for name in names), abstained=False)
            version = head_store.get("sights").version
            head_store.tables.put_labels("sights", version, [(one, likely) for one in (photo, other)])

        guess("beach", "sunset")
        for one, label, has in ((photo, "dog", True), (other, "beach", False)):
            order = {"photos": [one], "head": "sights", "label": label, "has": has}
            assert post(client, "labels", **order) == {"changed": 1}
            assert post(client, "labels", **order) == {"changed": 0}
        assert head_store.tables.whole_words("sights") == {}
        assert head_store.tables.words_on_labels("sights") == {photo: {"dog": True}, other: {"beach": False}}
        assert head_store.tables.examples("sights") == {photo: ("beach", "dog", "sunset"), other: ("sunset",)}
        told = {
            each["label"]: each["corrected"] for each in client.get(f"/api/photos/{photo}").json()["labels"]
        }
        assert {label: told[label] for label in ("beach", "dog", "sunset")} == {
            "beach": False, "dog": True, "sunset": False,
        }  # fmt: skip
        version = head_store.get("sights").version
        assert head_store.tables.photos_with("sights", version, "dog") == [(photo, 1.0)]
        assert head_store.tables.photos_with("sights", version, "beach") == [(photo, 0.9)]
        # The head thinks better of it, and the person's word stays what it was.
        guess("sunset")
        assert head_store.tables.examples("sights") == {photo: ("dog", "sunset"), other: ("sunset",)}
        given = head_store.tables.given("sights", version)
        assert (given["dog"], sorted(given["sunset"])) == ([photo], sorted([photo, other]))
        # Examples that are given later are no reason to forget it, and it can be taken back.
        head_store.tables.replace_examples("sights", {photo: ("beach",), other: ("beach",)})
        assert head_store.tables.examples("sights") == {photo: ("beach", "dog"), other: ()}
        head_store.tables.replace_examples("sights", {photo: ("dog",)})
        assert head_store.tables.examples("sights") == {photo: ("dog",), other: ("sunset",)}
        assert head_store.tables.take_back("sights", photo)
        assert head_store.tables.take_back("sights", other)
        assert head_store.tables.examples("sights") == {photo: ("dog",)}


def test_a_guess_that_a_person_confirms_is_a_persons_word(client, place):
    with Library.open(place / "library", backbone=MeanColour()) as library:
        head_store = HeadStore(library)
        label, photo = "nature", ids(client)["bee-1.jpg"]
        head_store.tables.replace_examples("kinds", {})  # as if the head had not learnt from that photo
        guess = Labelling((LabelProbability(label, 0.6),), abstained=False)
        head_store.tables.put_labels("kinds", head_store.get("kinds").version, [(photo, guess)])
    assert post(client, "labels", photos=[photo], head="kinds", label=label, has=True) == {"changed": 1}
    with Library.open(place / "library", backbone=MeanColour()) as library:
        assert HeadStore(library).tables.examples("kinds", only_corrected=True)[photo] == (label,)


def test_a_guess_of_an_example_is_confirmed_too(client, place):
    with Library.open(place / "library", backbone=MeanColour()) as library:
        examples = HeadStore(library).tables.given_examples("kinds")
        photo, (label,) = next((photo, given) for photo, given in examples.items() if given)
    order = {"head": "kinds", "label": label, "has": True}
    assert post(client, "labels", photos=[photo], **order) == {"changed": 1}
    assert post(client, "labels", photos=[photo], **order) == {"changed": 0}
    assert client.get(f"/api/photos/{photo}").json()["labels"] == [
        {"head": "kinds", "label": label, "probability": 1.0, "corrected": True}
    ]


def test_photos_are_copied_into_a_folder_and_nothing_there_is_written_over(client, place):
    known = ids(client)
    target = place / "chosen"
    cat, bee = known["cat-1.jpg"], known["bee-1.jpg"]
    first = post(client, "copies", photos=[cat, bee], folder=str(target))
    assert sorted(path.name for path in target.iterdir()) == ["bee-1.jpg", "cat-1.jpg"]
    assert (target / "bee-1.jpg").read_bytes() == (place / "photos/nature/bee-1.jpg").read_bytes()
    assert (target / "bee-1.jpg").stat().st_mtime == (place / "photos/nature/bee-1.jpg").stat().st_mtime
    assert (len(first["written"]), first["failed"]) == (2, [])
    again = post(client, "copies", photos=[cat, bee], folder=str(target))
    assert (again["written"], len(again["there"]), len(list(target.iterdir()))) == ([], 2, 2)
    (target / "bee-1.jpg").write_bytes(b"mine")
    post(client, "copies", photos=[bee], folder=str(target), how="symlink")
    assert (target / "bee-1.jpg").read_bytes() == b"mine"
    assert (target / "bee-1 (2).jpg").readlink() == place / "photos/nature/bee-1.jpg"
    post(client, "copies", photos=[bee], folder=str(target), how="hardlink")
    assert (target / "bee-1 (3).jpg").samefile(place / "photos/nature/bee-1.jpg")
    for folder in ("relative", str(place / "not" / "there"), "/\0"):
        answer = client.post("/api/selection/copies", json={"photos": [bee], "folder": folder})
        assert answer.status_code == 400
        assert "\n" not in answer.json()["error"]


def test_photos_are_downloaded_as_their_files_are_in_one_zip(client, place):
    known = ids(client)
    other = place / "photos/animals/cat-2.jpg"
    other.rename(place / "photos/other/bee-1.jpg")  # two of one name
    with Library.open(place / "library", backbone=MeanColour()) as library:
        library.index([place / "photos"])
    made = post(client, "archives", photos=[known["bee-1.jpg"], known["cat-2.jpg"]])
    assert made["files"] == 2
    answer = client.get(f"/api/selection/archives/{made['token']}")
    assert answer.headers["content-disposition"] == 'attachment; filename="photos.zip"'
    with zipfile.ZipFile(io.BytesIO(answer.content)) as archive:
        assert archive.testzip() is None
        assert archive.namelist() == ["bee-1.jpg", "bee-1 (2).jpg"]
        assert archive.read("bee-1.jpg") == (SAMPLES / "nature/bee-1.jpg").read_bytes()
        assert archive.read("bee-1 (2).jpg") == (SAMPLES / "animals/cat-2.jpg").read_bytes()
        assert made["bytes"] == sum(entry.file_size for entry in archive.infolist())
    assert client.get(f"/api/selection/archives/{'0' * 32}").status_code == 404


def test_a_download_says_what_it_lacks(tmp_path):
    for name in ("there.jpg", LEFT_OUT):
        (tmp_path / name).write_bytes(name.encode())
    gone = tmp_path / "gone.jpg"
    packed = b"".join(zipped([tmp_path / "there.jpg", gone, tmp_path, tmp_path / LEFT_OUT]))
    with zipfile.ZipFile(io.BytesIO(packed)) as archive:
        *whole, told = archive.namelist()
        assert whole == ["there.jpg", LEFT_OUT]  # a photo may have any name
        assert archive.read(told).decode().splitlines() == [
            f"{gone}: {os.strerror(errno.ENOENT)}",
            f"{tmp_path}: {os.strerror(errno.EISDIR)}",
        ]


def test_photos_go_to_the_trash_through_a_plan_that_can_be_undone(client, place):
    known = ids(client)
    plan = post(client, "plan", photos=[known["cat-1.jpg"], known["bee-1.jpg"]])
    going = [
        place / "photos/animals/cat-1.jpg", place / "photos/other/cat-1.jpg", place / "photos/nature/bee-1.jpg",
    ]  # fmt: skip
    assert [group["keep"] for group in plan["groups"]] == [None] * 3
    assert sorted(file["path"] for group in plan["groups"] for file in group["files"]) == sorted(
        map(str, going)
    )
    assert all(path.exists() for path in going)  # a plan touches nothing
    assert plan["bytes"] == sum(path.stat().st_size for path in going)
    content = going[0].read_bytes()
    done = client.post(f"/api/plans/{plan['id']}/apply").json()
    assert done["state"] == "applied"
    assert not any(path.exists() for path in going)
    again = client.post(f"/api/plans/{plan['id']}/undo").json()
    assert again["state"] == "undone"
    assert all(path.exists() for path in going)
    assert going[0].read_bytes() == content


def test_a_plan_of_chosen_photos_is_not_carried_out_once_one_of_them_has_changed(client, place):
    known = ids(client)
    plan = post(client, "plan", photos=[known["cat-2.jpg"], known["bee-1.jpg"]])
    (place / "photos/nature/bee-1.jpg").write_bytes(b"something else")
    answer = client.post(f"/api/plans/{plan['id']}/apply")
    assert answer.status_code == 409
    assert (place / "photos/animals/cat-2.jpg").exists()


def test_a_file_that_holds_another_photo_than_was_seen_is_not_planned(client, place):
    known = ids(client)
    castle = place / "photos/nature/bee-1.jpg"
    shutil.copy(
        SAMPLES / "travel/castle-1.jpg", castle
    )  # it comes under the name of a photo that was indexed
    answer = client.post("/api/selection/plan", json={"photos": [known["bee-1.jpg"]]})
    assert answer.status_code == 409
    assert "has changed since it was indexed" in answer.json()["error"]
    assert client.get("/api/plans").json()["plans"] == []


def test_a_plan_whose_sidecars_moved_too_was_applied(client, place):
    kept, copy = place / "photos/animals/cat-1.jpg", place / "photos/other/cat-1.jpg"
    copy.with_suffix(".xmp").write_bytes(b"keywords")
    content = content_hash(kept)
    group = PlannedGroup(PlannedFile(kept, content), (PlannedFile(copy, content),), "exact")
    plans = client.app.state.server.plans
    name = plans.add(plan_for([group], "trash", roots=[place / "photos"]))
    assert client.post(f"/api/plans/{name}/apply").json()["state"] == "applied"
    assert kept.with_suffix(".xmp").read_bytes() == b"keywords"
    assert client.post(f"/api/plans/{name}/undo").json()["state"] == "undone"


@pytest.mark.parametrize("inside", [".vitsearch/thumbnails", ".vitsearch/new", "heads"])
def test_no_photos_are_copied_into_what_a_library_keeps(client, place, inside):
    folder = place / "library" / inside
    before = set(folder.iterdir()) if folder.exists() else None
    order = {"photos": [ids(client)["bee-1.jpg"]], "folder": str(folder)}
    answer = client.post("/api/selection/copies", json=order)
    assert answer.status_code == 400
    assert "belongs to a library" in answer.json()["error"]
    assert before == (set(folder.iterdir()) if folder.exists() else None)


@pytest.fixture(scope="module")
def unchanged(tmp_path_factory):
    """A client of a library in which every request is refused, so that it may serve all of them."""
    place = made(tmp_path_factory.mktemp("unchanged"))
    before = (place / "library/library.db").read_bytes()
    with web_client(place / "library", MeanColour()) as client:
        yield client
    assert (place / "library/library.db").read_bytes() == before


@pytest.mark.parametrize("what", ["favourites", "labels-of", "labels", "copies", "archives", "plan"])
@pytest.mark.parametrize(
    "photos",
    [[], [0], [-1], ["x"], [1.5], [2**63], "1", None, [1] * 100_001],
    ids=lambda value: str(value)[:12],
)
def test_a_selection_is_checked(unchanged, what, photos):
    order = {
        "photos": photos,
        "favourite": True,
        "head": "kinds",
        "label": "x",
        "has": True,
        "folder": "/tmp",
    }
    answer = unchanged.post(f"/api/selection/{what}", content=json.dumps(order))
    assert answer.status_code == 422
    assert list(answer.json()) == ["error"]
