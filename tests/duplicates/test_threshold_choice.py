"""Cut-offs that are calibrated: stricter where the library's other photos come closer, with the recall they leave."""

from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from vitsearch.duplicates.calibrate.calibration import (
    Calibration,
    calibrate,
    evidence_of_copies,
    strictness_of,
    thresholds_at,
)
from vitsearch.duplicates.calibrate.edits import EDITS
from vitsearch.duplicates.verify.evidence import Evidence, Thresholds

SAMPLES = Path(__file__).parents[2] / "sample_images"


def seen(strictness: float) -> Evidence:
    """Evidence that passes exactly the cut-offs of this strictness."""
    at = thresholds_at(strictness)
    return Evidence(share=at.share, closeness=at.closeness, of_first=1.0, of_second=1.0)


def negatives(*, highest: float, count: int = 2000, decay: float = 0.2) -> list[Evidence]:
    """Pairs of other photos whose scores fall off exponentially and end at `highest`."""
    random = np.random.default_rng(0)
    scores = highest - decay * np.log(count / 4) + random.exponential(decay, count // 4)
    scores[np.argmax(scores)] = highest
    return [seen(float(min(score, highest))) for score in scores] + [Evidence()] * (count - count // 4)


COPIES = {
    "light": [seen(value) for value in (0.6, 0.7, 0.8, 0.95)],
    "hard": [seen(-0.2), seen(0.1), Evidence(), seen(0.5)],
}


def test_strictness_is_a_scale_of_cutoffs():
    assert thresholds_at(0) == Thresholds()
    for value in (-0.5, 0.0, 0.3, 0.9):
        assert strictness_of(seen(value)) == pytest.approx(value)
        assert seen(value + 0.01).confirms(thresholds_at(value))
        assert not seen(value - 0.01).confirms(thresholds_at(value))
    assert strictness_of(Evidence()) == -10
    assert strictness_of(Evidence(share=1, closeness=1, of_first=0.5, of_second=0.5)) == -10


def test_cutoffs_are_stricter_where_other_photos_come_closer():
    chosen = [
        strictness_of_cutoffs(
            calibrate(COPIES, negatives(highest=highest), max_false_share=0.01, proposed=2000, right=100)
        )
        for highest in (-2.0, -0.5, 0.0, 0.4)
    ]
    assert chosen == sorted(chosen)
    assert len(set(chosen)) >= 3


def strictness_of_cutoffs(found: Calibration) -> float:
    default = Thresholds().share
    return round((found.thresholds.share - default) / (1 - default), 4)


def test_a_smaller_share_asks_for_stricter_cutoffs_and_costs_recall():
    near = negatives(highest=-0.1)
    loose = calibrate(COPIES, near, max_false_share=0.2, proposed=2000, right=100)
    strict = calibrate(COPIES, near, max_false_share=0.001, proposed=2000, right=100)
    assert strictness_of_cutoffs(loose) < strictness_of_cutoffs(strict)
    assert strict.recall["hard"] < loose.recall["hard"]
    for found in (loose, strict):
        assert found.false_share <= found.max_false_share


def test_the_estimate_is_borne_out_by_fresh_pairs():
    """Chosen on one sample, the cut-offs let through about the promised share of another, larger one."""
    known, fresh = negatives(highest=0.1), negatives(highest=0.1, count=200_000)
    found = calibrate(COPIES, known, max_false_share=0.05, proposed=200_000, right=2000)
    wrong = sum(one.confirms(found.thresholds) for one in fresh)
    assert wrong / (wrong + 2000) <= 0.1


def test_recall_and_mistakes_are_counted_at_the_chosen_cutoffs():
    found = calibrate(COPIES, [Evidence()] * 50 + [seen(0.2)], max_false_share=0.5, proposed=51, right=10)
    confirmed = [
        sum(one.confirms(found.thresholds) for one in COPIES[name]) / 4 for name in ("light", "hard")
    ]
    assert found.recall == {"light": confirmed[0], "hard": confirmed[1]}
    assert (found.negatives, found.mistaken) == (51, int(seen(0.2).confirms(found.thresholds)))


def test_where_nothing_is_strict_enough_the_strictest_is_taken_and_says_so():
    found = calibrate(COPIES, [seen(0.95)] * 40, max_false_share=0.001, proposed=40, right=1)
    assert strictness_of_cutoffs(found) == 0.9
    assert found.false_share > found.max_false_share
    assert found.mistaken == 40


@pytest.mark.parametrize("share", [0, 1, -0.1, 7])
def test_a_share_outside_of_0_to_1_is_refused(share):
    with pytest.raises(ValueError, match="between 0 and 1"):
        calibrate(COPIES, [], max_false_share=share, proposed=1, right=1)


def test_a_calibration_can_be_stored():
    found = calibrate(COPIES, negatives(highest=0.0), max_false_share=0.01, proposed=2000, right=100)
    assert Calibration.from_json(found.to_json()) == found


def test_all_edits_are_tried_equally_often_and_the_same_seed_repeats_them():
    images = [
        Image.open(SAMPLES / "travel" / f"castle-{number}.jpg").convert("RGB").reduce(2)
        for number in (2, 3, 4)
    ]
    found = evidence_of_copies(images, edits_each=13)
    assert {name: len(evidence) for name, evidence in found.items()} == {edit.name: 1 for edit in EDITS}
    assert found == evidence_of_copies(images, edits_each=13)
    confirmed = sum(evidence[0].confirms(Thresholds()) for evidence in found.values())
    assert confirmed >= len(EDITS) - 3
