"""Answers that are kept beside a library: found again, forgotten when they do not fit, and never in the way."""

import sqlite3
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest

from vitsearch.storage import answers as answers_module
from vitsearch.storage.answers import AnswerCache
from vitsearch.storage.layout import Layout

RULES = b"0123456789abcdef"


@pytest.fixture
def path(tmp_path):
    return tmp_path / "seen.db"


def kept(path, *parts, rules=RULES):
    with AnswerCache(path, rules=rules) as answers:
        return answers.get(answers.question("pair", *parts))


def keep(path, answer, *parts, rules=RULES):
    with AnswerCache(path, rules=rules) as answers:
        answers.keep(answers.question("pair", *parts), answer)


@pytest.mark.parametrize("answer", [None, [1, 0.1, "grün", True], {"a": [None]}, 0, ""])
def test_an_answer_is_found_again_as_it_was(path, answer):
    keep(path, answer, b"one", b"two")
    assert kept(path, b"one", b"two") == (answer,)


def test_other_questions_and_other_rules_know_nothing_of_it(path):
    keep(path, "same", b"one", b"two")
    assert kept(path, b"two", b"one") is None
    assert kept(path, b"one", b"two", 1) is None
    assert kept(path, b"one", b"two", rules=b"other rules") is None


def test_an_answer_is_known_at_once_and_by_all_threads(path):
    with AnswerCache(path, rules=RULES) as answers, ThreadPoolExecutor(4) as pool:
        questions = [answers.question("number", number) for number in range(2000)]
        list(pool.map(answers.keep, questions, range(2000)))
        assert list(pool.map(answers.get, questions)) == [(number,) for number in range(2000)]


def test_what_is_kept_is_the_owners_alone(path):
    keep(path, 1)
    assert path.stat().st_mode & 0o077 == 0


def test_a_changed_answer_is_not_believed(path):
    keep(path, "same", b"one")
    keep(path, "other", b"two")
    with sqlite3.connect(path) as database:
        (one,), (two,) = database.execute("SELECT answer FROM answers ORDER BY rowid").fetchall()
        database.execute("UPDATE answers SET answer = ? WHERE answer = ?", [two, one])
    database.close()
    assert kept(path, b"one") is None
    assert kept(path, b"two") == ("other",)


@pytest.mark.parametrize("damage", [b"no database at all", b""])
def test_a_file_that_is_no_database_is_made_anew(path, damage):
    path.write_bytes(damage)
    keep(path, 1, "again")
    assert kept(path, "again") == (1,)


def test_a_file_that_is_damaged_inside_goes_and_the_next_run_makes_it_anew(path):
    with AnswerCache(path, rules=RULES) as answers:
        for number in range(3000):
            answers.keep(answers.question("number", number), "x" * 50)
    content = bytearray(path.read_bytes())
    content[8192:] = b"\xff" * (len(content) - 8192)
    path.write_bytes(content)
    with AnswerCache(path, rules=RULES) as answers:
        found = [answers.get(answers.question("number", number)) for number in range(3000)]
        answers.keep(answers.question("number", 1), "y")
    assert set(found) <= {None, ("x" * 50,)}
    keep(path, "z", "after")
    assert kept(path, "after") == ("z",)


def test_a_file_of_another_version_is_made_anew(path):
    keep(path, 1, "old")
    with sqlite3.connect(path) as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    assert kept(path, "old") is None
    keep(path, 2, "new")
    assert kept(path, "new") == (2,)


def test_it_takes_a_bounded_size_and_lets_go_of_what_is_oldest(path):
    most = 400_000
    for part in range(6):
        with AnswerCache(path, rules=RULES, most_bytes=most) as answers:
            for number in range(1000):
                answers.keep(answers.question("number", part, number), "x" * 100)
        assert path.stat().st_size <= most
    with AnswerCache(path, rules=RULES) as answers:
        assert answers.get(answers.question("number", 0, 0)) is None
        assert answers.get(answers.question("number", 5, 999)) == ("x" * 100,)


def test_while_another_process_writes_nothing_waits_for_long_and_nothing_fails(path, monkeypatch):
    monkeypatch.setattr(answers_module, "_BUSY_SECONDS", 0.05)
    keep(path, 1, "before")
    other = sqlite3.connect(path, isolation_level=None)
    with AnswerCache(path, rules=RULES) as answers:
        other.execute("BEGIN EXCLUSIVE")
        answers.keep(answers.question("pair", "during"), 2)
        assert answers.get(answers.question("pair", "during")) == (2,)
        assert answers.get(answers.question("pair", "before")) is None
    other.execute("ROLLBACK")
    other.close()
    assert kept(path, "before") == (1,)


def test_where_nothing_can_be_kept_nothing_is_known(tmp_path):
    (tmp_path / "file").touch()
    with AnswerCache(tmp_path / "file" / "seen.db", rules=RULES) as answers:
        answers.keep(answers.question("pair"), 1)
    assert kept(tmp_path / "file" / "seen.db") is None
    with AnswerCache(None) as answers:
        answers.keep(answers.question("pair"), 1)
        assert answers.get(answers.question("pair")) is None


def test_two_searches_at_a_time_share_a_file(path):
    failed = []

    def work(part):
        try:
            with AnswerCache(path, rules=RULES) as answers:
                for number in range(1500):
                    answers.keep(answers.question("number", part, number), number)
        except Exception as error:  # noqa: BLE001 - whatever it is, it is the finding
            failed.append(error)

    threads = [threading.Thread(target=work, args=(part,)) for part in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failed == []


def test_a_library_keeps_them_in_its_private_folder(tmp_path):
    layout = Layout.of(tmp_path)
    with AnswerCache.beside(layout, rules=RULES) as answers:
        answers.keep(answers.question("pair"), 1)
    assert layout.answers.is_file()
    assert layout.owns(layout.answers)
