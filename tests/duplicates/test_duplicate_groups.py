"""Groups that do not chain, the file to keep and why, and what is never a duplicate."""

from pathlib import Path
from typing import Any

import pytest

from vitsearch.duplicates.group.grouping import DuplicateGroup, Link, moments_apart
from vitsearch.duplicates.group.grouping import group as grouping
from vitsearch.duplicates.group.keep import Candidate, choose
from vitsearch.duplicates.group.sidecars import are_one_item
from vitsearch.duplicates.verify.evidence import Evidence

PHOTOS = Path("/photos")
DAY = 24 * 3600 * 10**9


def file(name: str, photo: int, **facts: Any) -> Candidate:
    values: dict[str, Any] = {
        "file_hash": f"{photo}".encode(), "size": 1000, "mtime_ns": 0, "format": "JPEG", "width": 400, "height": 300,
    }  # fmt: skip
    return Candidate(path=PHOTOS / name, photo=photo, **{**values, **facts})


def group(files: list[Candidate], links: list[Link], **options: Any) -> list[DuplicateGroup]:
    return grouping(files, links, **options).groups


def near(first: int, second: int, score: float = 0.95, **seen: Any) -> Link:
    return Link(first, second, "near", score, Evidence(share=score, closeness=1.0, **seen))


def brief(groups: list[DuplicateGroup]) -> list[tuple[str, float, list[str]]]:
    """The tier, score and names of each group, the kept file first."""
    return [(found.tier, found.score, [file.path.name for file in found.files]) for found in groups]


def test_files_with_the_same_bytes_are_exact_and_a_changed_header_makes_them_pixels():
    files = [
        file("a.jpg", 1, file_hash=b"x", mtime_ns=1),
        file("b.jpg", 1, file_hash=b"x", mtime_ns=2),
        file("c.jpg", 2, file_hash=b"y", mtime_ns=1),
        file("d.jpg", 2, file_hash=b"z", mtime_ns=2),
        file("alone.jpg", 3),
    ]
    assert brief(group(files, [])) == [
        ("exact", 1.0, ["a.jpg", "b.jpg"]),
        ("pixels", 1.0, ["c.jpg", "d.jpg"]),
    ]


def test_a_group_has_the_tier_of_its_weakest_link_and_the_lowest_score():
    files = [
        file("a.jpg", 1, width=800, height=600),
        file("a-copy.jpg", 1, width=800, height=600, mtime_ns=5),
        file("small.jpg", 2),
        file("smaller.jpg", 3, width=200),
    ]
    found = group(files, [near(1, 2, 0.97), near(1, 3, 0.91)])
    assert brief(found) == [("near", 0.91, ["a.jpg", "a-copy.jpg", "small.jpg", "smaller.jpg"])]
    assert [(one.tier, one.score) for one in found[0].files] == [
        ("exact", 1.0), ("exact", 1.0), ("near", 0.97), ("near", 0.91),
    ]  # fmt: skip


def test_a_chain_of_look_alikes_is_not_a_group():
    files = [file(f"{number}.jpg", number, width=1000 - 150 * number) for number in (1, 2, 3, 4)]
    found = group(files, [near(1, 2), near(2, 3), near(3, 4)])
    assert brief(found) == [("near", 0.95, ["1.jpg", "2.jpg"]), ("near", 0.95, ["3.jpg", "4.jpg"])]


def test_an_original_with_two_disjoint_crops_is_one_group():
    files = [file("left.jpg", 1, width=200), file("original.jpg", 2), file("right.jpg", 3, width=200)]
    links = [near(1, 2, of_first=1, of_second=0.5), near(2, 3, of_first=0.5, of_second=1)]
    assert brief(group(files, links)) == [("near", 0.95, ["original.jpg", "left.jpg", "right.jpg"])]


def test_a_link_that_nobody_proposed_is_asked_for_inside_a_connected_set():
    files = [file(f"{number}.jpg", number, width=1000 - 150 * number) for number in (1, 2, 3, 9)]
    asked = []

    def confirm(first: int, second: int) -> Link:
        asked.append((first, second))
        return near(first, second, 0.9)

    found = group(files, [near(1, 2), near(2, 3)], confirm=confirm)
    assert brief(found) == [("near", 0.9, ["1.jpg", "2.jpg", "3.jpg"])]
    assert asked == [(1, 3)]


