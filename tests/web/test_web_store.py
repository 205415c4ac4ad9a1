"""The page over an engine: it searches as the command line does, and shows no file that the store alone names."""

import json
import os
import re
import shutil
import signal
import subprocess
import sys
import urllib.request

import pytest

from tests.support.mean_colour import MeanColour
from tests.support.web_client import store_client
from vitsearch.jsonable import to_jsonable
from vitsearch.storage.filters import Filter

pytest.importorskip("milvus_lite", reason="Milvus Lite has no build for this system")

from vitsearch.engines.engine import StoreReport
from vitsearch.engines.milvus.address import Address
from vitsearch.engines.milvus.collection import MilvusCollection
from vitsearch.engines.milvus.export import export_milvus
from vitsearch.engines.milvus.search import MilvusSearch
from vitsearch.engines.portable import Selection

COLOURS = ("red", "darkred", "green", "blue", "navy", "white")
JPEG = b"\xff\xd8\xff"


@pytest.fixture
def photos(tmp_path, picture):
    for number, colour in enumerate(COLOURS):
        picture(tmp_path / f"photos/{'warm' if number < 2 else 'cold'}/{colour}.png", colour)
    return tmp_path / "photos"


@pytest.fixture
def address(tmp_path, library, photos):
    library.index([photos])
    address = f"milvus://{tmp_path.as_posix()}/store.db"
    with MilvusCollection(Address.parse(address)) as collection:
        report = export_milvus(library, Selection.of(library), collection)
    assert isinstance(report, StoreReport)
    assert report.written == 6
    return address


def serving(folder, address, **options):
    return store_client(
        folder, MeanColour(), MilvusSearch(Address.parse(address)), address=address, **options
    )


@pytest.fixture
def client(library, address):
    with serving(library.folder, address) as client:
        yield client


@pytest.fixture
def stranger(tmp_path, address):
    """A machine without a library: the store may be anybody's."""
    with serving(tmp_path / "nothing", address) as client:
        yield client
    assert not (tmp_path / "nothing").exists()


def upload(client, path):
    answer = client.post("/api/uploads", content=path.read_bytes())
    assert answer.status_code == 201, answer.text
    return answer.json()["token"]


def found(client, **options):
    answer = client.get("/api/search", params=options)
    assert answer.status_code == 200, answer.text
    return answer.json()["results"]


def names(matches):
    return [re.sub(r".*/|\.png", "", match["path"]) for match in matches]


def test_an_answer_is_the_librarys_own(client, library, photos):
    own = to_jsonable(library.search(photos / "warm/red.png"))
    assert isinstance(own, dict)
    theirs = found(client, upload=upload(client, photos / "warm/red.png"))
    for one, other in zip(own["results"], theirs, strict=True):
        assert one.pop("score") == pytest.approx(other.pop("score"), abs=2e-6)
        assert json.loads(json.dumps(one)) == other


def test_filters_narrow_and_one_that_the_store_does_not_hold_is_refused(client, library, photos):
    token = upload(client, photos / "warm/red.png")
    warm = library.search(photos / "warm/red.png", where=Filter(folders=(photos / "warm",))).results
    assert names(found(client, upload=token, folder=str(photos / "warm"))) == [
        each.path.stem for each in warm
    ]
    refused = client.get("/api/search", params={"upload": token, "keyword": "sea"})
    assert refused.status_code == 400
    assert "does not hold what --keyword asks for" in refused.json()["error"]


def test_a_match_is_an_example_for_the_next_search(client, photos):
    matches = found(client, upload=upload(client, photos / "warm/red.png"))
    navy = next(match for match in matches if match["path"].endswith("navy.png"))
    assert names(found(client, photo=navy["photo"]))[0] == "blue"
    assert "navy" not in names(found(client, photo=navy["photo"]))


def test_pictures_are_the_librarys_thumbnails_or_made_from_its_files(client, library, photos):
    from vitsearch.decoding.thumbnails import KeptPictures

    (match, *_) = found(client, upload=upload(client, photos / "warm/red.png"))
    picture = f"/api/photos/{match['photo']}"
    made = client.get(f"{picture}/thumbnail")
    assert made.status_code == 200
    assert made.content.startswith(JPEG)
    assert len(list(KeptPictures(library.folder).folder.rglob("*-320.jpg"))) == 1
    assert client.get(f"{picture}/view").content.startswith(JPEG)
    photos.rename(photos.with_name("away"))  # the drive goes: what was kept is shown still
    assert client.get(f"{picture}/thumbnail").content == made.content
    gone = client.get(f"{picture}/view")
    assert (gone.status_code, "mount its drive" in gone.text) == (404, True)


