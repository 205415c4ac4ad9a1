"""The gate of a head: what shows none of its labels is kept from them, and the estimates of that hold."""

from __future__ import annotations

import dataclasses
import json

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from tests.support.labelled_clusters import make_clusters, make_space, unit
from vitsearch.errors import HeadError
from vitsearch.heads.examples import LabelledRows
from vitsearch.heads.few_shot import from_examples
from vitsearch.heads.files import load_head, save_head
from vitsearch.heads.gate import Gate
from vitsearch.heads.training import train

DIMENSION = 32
SPACE = make_space(dimension=DIMENSION)
KINDS = 12
CENTRES = np.random.default_rng(5).standard_normal((KINDS, DIMENSION))


def photos_of(kind: int, count: int, *, seed: int, spread: float = 0.6) -> np.ndarray:
    noise = np.random.default_rng([seed, kind]).standard_normal((count, DIMENSION))
    return unit(CENTRES[kind] + spread * noise)


def labelled(kinds: range, count: int, *, seed: int = 0) -> LabelledRows:
    rows = np.concatenate([photos_of(kind, count, seed=seed) for kind in kinds])
    return LabelledRows(rows, tuple((f"kind {kind}",) for kind in kinds for _ in range(count)))


def library(counts: dict[int, int], *, seed: int = 1) -> np.ndarray:
    return np.concatenate([photos_of(kind, count, seed=seed) for kind, count in counts.items()])


def share_let_through(head, rows: np.ndarray) -> float:
    top = head.top(rows, np.ones(len(rows), np.float32), k=1)
    assert top.abstained[top.none].all(), "whatever shows none of the labels is not believed either"
    return float(1 - top.none.mean())


KNOWN = range(4)
UNKNOWN = dict.fromkeys(range(4, KINDS), 60)


@pytest.mark.parametrize("photos", [5, 40])
@pytest.mark.parametrize("make", ["train", "from_examples"])
def test_kinds_that_the_library_holds_and_no_label_names_get_none(make, photos):
    examples, background = labelled(KNOWN, photos), library(UNKNOWN)
    if make == "train":
        head = train("kinds", examples, space=SPACE, background=background).head
    else:
        head = from_examples("kinds", examples, space=SPACE, background=background)
    assert share_let_through(head, library(dict.fromkeys(KNOWN, 100), seed=2)) >= 0.95
    assert share_let_through(head, library(dict.fromkeys(UNKNOWN, 100), seed=2)) <= 0.03


def test_a_head_without_a_background_gives_every_photo_a_label():
    head = train("kinds", labelled(KNOWN, 20), space=SPACE).head
    assert head.gate is None
    assert share_let_through(head, library(UNKNOWN)) == 1


def test_photos_of_the_labels_among_the_librarys_own_do_not_close_the_gate():
    examples = labelled(KNOWN, 10)
    background = library({**UNKNOWN, **dict.fromkeys(KNOWN, 60)})
    head = train("kinds", examples, space=SPACE, background=background).head
    assert share_let_through(head, library(dict.fromkeys(KNOWN, 100), seed=2)) >= 0.9
    assert share_let_through(head, library(dict.fromkeys(UNKNOWN, 100), seed=2)) <= 0.05


@pytest.mark.parametrize("others", [{}, UNKNOWN], ids=["nothing else", "other kinds"])
@pytest.mark.parametrize("count", [25, 40])
def test_photos_that_a_head_learnt_none_from_get_their_label_all_the_same(others, count):
    """A person labels some photos of a library, and then asks for the labels of the others."""
    its_own = library(dict.fromkeys(KNOWN, count), seed=3)
    background = np.concatenate([its_own, library(others)]) if others else its_own
    head = train("kinds", labelled(KNOWN, 40), space=SPACE, background=background).head
    assert share_let_through(head, its_own) >= 0.94
    if others:
        assert share_let_through(head, library(others)) <= 0.03
        assert share_let_through(head, library(dict.fromkeys(others, 100), seed=2)) <= 0.05


def test_a_library_that_holds_nothing_else_leaves_the_guard_by_the_nearest_example():
    nothing = np.empty((0, DIMENSION), np.float32)
    head = train("kinds", labelled(KNOWN, 40), space=SPACE, background=nothing).head
    assert head.gate is not None
    assert not head.gate.knows_background
    assert share_let_through(head, library(dict.fromkeys(KNOWN, 100), seed=2)) >= 0.93
    assert share_let_through(head, library(UNKNOWN, seed=2)) <= 0.05


def test_copies_of_the_examples_in_the_library_are_not_learned_as_none():
    examples = labelled(KNOWN, 20)
    background = np.concatenate([library(UNKNOWN), examples.rows, examples.rows])
    with_copies = train("kinds", examples, space=SPACE, background=background).head
    without = train("kinds", examples, space=SPACE, background=library(UNKNOWN)).head
    assert with_copies.gate is not None
    assert without.gate is not None
    assert with_copies.gate.background == without.gate.background


