"""`docs/web.md` names every request that the server answers, and no other."""

from __future__ import annotations

import re
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import pytest

from tests.support.mean_colour import MeanColour
from vitsearch.web.app import create_app
from vitsearch.web.settings import LibrarySettings
from vitsearch.web.store_app import create_store_app

if TYPE_CHECKING:
    from vitsearch.searching.store import SearchStore

PAGE = (Path(__file__).parents[2] / "docs" / "web.md").read_text(encoding="utf-8")
API = PAGE[PAGE.index("| address | what |") : PAGE.index("These requests name folders")]
PATHS = PAGE[PAGE.index("These requests name folders") : PAGE.index("## A page over an engine")]
STORE = PAGE[PAGE.index("## A page over an engine") : PAGE.index("## Security")]
NAMES_A_PATH = {"folder", "folders", "path", "paths", "destination", "file", "files", "root"}


def named(text: str) -> list[str]:
    return [re.sub(r"/[A-Z]+(?=/|$)", "/*", f"{method} {address}") for method, address in found(text)]


def found(text: str) -> list[tuple[str, str]]:
    return re.findall(r"`(GET|POST|DELETE|PUT|PATCH) (/api/[^` ]+)`", text)


def answered(schema: dict[str, Any]) -> dict[str, dict[str, Any]]:
    return {
        f"{method.upper()} {re.sub(r'{[^}]+}', '*', address)}": request
        for address, requests in schema["paths"].items()
        for method, request in requests.items()
        if address.startswith("/api/")
    }


@pytest.fixture(scope="module")
def schema(tmp_path_factory) -> dict[str, Any]:
    settings = LibrarySettings(tmp_path_factory.mktemp("library"), backbone=MeanColour())
    return create_app(settings).openapi()


def test_the_table_has_every_request_once_and_nothing_else(schema):
    in_table = named(API)
    assert sorted(in_table) == sorted(set(in_table))
    assert set(in_table) == set(answered(schema))


def test_the_page_over_an_engine_is_described_with_all_that_it_answers(tmp_path):
    settings = LibrarySettings(tmp_path, backbone=MeanColour())
    store = cast("AbstractContextManager[SearchStore]", nullcontext())  # nobody asks it for anything
    app = create_store_app(settings, store, address="milvus://cluster/photos")
    assert set(named(STORE)) == set(answered(app.openapi()))


def test_every_request_that_takes_a_path_is_in_the_list_of_those(schema):
    listed = {
        (request, field)
        for line in PATHS.splitlines()
        if line.startswith("| `")
        for request in named(line)
        for field in re.findall(r"`(\w+)`", line.split("|")[2])
    }
    taken = {
        (name, field)
        for name, request in answered(schema).items()
        for field in fields_of(request, schema) & NAMES_A_PATH
    }
    # Which of a photo's files is meant, by its number.
    numbers = {("POST /api/photos/*/reveal", "file")}
    assert listed == taken - numbers


def fields_of(request: dict[str, Any], schema: dict[str, Any]) -> set[str]:
    fields = {parameter["name"] for parameter in request.get("parameters", ())}
    for content in request.get("requestBody", {}).get("content", {}).values():
        parts = [content["schema"], *content["schema"].get("anyOf", ())]
        for part in parts:
            if "$ref" in part:
                fields |= set(schema["components"]["schemas"][part["$ref"].rpartition("/")[2]]["properties"])
    return fields