def test_a_store_alone_gets_no_file_shown(stranger, photos):
    (match, *_) = found(stranger, upload=upload(stranger, photos / "warm/red.png"))
    for kind in ("thumbnail", "view"):
        refused = stranger.get(f"/api/photos/{match['photo']}/{kind}")
        assert refused.status_code == 404
        assert "serve --in FOLDER" in refused.json()["error"]


def test_a_folder_that_the_user_names_is_shown_and_a_link_out_of_it_is_not(tmp_path, photos, address):
    shutil.move(photos / "warm/darkred.png", tmp_path / "secret.png")
    (photos / "warm/darkred.png").symlink_to(tmp_path / "secret.png")
    with serving(tmp_path / "nothing", address, folders=(photos / "warm",)) as client:
        matches = found(client, upload=upload(client, photos / "warm/red.png"))
        status = {
            match["path"].rsplit("/")[-1]: client.get(f"/api/photos/{match['photo']}/thumbnail").status_code
            for match in matches
        }
        assert status == {
            "darkred.png": 404,
            "green.png": 404,
            "blue.png": 404,
            "navy.png": 404,
            "white.png": 404,
        }
        again = found(client, upload=upload(client, photos / "cold/blue.png"))
        red = next(match for match in again if match["path"].endswith("/red.png"))
        assert client.get(f"/api/photos/{red['photo']}/thumbnail").content.startswith(JPEG)
    assert not (tmp_path / "nothing").exists()


def test_only_what_an_answer_named_is_shown(client, library):
    refused = client.get("/api/photos/1/thumbnail")
    assert refused.status_code == 404
    assert "no answer has named photo 1" in refused.json()["error"]


def test_the_page_and_its_files_are_there_and_no_password_is(library, address):
    secret = address.replace("milvus:///", "milvus://ann:secret@/")
    with store_client(
        library.folder, MeanColour(), MilvusSearch(Address.parse(address)), address=secret
    ) as client:
        page = client.get("/")
        assert page.status_code == 200
        for name in re.findall(r"/static/[^\"#]+", page.text):
            assert client.get(name).status_code == 200
        told = client.get("/api/store").json()
    assert told["model"] == "mean-colour"
    assert "secret" not in json.dumps(told)


def test_a_server_that_goes_is_one_line_and_the_page_stays(library, photos, address):
    class Gone(MilvusSearch):
        def nearest(self, *arguments, **options):
            self._client.close()
            return super().nearest(*arguments, **options)

    with store_client(library.folder, MeanColour(), Gone(Address.parse(address)), address=address) as client:
        answer = client.get("/api/search", params={"upload": upload(client, photos / "warm/red.png")})
        assert answer.status_code == 400
        assert answer.json()["error"].startswith("cannot ")
        assert "\n" not in answer.json()["error"]
        assert client.get("/").status_code == 200


class TestCommand:
    def test_what_cannot_be_served_is_one_line(self, run, tmp_path, address):
        for arguments, text in (
            (("--store", "qdrant://host/photos"), "no address of an engine"),
            (("--store", f"{address}/none"), "there is no collection none"),
            (("--store", "milvus://127.0.0.1:1/photos"), "check address and network"),
        ):
            done = run("serve", "--port", "0", *arguments)
            assert (done.returncode, done.stdout) == (1, "")
            assert re.fullmatch(rf"vitsearch: .*{text}.*\n", done.stderr), done.stderr

    @pytest.mark.skipif(os.name != "posix", reason="Ctrl-C is sent as a signal")
    def test_it_serves_until_it_is_stopped(self, tmp_path, library, photos, address):
        command = [sys.executable, "-m", "vitsearch", "--library", library.folder, "serve", "--port", "0"]
        command += ["--no-token", "--store", address, "--in", photos]
        with subprocess.Popen(list(map(str, command)), stderr=subprocess.PIPE, text=True) as process:
            assert process.stderr is not None
            link = process.stderr.readline().removeprefix("vitsearch is at ").strip()
            with urllib.request.urlopen(f"{link}api/store") as answer:
                assert json.loads(answer.read())["model"] == "mean-colour"
            process.send_signal(signal.SIGINT)
            assert process.stderr.read() == ""
        assert process.returncode == 0
