"""Each test that `docs/guarantees.md` names exists."""

import ast
import re
from pathlib import Path

TESTS = Path(__file__).parent
PAGE = TESTS.parent / "docs" / "guarantees.md"


def test_every_test_that_the_page_names_exists_and_every_promise_names_one():
    text = PAGE.read_text(encoding="utf-8")
    existing = {
        node.name
        for path in TESTS.rglob("test_*.py")
        for node in ast.parse(path.read_text(encoding="utf-8")).body
        if isinstance(node, ast.FunctionDef)
    }
    assert set(re.findall(r"`(test_\w+)`", text)) - existing == set()
    rows = [line for line in text.splitlines() if line.startswith("| ")][1:]
    assert len(rows) > 12
    assert [row for row in rows if "`test_" not in row] == []
