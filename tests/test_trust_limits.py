"""What comes from outside holds no more memory and time than is stated, at its limit and beyond it."""

import re
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from pathspec import PathSpec

from vitsearch.errors import VitsearchError
from vitsearch.folders import ignoring
from vitsearch.folders.ignoring import IGNORE_FILE, is_ignored, read_ignores
from vitsearch.folders.scan import walk

pytestmark = pytest.mark.trust


def spec_of(tmp_path, *lines):
    (tmp_path / IGNORE_FILE).write_text("\n".join(lines))
    return read_ignores(tmp_path / IGNORE_FILE)


class TestIgnoreFiles:
    @pytest.mark.parametrize(
        "line",
        [
            "*a*a*a*a*a*a*a*a*a*a*a*a*b",
            "*?*?*?*?*?*?*?*?*?*?*?*b",
            "**/*a*a*a*a*a*b/**/*a*a*a*a*b/**/*a*a*a*c",
            "*[a-z]*[a-z]*[a-z]*[a-z]*[a-z]*[0-9]",
            "*" * 4000 + "b",
        ],
    )
    def test_one_line_never_hangs_a_run(self, tmp_path, line):
        spec = spec_of(tmp_path, line)
        path = f"{'a' * 255}/{'a' * 255}/{'a' * 255}"
        started = time.process_time()
        for _ in range(10):
            assert not is_ignored(path, (("", spec),))
        assert time.process_time() - started < 1

    @given(
        st.lists(
            st.sampled_from(["*", "a", "b", "?", "[ab]", "[!a]", "/", "**/", "/**", ".", "**"]),
            min_size=1,
            max_size=9,
        ),
        st.lists(st.sampled_from(["a", "b", ".", "c", "/"]), min_size=1, max_size=12),
    )
    @settings(max_examples=1500, deadline=None)
    def test_a_pattern_leaves_out_exactly_what_pathspec_says(self, parts, letters):
        line, path = "".join(parts), "".join(letters)
        if "//" in path or path[0] == "/":
            return
        theirs = PathSpec.from_lines("gitignore", [line])
        ours = PathSpec([ignoring._pattern_class()(line)])
        assert ours.match_file(path) == theirs.match_file(path), (line, path)

    @pytest.mark.parametrize(
        ("content", "reason"),
        [
            (b"a\n" * (1 << 18), "more than 256 kB"),
            (b"".join(b"p%d\n" % number for number in range(1001)), "more than 1,000 patterns"),
            (b"x" * 4097, "more than 4,096 characters"),
            (b"a/**/b/**/c/**/d", "more than 2 times ** inside"),
            (b"[z-a]", "bad character range"),
            (b"\xff\xfe", "utf-8"),
            (b"a\\", "Invalid git pattern"),
        ],
    )
    def test_what_is_beyond_a_limit_or_makes_no_sense_is_one_clear_line(self, tmp_path, content, reason):
        (tmp_path / IGNORE_FILE).write_bytes(content)
        with pytest.raises(VitsearchError, match=re.escape(reason)) as caught:
            list(walk(tmp_path))
        assert str(tmp_path / IGNORE_FILE) in str(caught.value)
        assert "mend or remove it" in str(caught.value)

    def test_what_is_at_a_limit_is_used(self, tmp_path, picture):
        picture(tmp_path / "p7.png")
        picture(tmp_path / "kept.png")
        lines = [f"p{number}.png" for number in range(999)]
        spec_of(tmp_path, *lines, "x" * 4096, "#" * 9000, "# comment")
        assert [found.path.name for found in walk(tmp_path)] == ["kept.png"]

    def test_a_file_of_three_gigabytes_is_not_read(self, tmp_path):
        with (tmp_path / IGNORE_FILE).open("wb") as file:
            file.truncate(3 << 30)
        started = time.process_time()
        with pytest.raises(VitsearchError, match="more than 256 kB"):
            read_ignores(tmp_path / IGNORE_FILE)
        assert time.process_time() - started < 0.5