@pytest.mark.parametrize("counts", [UNKNOWN, dict.fromkeys(KNOWN, 30)], ids=["other kinds", "its own kinds"])
def test_the_report_counts_what_is_taken_for_none_of_the_photos_that_the_library_holds(counts):
    background = library(counts)
    made = train("kinds", labelled(KNOWN, 20), space=SPACE, background=background)
    assert made.report is not None
    gate = made.report.gate
    assert gate is not None
    assert gate.sampled == len(background)
    assert gate.taken_for_none == round(len(background) * (1 - share_let_through(made.head, background)))
    assert gate.taken_for_none > 0
    assert (gate.background > 0) == (counts is UNKNOWN)


def test_a_kind_that_is_one_in_a_hundred_in_the_library_still_counts():
    # Nearer to a label than all else in the library: a third of the way from it to a direction of their own.
    random = np.random.default_rng(8)
    centre = CENTRES[0] + 0.8 * random.standard_normal(DIMENSION)
    near = unit(centre + 0.4 * random.standard_normal((140, DIMENSION)))
    far = dict.fromkeys(range(4, KINDS), 300)
    examples = labelled(KNOWN, 40)
    unwarned = train("kinds", examples, space=SPACE, background=library(far)).head
    warned = train("kinds", examples, space=SPACE, background=np.concatenate([library(far), near[:24]])).head
    assert share_let_through(warned, near[24:]) <= 0.5 * share_let_through(unwarned, near[24:])
    assert share_let_through(warned, library(dict.fromkeys(KNOWN, 100), seed=2)) >= 0.93


def test_the_report_foretells_what_the_gate_does_with_photos_never_seen():
    # Kinds that overlap, or there would be nothing to foretell.
    def rows(kinds, count, seed):
        return np.concatenate([photos_of(kind, count, seed=seed, spread=1.3) for kind in kinds])

    kinds, unknown = range(6), range(6, KINDS)
    examples = LabelledRows(rows(kinds, 60, 0), tuple((f"kind {k}",) for k in kinds for _ in range(60)))
    # As many of each unknown kind as the estimate puts into the library of each label that it leaves out.
    made = train("kinds", examples, space=SPACE, background=rows(unknown, 48, 1))
    report = made.report.gate
    assert report is not None
    assert (report.held, report.sampled) == (48, 48 * len(unknown))
    assert report.strangers is not None
    assert report.accuracy is not None
    assert report.library is not None
    known, strangers = rows(kinds, 500, 2), rows(unknown, 500, 2)
    assert share_let_through(made.head, known) == pytest.approx(report.passed.value, abs=0.05)
    measured = share_let_through(made.head, strangers)
    assert 0.01 < measured < 0.5
    assert measured == pytest.approx(report.strangers.value, abs=0.05)
    assert report.strangers.low <= report.strangers.value <= report.strangers.high
    assert measured == pytest.approx(report.library.value, abs=0.05)
    top = made.head.top(known, np.ones(len(known), np.float32), k=1)
    right = top.indices[:, 0] == np.repeat(np.arange(6), 500)
    assert right[~top.none].mean() == pytest.approx(report.accuracy.value, abs=0.05)


def test_of_larger_kinds_in_the_library_fewer_get_a_label_as_the_report_says():
    def rows(count, seed):
        return np.concatenate([photos_of(kind, count, seed=seed, spread=1.3) for kind in range(6, KINDS)])

    known = np.concatenate([photos_of(kind, 20, seed=0, spread=1.3) for kind in range(6)])
    examples = LabelledRows(known, tuple((f"kind {k}",) for k in range(6) for _ in range(20)))
    shares = [
        share_let_through(train("kinds", examples, space=SPACE, background=rows(count, 1)).head, rows(500, 2))
        for count in (8, 16, 64)
    ]
    assert shares == sorted(shares, reverse=True)
    assert shares[0] >= 1.2 * shares[2]


def test_photos_of_which_a_person_said_none_are_kept_from_the_labels():
    examples = labelled(KNOWN, 30)
    odd = photos_of(7, 30, seed=3)
    taught = LabelledRows(np.concatenate([examples.rows, odd]), examples.labels + ((),) * 30)
    nothing = np.empty((0, DIMENSION), np.float32)
    head = train("kinds", taught, space=SPACE, background=nothing).head
    assert (head.kind, len(head.labels)) == ("softmax", 4)
    assert share_let_through(head, photos_of(7, 100, seed=4)) <= 0.02
    assert share_let_through(head, library(dict.fromkeys(KNOWN, 100), seed=2)) >= 0.93


