"""One library of 2,500 files for all acceptance tests, and the real program to run on it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.acceptance.collection import Collection, make_collection
from tests.acceptance.program import MODEL, Program

if TYPE_CHECKING:
    from pathlib import Path


@pytest.fixture(scope="session")
def place(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder for all that the run makes."""
    return tmp_path_factory.mktemp("acceptance")


@pytest.fixture(scope="session")
def collection(place: Path) -> Collection:
    """The photos."""
    return make_collection(place / "photos")


@pytest.fixture(scope="session")
def indexed(place: Path, collection: Collection) -> dict[str, Any]:
    """The report of the run that indexed all of it."""
    return Program(place / "library").answer("index", collection.folder, "--model", MODEL)


@pytest.fixture(scope="session")
def program(place: Path, indexed: dict[str, Any]) -> Program:
    """The program on the library that was indexed."""
    return Program(place / "library", {"index": indexed["seconds"]})
