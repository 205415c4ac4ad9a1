"""Fixtures for all tests: a small fake backbone, pictures, libraries, the real command line."""

from __future__ import annotations

import json
import os
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import platformdirs
import pytest

pytest.register_assert_rewrite("tests.support")

from PIL import Image

from tests.support.mean_colour import MeanColour
from tests.support.ordinary_user import ordinary_user
from tests.support.programs import Programs
from tests.support.ready_tables import make_tables_at_once, make_tables_step_by_step
from tests.support.removed_folders import Remover
from tests.support.samples import SAMPLES, WEIGHTS
from tests.support.unsynced import wait_as_ever, wait_for_nothing
from vitsearch.backbones.weights import is_cached
from vitsearch.decoding import process
from vitsearch.library import Library

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Callable, Generator, Iterator

    from tests.crash.workshop import Tools
    from tests.support.forked_decoders import ForkedDecoders

_FAILED = pytest.StashKey[bool]()


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    cache = platformdirs.user_cache_path("vitsearch", appauthor=False)
    if not is_cached(WEIGHTS, cache=cache):
        skip = pytest.mark.skip(reason=f"the weights of {WEIGHTS} are not here: get them with `make weights`")
        for item in items:
            if item.get_closest_marker("weights"):
                item.add_marker(skip)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(item: pytest.Item) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    report = yield
    if report.failed:
        item.stash[_FAILED] = True
    return report


@pytest.fixture(scope="session")
def _remover(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Remover]:
    made = Remover(tmp_path_factory.getbasetemp() / "removed")
    yield made
    made.close()


@pytest.fixture
def tmp_path(tmp_path: Path, request: pytest.FixtureRequest, _remover: Remover) -> Iterator[Path]:
    """A folder of the test's own, which stays where the test fails."""
    yield tmp_path
    if _FAILED not in request.node.stash:
        _remover.remove(tmp_path)


@pytest.fixture(autouse=True, scope="session")
def _no_trash_of_the_desktop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """Photos of tests never get into the trash of whoever runs them: a file is where the folder of it would be made."""
    in_the_way = tmp_path_factory.mktemp("data") / "file"
    in_the_way.touch()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_DATA_HOME", str(in_the_way))
        yield


@pytest.fixture(autouse=True, scope="session")
def _unsynced() -> Iterator[None]:
    """Tests do not wait for the disk: four fifths of the time of an index run. See `support/unsynced.py`."""
    wait_for_nothing()
    yield
    wait_as_ever()


@pytest.fixture
def synced() -> Iterator[None]:
    """What the test does itself waits for the disk, as users' commands do."""
    wait_as_ever()
    yield
    wait_for_nothing()


@pytest.fixture(autouse=True, scope="session")
def _tables_at_once() -> Iterator[None]:
    """A new library costs a tenth; `support/ready_tables.py` says what that changes."""
    make_tables_at_once()
    yield
    make_tables_step_by_step()


@pytest.fixture
def table_by_table() -> Iterator[None]:
    """What the test does itself makes new libraries as users' commands do."""
    make_tables_step_by_step()
    yield
    make_tables_at_once()


@pytest.fixture(autouse=True, scope="session")
def forked_decoders() -> Iterator[ForkedDecoders | None]:
    """What forks decoders, in a tenth of the time of a start; Linux only."""
    if sys.platform != "linux":
        yield None
        return
    from tests.support.forked_decoders import ForkedDecoders, started, use_forked

    decoders = ForkedDecoders()
    use_forked(decoders.address, decoders.start)
    yield decoders
    process._popen = started
    decoders.close()


@pytest.fixture
def started_decoders(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each decoder is a Python of its own, started as users start it."""
    if sys.platform == "linux":
        from tests.support.forked_decoders import started

        monkeypatch.setattr(process, "_popen", started)


@pytest.fixture
def backbone() -> MeanColour:
    return MeanColour()


@pytest.fixture(scope="session")
def _shared_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder that all processes of one run of the tests have in common."""
    own = tmp_path_factory.getbasetemp()
    return own.parent if "PYTEST_XDIST_WORKER" in os.environ else own


@pytest.fixture(scope="session")
def indexed_samples(_shared_folder: Path) -> Path:
    """A library of all sample photos with the real weights, made by the first worker that wants it. Open a copy."""
    from filelock import FileLock

    from vitsearch.backbones import load_backbone

    made = _shared_folder / "indexed-samples"
    with FileLock(f"{made}.lock"):
        if not made.exists():
            cache = platformdirs.user_cache_path("vitsearch", appauthor=False)
            unfinished = Path(f"{made}-unfinished")
            with Library.open(unfinished, backbone=load_backbone(WEIGHTS, cache=cache)) as library:
                library.index([SAMPLES])
            unfinished.rename(made)
    return made


@pytest.fixture
def library(tmp_path: Path, backbone: MeanColour):
    with Library.open(tmp_path / "library", backbone=backbone) as opened:
        yield opened


@pytest.fixture
def picture() -> Callable[..., Path]:
    """Write a picture with a colour of its own and some texture, and return its path."""

    def write(
        path: Path, colour: str | tuple[int, ...] = "red", *, size: tuple[int, int] = (64, 48), **save: Any
    ) -> Path:
        path.parent.mkdir(parents=True, exist_ok=True)
        image = Image.new("RGB", size, colour)
        image.save(path, **save)
        return path

    return write


@pytest.fixture
def own_folder() -> Iterator[Path]:
    """An empty folder in which the test acts as an ordinary user, whom permissions stop, even where root runs it."""
    with tempfile.TemporaryDirectory() as name, ordinary_user():
        yield Path(name)


@pytest.fixture(scope="session")
def programs(_shared_folder: Path, forked_decoders: ForkedDecoders | None) -> Iterator[Programs]:
    """What starts the real program in a process of its own, in a tenth of the time."""
    made = Programs(_shared_folder, decoders=forked_decoders)
    yield made
    made.close()


@pytest.fixture(scope="session")
def crash_tools() -> Iterator[Tools]:
    """What the folders have in common in which commands are killed and disturbed."""
    from tests.crash.workshop import Tools

    made = Tools(Path(tempfile.mkdtemp(prefix="vitsearch-tools-")))
    yield made
    made.close()


@pytest.fixture
def run(tmp_path: Path, programs: Programs) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Run the real program in a process of its own, on a library of its own."""

    def call(*arguments: object, stdin: bytes = b"", cwd: object = None) -> subprocess.CompletedProcess[str]:
        environment = {
            **os.environ,
            "VITSEARCH_LIBRARY": str(tmp_path / "library"),
            "HF_HUB_OFFLINE": "1",
            "COLUMNS": "100",
        }
        return programs.run(*arguments, environment=environment, folder=cwd, stdin=stdin)

    return call


@pytest.fixture
def answer(run: Callable[..., subprocess.CompletedProcess[str]]) -> Callable[..., dict[str, Any]]:
    """Run a command with --json, demand success, and return its document."""

    def call(*arguments: object, **options: object) -> dict[str, Any]:
        done = run(*arguments, "--json", **options)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return call
