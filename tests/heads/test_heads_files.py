"""Heads as files: what is saved comes back, and what is not a head is refused."""

import dataclasses
import json
import pickle

import numpy as np
import pytest
from safetensors.numpy import save, save_file

from tests.support.labelled_clusters import make_clusters, make_space
from vitsearch.errors import HeadError
from vitsearch.heads.files import head_to_json, load_head, save_head
from vitsearch.heads.head import Head
from vitsearch.heads.training import train


@pytest.fixture(scope="module")
def head() -> Head:
    return train("animals é", make_clusters(("cat", "ねこ", "x" * 500)), space=make_space()).head


def test_a_saved_head_comes_back_whole(head, tmp_path):
    save_head(head, tmp_path / "animals.safetensors")
    loaded = load_head(tmp_path / "animals.safetensors")
    for field in dataclasses.fields(Head):
        before, after = getattr(head, field.name), getattr(loaded, field.name)
        if isinstance(before, np.ndarray):
            np.testing.assert_array_equal(after, before)
        elif field.name == "details":
            assert after == json.loads(json.dumps(before))
        else:
            assert after == before
    rows, norms = make_clusters(seed=3).rows, np.ones(60, np.float32)
    np.testing.assert_array_equal(loaded.probabilities(rows, norms), head.probabilities(rows, norms))


def test_saving_replaces_the_file_in_one_step_and_leaves_nothing_else(head, tmp_path):
    path = tmp_path / "animals.safetensors"
    path.write_bytes(b"old")
    path.chmod(0o640)
    save_head(head, path)
    assert load_head(path).labels == head.labels
    assert path.stat().st_mode & 0o777 == 0o600  # a head tells of photos: its owner alone reads it
    assert [each.name for each in tmp_path.iterdir()] == ["animals.safetensors"]


def test_a_folder_that_cannot_be_written_is_named(head, tmp_path):
    with pytest.raises(HeadError, match="cannot write"):
        save_head(head, tmp_path / "nowhere" / "animals.safetensors")


def test_a_file_cut_short_anywhere_is_refused(head, tmp_path):
    whole = tmp_path / "whole.safetensors"
    save_head(head, whole)
    content = whole.read_bytes()
    cut = tmp_path / "cut.safetensors"
    for length in (0, 4, 8, 60, len(content) // 2, len(content) - 1):
        cut.write_bytes(content[:length])
        with pytest.raises(HeadError, match=r"cut\.safetensors"):
            load_head(cut)


def test_a_pickle_is_refused_and_not_run(tmp_path):
    ran = tmp_path / "ran"

    class Evil:
        def __reduce__(self):
            return (open, (str(ran), "w"))

    path = tmp_path / "evil.safetensors"
    path.write_bytes(pickle.dumps(Evil()))
    with pytest.raises(HeadError, match="not a head"):
        load_head(path)
    assert not ran.exists()


def test_a_header_that_claims_to_be_huge_is_refused_without_reading_it(tmp_path):
    path = tmp_path / "huge.safetensors"
    path.write_bytes((2**62).to_bytes(8, "little") + b"{}")
    with pytest.raises(HeadError, match="too large or cut short"):
        load_head(path)


def test_weights_of_something_else_are_refused(tmp_path):
    path = tmp_path / "model.safetensors"
    save_file({"layer": np.zeros(3, np.float32)}, path)
    with pytest.raises(HeadError, match="not a head that vitsearch saved"):
        load_head(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(HeadError, match=r"gone\.safetensors"):
        load_head(tmp_path / "gone.safetensors")


def broken(**changes):
    return lambda fields: fields.update(changes)


def drop(name):
    return lambda fields: fields.pop(name)


def in_space(**changes):
    return lambda fields: fields["space"].update(changes)


def in_preprocessing(**changes):
    return lambda fields: fields["space"]["preprocessing"].update(changes)


@pytest.mark.parametrize(
    "change",
    [
        broken(format_version=2),
        broken(labels="cat"),
        broken(labels=["cat", "dog"]),
        broken(labels=["cat", "dog", 3]),
        broken(labels=["cat", "dog", "dog"]),
        broken(labels=["cat", "dog", "\x1b[2J"]),
        broken(name="../../etc/passwd"),
        broken(name=["a"]),
        broken(kind="pickle"),
        broken(kind=["softmax"]),
        broken(origin=None),
        broken(temperature=0),
        broken(temperature=float("nan")),
        broken(temperature="1"),
        broken(temperature=True),
        broken(abstain_below=2),
        broken(uses_norms="no"),
        broken(version=1.5),
        broken(created="\x1b]0;"),
        broken(details=[]),
        broken(space=None),
        broken(space=[1]),
        drop("space"),
        drop("kind"),
        in_space(dimension=17),
        in_space(dimension="16"),
        in_space(readout="anything"),
        in_space(model="a\nb"),
        in_space(surprise=1),
        in_preprocessing(fit="stretch"),
        in_preprocessing(mean=["a", "b", "c"]),
        in_preprocessing(mean=7),
        in_preprocessing(height=-0.5),
    ],
)
def test_a_description_that_does_not_make_sense_is_refused_in_one_line(head, tmp_path, change):
    fields = json.loads(head_to_json(head))
    change(fields)
    path = tmp_path / "odd.safetensors"
    path.write_bytes(
        save({"weight": head.weight, "bias": head.bias}, metadata={"vitsearch-head": json.dumps(fields)})
    )
    with pytest.raises(HeadError, match=r"odd\.safetensors") as caught:
        load_head(path)
    assert "\n" not in str(caught.value)
    assert "\x1b" not in str(caught.value)


@pytest.mark.parametrize(
    "tensors",
    [
        {"weight": np.zeros((3, 16), np.float32)},
        {"weight": np.zeros((3, 16), np.float64), "bias": np.zeros(3, np.float32)},
        {"weight": np.zeros((16, 3), np.float32), "bias": np.zeros(3, np.float32)},
        {"weight": np.zeros(48, np.float32), "bias": np.zeros(3, np.float32)},
        {"weight": np.full((3, 16), np.inf, np.float32), "bias": np.zeros(3, np.float32)},
        {"weight": np.zeros((3, 16), np.float32), "bias": np.zeros(3, np.float32), "more": np.zeros(1)},
    ],
)
def test_weights_that_do_not_fit_the_description_are_refused(head, tmp_path, tensors):
    path = tmp_path / "odd.safetensors"
    path.write_bytes(save(tensors, metadata={"vitsearch-head": head_to_json(head)}))
    with pytest.raises(HeadError, match=r"odd\.safetensors"):
        load_head(path)


def test_a_description_nested_without_end_is_refused(head, tmp_path):
    path = tmp_path / "deep.safetensors"
    metadata = {"vitsearch-head": "[" * 200_000}
    path.write_bytes(save({"weight": head.weight, "bias": head.bias}, metadata=metadata))
    with pytest.raises(HeadError, match=r"deep\.safetensors"):
        load_head(path)