def test_every_file_of_a_group_is_linked_to_the_kept_one():
    files = [file(f"{number}.jpg", number, width=1000 - 7 * number) for number in range(40)]
    links = [near(i, j) for i in range(40) for j in range(i + 1, 40) if (i * j) % 5 == 1 or j == i + 1]
    pairs = {(link.first, link.second) for link in links}
    found = group(files, links)
    names = [int(one.path.stem) for members in found for one in members.files]
    assert len(names) == len(set(names)) > 20
    for members in found:
        kept = members.files[0].photo
        assert all((min(kept, one.photo), max(kept, one.photo)) in pairs for one in members.files[1:])


def test_rejected_pairs_never_come_back_and_a_new_member_does():
    files = [file("a.jpg", 1, width=800), file("b.jpg", 2), file("c.jpg", 3, width=300)]
    assert group(files[:2], [near(1, 2)], rejected={(1, 2)}) == []
    found = group(files, [near(1, 2), near(1, 3)], rejected={(1, 2)}, confirm=near)
    assert brief(found) == [("near", 0.95, ["a.jpg", "c.jpg"])]
    copies = [file("x.jpg", 7), file("y.jpg", 7)]
    assert group(copies, [], rejected={(7, 7)}) == []


def test_only_the_tiers_asked_for_are_reported():
    files = [file("a.jpg", 1, width=800), file("a-copy.jpg", 1, width=800), file("small.jpg", 2)]
    links = [near(1, 2)]
    assert brief(group(files, links, tiers=["exact"])) == [("exact", 1.0, ["a.jpg", "a-copy.jpg"])]
    assert brief(group(files, links, tiers=["near"])) == [("near", 0.95, ["a.jpg", "small.jpg"])]


def test_a_burst_stays_apart_from_the_copies_of_its_shots():
    files = [
        file("1.jpg", 1),
        file("1-copy.jpg", 1, mtime_ns=9),
        file("2.jpg", 2, mtime_ns=3),
        file("3.jpg", 3, mtime_ns=4),
    ]
    links = [Link(1, 2, "burst", 0.95), Link(1, 3, "burst", 0.92), Link(2, 3, "burst", 0.99)]
    assert brief(group(files, links)) == [
        ("exact", 1.0, ["1.jpg", "1-copy.jpg"]),
        ("burst", 0.92, ["1.jpg", "2.jpg", "3.jpg"]),
    ]


def test_a_shot_of_a_burst_is_shown_by_the_file_that_stays_when_its_copies_go():
    files = [file("1.jpg", 1), file("2 (copy).jpg", 2, mtime_ns=9), file("2.jpg", 2, mtime_ns=3)]
    burst = Link(1, 2, "burst", 0.95)
    assert brief(group(files, [burst])) == [
        ("exact", 1.0, ["2.jpg", "2 (copy).jpg"]),
        ("burst", 0.95, ["1.jpg", "2.jpg"]),
    ]
    assert brief(group(files, [burst], prefer=[PHOTOS / "2 (copy).jpg"]))[1][2] == ["2 (copy).jpg", "1.jpg"]


def test_a_raw_file_and_its_picture_are_one_item():
    files = [file("IMG_1.DNG", 1, format="TIFF"), file("IMG_1.jpg", 2), file("IMG_2.jpg", 3, mtime_ns=1)]
    found = group(files, [near(1, 2), near(1, 3), near(2, 3)])
    assert brief(found) == [("near", 0.95, ["IMG_1.DNG", "IMG_2.jpg"])]
    assert are_one_item(PHOTOS / "a.NEF", PHOTOS / "A.jpg")
    assert not are_one_item(PHOTOS / "a.png", PHOTOS / "a.jpg")
    assert not are_one_item(PHOTOS / "a.nef", PHOTOS / "other" / "a.jpg")