def test_labels_that_do_not_exclude_each_other_have_a_gate_too():
    head = train("kinds", labelled(KNOWN, 30), space=SPACE, background=library(UNKNOWN), multi=True).head
    assert head.kind == "sigmoid"
    assert share_let_through(head, library(dict.fromkeys(KNOWN, 100), seed=2)) >= 0.95
    assert share_let_through(head, library(UNKNOWN, seed=2)) <= 0.03


def test_a_head_with_a_gate_comes_back_whole_from_its_file(tmp_path):
    head = train("kinds", labelled(KNOWN, 20), space=SPACE, background=library(UNKNOWN)).head
    save_head(head, tmp_path / "kinds.safetensors")
    loaded = load_head(tmp_path / "kinds.safetensors")
    assert head.gate is not None
    assert loaded.gate is not None
    for field in dataclasses.fields(Gate):
        np.testing.assert_array_equal(getattr(loaded.gate, field.name), getattr(head.gate, field.name))
    rows = library({**UNKNOWN, **dict.fromkeys(KNOWN, 20)}, seed=2)
    norms = np.ones(len(rows), np.float32)
    np.testing.assert_array_equal(loaded.top(rows, norms).none, head.top(rows, norms).none)


def test_a_gate_of_the_format_before_with_one_kind_of_none_works_as_it_did(tmp_path):
    # As an earlier version wrote it: the last of the weights is "none", and nothing says how many labels there are.
    weight = np.concatenate([CENTRES[:4], CENTRES[4:5]]).astype(np.float32)
    examples = np.empty((0, DIMENSION), np.float16)
    gate = Gate(weight, np.zeros(5, np.float32), 4, 0.0, examples, -1.0, 60)
    head = dataclasses.replace(train("kinds", labelled(KNOWN, 20), space=SPACE).head, gate=gate)
    path = tmp_path / "earlier.safetensors"
    save_head(head, path)
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    fields = json.loads(header["__metadata__"]["vitsearch-head"])
    assert fields["gate"].pop("labels") == 4
    fields["format_version"] = 2
    save_file(load_file(path), path, metadata={"vitsearch-head": json.dumps(fields)})
    earlier = load_head(path)
    rows = library({0: 50, 4: 50}, seed=2)
    assert 1 - earlier.top(rows[:50], np.ones(50, np.float32)).none.mean() >= 0.95
    assert earlier.top(rows[50:], np.ones(50, np.float32)).none.mean() >= 0.95


@pytest.mark.parametrize(
    "change",
    [
        lambda tensors, _: tensors.pop("gate_examples"),
        lambda tensors, _: tensors.update(gate_weight=tensors["gate_weight"][:, :7].copy()),
        lambda tensors, _: tensors.update(gate_bias=tensors["gate_bias"][:1].copy()),
        lambda tensors, _: tensors.update(gate_bias=np.full_like(tensors["gate_bias"], np.nan)),
        lambda tensors, _: tensors.update(gate_examples=tensors["gate_examples"].astype(np.float64)),
        lambda _, fields: fields.pop("gate"),
        lambda _, fields: fields["gate"].update(cut="0"),
        lambda _, fields: fields["gate"].update(nearest=float("inf")),
        lambda _, fields: fields["gate"].update(background=1.5),
        lambda _, fields: fields["gate"].update(labels=1000),
        lambda _, fields: fields["gate"].update(labels=-1),
        lambda _, fields: fields["gate"].update(labels="4"),
        lambda _, fields: fields.update(format_version=1),
    ],
)
def test_a_gate_that_does_not_fit_is_refused_in_one_line(tmp_path, change):
    head = train("kinds", labelled(KNOWN, 20), space=SPACE, background=library(UNKNOWN)).head
    path = tmp_path / "odd.safetensors"
    save_head(head, path)
    content = path.read_bytes()
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    fields = json.loads(header["__metadata__"]["vitsearch-head"])
    tensors = load_file(path)
    change(tensors, fields)
    save_file(tensors, path, metadata={"vitsearch-head": json.dumps(fields)})
    with pytest.raises(HeadError, match=r"odd\.safetensors") as caught:
        load_head(path)
    assert "\n" not in str(caught.value)


def test_a_head_of_an_earlier_version_works_as_before_and_says_what_it_lacks(tmp_path):
    # Written without a gate, its file is what earlier versions wrote.
    head = train("animals", make_clusters(), space=make_space()).head
    save_head(head, tmp_path / "animals.safetensors")
    loaded = load_head(tmp_path / "animals.safetensors")
    assert loaded.gate is None
    assert loaded.lacks is not None
    assert "cannot tell what shows none of its labels" in loaded.lacks
    assert "make it again" in loaded.lacks
