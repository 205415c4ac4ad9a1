"""Duplicates as JSON, for the command line and the HTTP API."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitsearch.duplicates.find import group_name

if TYPE_CHECKING:
    from vitsearch.duplicates.calibrate.library_thresholds import CalibratedThresholds
    from vitsearch.duplicates.find import DuplicateReport
    from vitsearch.duplicates.group.grouping import DuplicateGroup, GroupedFile
    from vitsearch.duplicates.verify.evidence import Evidence


def report_document(report: DuplicateReport) -> dict[str, object]:
    """Return what `duplicates --json` prints."""
    return {
        "groups": [group_document(found) for found in report.groups],
        "cutoffs": thresholds_document(report.calibrated),
        "photos": report.photos,
        "pairs": report.pairs,
        "skipped": report.skipped,
        **apart_document(report),
    }


def apart_document(report: DuplicateReport) -> dict[str, object]:
    """Return what is in no group: what differs in a detail or colour, and files that hold or show more."""
    return {
        "alike": [
            {
                "first": pair.first,
                "second": pair.second,
                "score": round(pair.evidence.score, 4),
                "reason": pair.reason,
            }
            for pair in report.alike
        ],
        "contains": [{"path": one.path, "other": one.other, "reason": one.lost} for one in report.contains],
    }


def group_document(found: DuplicateGroup) -> dict[str, object]:
    """Return one group, its files with what was seen of each."""
    return {
        "group": group_name(found),
        "tier": found.tier,
        "score": round(found.score, 4),
        "keep": found.keep,
        "reason": found.reason,
        "files": [_file(file) for file in found.files],
    }


def thresholds_document(calibrated: CalibratedThresholds | None) -> dict[str, object] | None:
    """Return the cut-offs of the second look and what they rest on, or None where there was no second look."""
    if calibrated is None:
        return None
    known = {
        "share": round(calibrated.thresholds.share, 4),
        "closeness": round(calibrated.thresholds.closeness, 4),
    }
    if calibrated.calibration is None:
        return {"earned": False, **known}
    return {
        "earned": True,
        **known,
        "max_false_share": calibrated.calibration.max_false_share,
        "false_share": calibrated.calibration.false_share,
        "other_pairs": calibrated.calibration.negatives,
        "recall": {family: round(share, 4) for family, share in calibrated.recall.items()},
    }


def _file(file: GroupedFile) -> dict[str, object]:
    known: dict[str, object] = {
        "path": file.path,
        "photo": file.photo,
        "content": file.file_hash.hex(),
        "tier": file.tier,
        "score": round(file.score, 4),
    }
    if file.edit:
        known["edit"] = file.edit
    if file.copy_of is not None:
        known["copy_of"] = file.copy_of
    return known if file.evidence is None else known | evidence_document(file.evidence)


def evidence_document(seen: Evidence) -> dict[str, object]:
    """Return what was seen of a pair, rounded to what it means."""
    return {
        "transform": seen.transform,
        "cosine": None if seen.cosine is None else round(seen.cosine, 4),
        "hash_distance": seen.hash_distance,
        "inliers": seen.inliers,
        "share": round(seen.share, 4),
        "closeness": round(seen.closeness, 4),
    }
