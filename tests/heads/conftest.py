"""Photos whose label is their colour: some to learn from, and others."""

import pytest

from tests.support.painted_labels import paint_labels


@pytest.fixture
def labelled(tmp_path):
    return paint_labels(tmp_path / "labelled")


@pytest.fixture
def photos(tmp_path):
    return paint_labels(tmp_path / "photos", count=5, start=100)
