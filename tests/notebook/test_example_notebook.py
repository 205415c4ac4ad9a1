"""The example notebook runs, and what it shows is what stands in it."""

import json
import re
import shutil

import pytest

from scripts.run_notebook import NOTEBOOK, run
from tests.support.samples import SAMPLES

pytestmark = pytest.mark.weights


def test_the_example_notebook_runs_and_shows_what_stands_in_it(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    shutil.copytree(SAMPLES, tmp_path / "sample_images")
    kept = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    made = run(kept)
    assert [forms(cell) for cell in made["cells"]] == [forms(cell) for cell in kept["cells"]]
    shown = [output for cell in made["cells"] for output in cell.get("outputs", ()) if "data" in output]
    assert sum("data:image/jpeg;base64," in "".join(each["data"].get("text/html", "")) for each in shown) >= 3
    assert NOTEBOOK.stat().st_size < 400_000


def forms(cell):
    """What a cell printed, its numbers left out, and in which forms its value is shown."""
    found = []
    for output in cell.get("outputs", ()):
        text = "".join(output.get("text", ""))
        found.append((output["output_type"], re.sub(r"\d+\.\d+", "#", text), sorted(output.get("data", ()))))
    return found


def test_the_notebook_is_one_that_jupyter_reads():
    kept = json.loads(NOTEBOOK.read_text(encoding="utf-8"))
    assert (kept["nbformat"], kept["nbformat_minor"]) == (4, 4)
    for cell in kept["cells"]:
        assert {"cell_type", "metadata", "source"} <= set(cell)
        if cell["cell_type"] == "code":
            assert cell["execution_count"] is not None
            assert isinstance(cell["outputs"], list)