@pytest.mark.parametrize(
    ("better", "worse", "reason"),
    [
        ({"width": 4000}, {"width": 2000}, "highest resolution (4000 x 300)"),
        ({"format": "PNG"}, {"format": "JPEG"}, "best format (PNG)"),
        ({"sidecars": (PHOTOS / "zz-good.nef",)}, {"format": "PNG"}, "best format (raw)"),
        ({"sidecars": (PHOTOS / "zz-good.mov",)}, {}, "holds the video of its moment"),
        ({"quality": 95}, {"quality": 60}, "highest JPEG quality (95)"),
        ({"camera": "Pixel 7"}, {"camera": None}, "has the camera's own data"),
        ({}, {"software": "GIMP 2.10"}, "not saved by an editor"),
        ({"mtime_ns": 1}, {"mtime_ns": 2 + DAY}, "the oldest file"),
        ({"width": 380}, {"width": 500, "share": 0.75, "mtime_ns": 3 + DAY}, "the oldest file"),
        ({"part": False}, {"part": True, "width": 900}, "shows the whole frame"),
        ({"taken": "2011-05-01T10:00:00"}, {"taken": "2012-05-01T10:00:00"}, "the earliest capture date"),
        (
            {"taken": "2011-05-01T10:00:00", "mtime_ns": 1},
            {"taken": "1919-05-01T10:00:00", "mtime_ns": 2 + DAY},
            "the oldest file",
        ),
        (
            {"taken": "2998-05-01T10:00:00", "mtime_ns": 1},
            {"taken": "2011-05-01T10:00:00", "mtime_ns": 2 + DAY},
            "the oldest file",
        ),
        (
            {"camera": "Pixel 7", "mtime_ns": 2 + DAY},
            {"camera": "Pixel 7", "format": "WEBP", "mtime_ns": 1},
            "in the format of a camera",
        ),
    ],
)
def test_the_better_file_is_kept_for_a_stated_reason(better, worse, reason):
    good, bad = file("zz-good.jpg", 1, **better), file("bad.jpg", 2, **worse)
    assert choose([good, bad]) == choose([bad, good]) == (good, reason)


def test_resolution_comes_before_the_preferred_folder_and_that_before_age():
    large, small = file("x/large.jpg", 1, width=900), file("best/small.jpg", 2)
    old, new = file("x/old.jpg", 3), file("best/new.jpg", 4, mtime_ns=9)
    prefer = [PHOTOS / "none", PHOTOS / "best"]
    assert choose([large, small], prefer=prefer)[0] == large
    assert choose([old, new], prefer=prefer) == (new, f"in the preferred folder {PHOTOS / 'best'}")


def test_equal_files_are_chosen_by_the_shorter_path_in_any_order():
    files = [file("deep/er/a.jpg", 1), file("b.jpg", 2), file("c.jpg", 3)]
    assert choose(files) == choose(files[::-1]) == (files[1], "all are equal: the shortest path")


def test_an_original_is_kept_before_a_larger_screenshot_of_it():
    original = file("original.jpg", 1, width=1200, height=900, camera="Pixel 7")
    screenshot = file("screenshot.png", 2, width=1080, height=1920, format="PNG")
    shown = near(1, 2, of_first=1.0, of_second=0.42, content_second=0.95)
    assert group([original, screenshot], [shown])[0].files[0].tier == "exact"
    small = file("small-screenshot.png", 2, width=540, height=960, format="PNG")
    assert group([original, small], [shown])[0].keep == original.path


def test_a_crop_that_was_enlarged_does_not_replace_its_original():
    original, crop = file("original.jpg", 1), file("crop.jpg", 2, width=480, height=360, finer=False)
    links = [near(1, 2, of_first=0.5, of_second=1.0, content_first=1.0)]
    found = group([original, crop], links)
    assert (found[0].keep, found[0].reason) == (original.path, "shows the whole frame")


@pytest.mark.parametrize("finer", [True, None])
def test_a_crop_that_has_detail_of_its_own_or_was_not_measured_does_not_go_for_its_original(finer):
    original, crop = file("original.jpg", 1), file("crop.jpg", 2, width=480, height=360, finer=finer)
    assert group([original, crop], [near(1, 2, of_first=0.5, of_second=1.0, content_first=1.0)]) == []


@pytest.mark.parametrize("crop", ["a.jpg", "long/name/of/a/crop.jpg"])
def test_a_crop_with_detail_of_its_own_and_the_whole_are_both_kept_whatever_their_names(crop):
    whole, part = file("whole.jpg", 1, width=600, height=800), file(crop, 2, width=680, height=780)
    links = [near(1, 2, of_first=0.24, of_second=1.0, content_first=1.0, beyond_first=0.7)]
    assert group([whole, part], links) == []


def test_time_between_two_shots():
    assert moments_apart("2024-05-01T10:00:00", "2024-05-01T10:00:07") == 7
    assert moments_apart(None, "2024-05-01T10:00:07") is None
