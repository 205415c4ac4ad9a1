"""FAISS multiplies with the kernels of the processor at hand, also where its own OpenBLAS is older than that."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from typing import Any

import pytest

ASK = """
import json, os
from threadpoolctl import threadpool_info
from vitsearch.neighbours.flat import import_faiss
import_faiss()
print(json.dumps({
    "of": {("faiss" if "faiss" in one["filepath"] else "numpy"): one["architecture"] for one in threadpool_info()
           if one["internal_api"] == "openblas"},
    "after": os.environ.get("OPENBLAS_CORETYPE"),
}))
"""


def kernels(**environment: str) -> dict[str, Any]:
    """What each OpenBLAS of a new process takes the processor for, and the variable as it is afterwards."""
    usual = {name: value for name, value in os.environ.items() if name != "OPENBLAS_CORETYPE"}
    run = subprocess.run(
        [sys.executable, "-c", ASK], env=usual | environment, capture_output=True, text=True, check=True
    )
    found = json.loads(run.stdout)
    if set(found["of"]) != {"faiss", "numpy"}:
        pytest.skip("FAISS or NumPy multiplies with another library than OpenBLAS here")
    return found


def test_faiss_multiplies_as_on_the_processor_that_numpy_has_found():
    found = kernels()
    wide = {"SkylakeX", "Cooperlake", "SapphireRapids"}
    if found["of"]["numpy"] not in wide | {"Haswell", "Zen"}:
        pytest.skip(f"NumPy has no kernels for wide registers either: {found['of']['numpy']}")
    expected = "SkylakeX" if found["of"]["numpy"] in wide else found["of"]["numpy"]
    assert found["of"]["faiss"] == expected
    assert found["after"] is None


def test_kernels_that_a_person_has_chosen_are_taken():
    found = kernels(OPENBLAS_CORETYPE="Nehalem")
    assert found["of"]["faiss"] == "Nehalem"
    assert found["after"] == "Nehalem"
