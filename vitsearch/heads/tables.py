"""The SQL tables of heads: their training examples, corrections and predictions."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from vitsearch.storage.sql import in_parts

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    import numpy.typing as npt

    from vitsearch.heads.head import Labelling
    from vitsearch.storage.database import Database

    Ids = npt.NDArray[np.int64]

# A label is given to a photo if the head believes it at all and it is the photo's best, or at least as likely as not.
_GIVEN = (
    "l.abstained = 0 AND (l.probability >= 0.5 OR l.probability = "
    "(SELECT max(o.probability) FROM photo_labels o WHERE o.head = l.head AND o.photo = l.photo))"
)


@dataclass(frozen=True, slots=True)
class StoredLabel:
    """A label of a photo under a head, with its probability; 1 if a person chose it.

    - `stands`: the head is sure of it, and no person has said otherwise.
    - `given`: searches for the label find the photo.
    """

    head: str
    label: str
    probability: float
    stands: bool
    given: bool
    by_person: bool


_NONE = 2
# So many photos are labelled in one transaction: others get their turn.
_PHOTOS_AT_ONCE = 2000

# A label that a person named counts, and then no guess at other labels, unless the person spoke of that label alone.
_UNSAID = (
    "NOT EXISTS (SELECT 1 FROM head_examples e WHERE e.head = l.head AND e.photo = l.photo "
    "AND (e.corrected IN (1, 2) OR (e.corrected > 2 AND e.label = l.label)))"
)


def _belief(labelling: Labelling) -> int:
    """Return the column `abstained`: 0 for valid labels, 1 if the head is unsure, 2 if no label applies."""
    return _NONE if labelling.none else int(labelling.abstained)


class HeadTables:
    """The tables `head_examples` and `photo_labels` of a library.

    Corrections are stored next to the training examples, so that they can be removed again. The column `corrected` is:

    - 0: a label of a training example.
    - 1: a label that a person chose; the labels of this kind are the photo's complete list.
    - 2: both.
    - 3, 4: a person said that the photo has this label, or does not have it, and nothing about others.
    - 5, 6: the same, and it is a label of a training example as well.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def examples(self, head: str, *, only_corrected: bool = False) -> dict[int, tuple[str, ...]]:
        """Return the labels to train on, by photo id; () means that no label applies.

        If a person decided on some labels only, the others are those of the training example, or else the head's
        predictions.
        """
        given, whole = self.given_examples(head), self.whole_words(head)
        alone = {photo: said for photo, said in self.words_on_labels(head).items() if photo not in whole}
        guessed = self._guessed(head, [photo for photo in alone if photo not in given])
        partly = {
            photo: tuple(
                sorted(
                    {label for label in given.get(photo, guessed.get(photo, ())) if said.get(label, True)}
                    | {label for label, has in said.items() if has}
                )
            )
            for photo, said in alone.items()
        }
        return {**({} if only_corrected else given), **partly, **whole}

    def whole_words(self, head: str) -> dict[int, tuple[str, ...]]:
        """Return the labels of the photos that a person has labelled completely, by photo id."""
        return self._labels_by_photo(head, "corrected IN (1, 2)")

    def words_on_labels(self, head: str) -> dict[int, dict[str, bool]]:
        """Return a person's decisions on single labels, by photo id: whether the photo has the label."""
        said: dict[int, dict[str, bool]] = {}
        for photo, label, corrected in self._database.rows(
            "SELECT photo, label, corrected FROM head_examples WHERE head = ? AND corrected > 2 "
            "ORDER BY photo, label",
            [head],
            row=tuple[int, str, int],
        ):
            said.setdefault(photo, {})[label] = corrected in (3, 5)
        return said

    def given_examples(self, head: str) -> dict[int, tuple[str, ...]]:
        """Return the labels of the training examples by photo id, without corrections."""
        return self._labels_by_photo(head, "corrected IN (0, 2, 5, 6)")

    def replace_examples(self, head: str, labels: Mapping[int, tuple[str, ...]]) -> None:
        """Replace the training examples; corrections stay."""
        with self._database.write():
            self._database.run("DELETE FROM head_examples WHERE head = ? AND corrected = 0", [head])
            self._database.run(
                "UPDATE head_examples SET corrected = CASE corrected WHEN 2 THEN 1 ELSE corrected - 2 END "
                "WHERE head = ? AND corrected IN (2, 5, 6)",
                [head],
            )
            self._database.run_many(
                "INSERT INTO head_examples (head, photo, label) VALUES (?, ?, ?) "
                "ON CONFLICT (head, photo, label) DO UPDATE SET corrected = "
                "CASE corrected WHEN 1 THEN 2 WHEN 3 THEN 5 WHEN 4 THEN 6 ELSE corrected END",
                [(head, photo, label) for photo, given in labels.items() for label in given or ("",)],
            )

    def correct(self, head: str, photo: int, labels: tuple[str, ...]) -> None:
        """Store a person's labels of a photo, replacing earlier ones."""
        self.correct_all(head, [photo], labels)

    def correct_all(self, head: str, photos: Sequence[int], labels: tuple[str, ...]) -> None:
        """Store the same labels of a person for several photos, replacing earlier ones."""
        for start in range(0, len(photos), _PHOTOS_AT_ONCE):
            with self._database.write():
                for photo in photos[start : start + _PHOTOS_AT_ONCE]:
                    self._correct(head, photo, labels)

    def known_labels(self, head: str, version: int, photos: Iterable[int]) -> dict[int, tuple[str, ...]]:
        """Return the labels of each photo id: a person's, or else the stored predictions of this head's version."""
        said = self.examples(head)
        given: dict[int, list[str]] = {}
        for name, ids in self.given(head, version).items():
            for photo in ids:
                given.setdefault(photo, []).append(name)
        return {photo: said.get(photo, tuple(given.get(photo, ()))) for photo in photos}

    def set_label(
        self, head: str, version: int, photos: Sequence[int], label: str, *, has: bool, exclusive: bool
    ) -> int:
        """Store a person's decision on one label of photos; return how many photos changed.

        The labels of photos that a person has labelled completely, and of training examples, are stored again with or
        without this label. For other photos, only this decision is stored. `exclusive`: a photo has at most one label.
        """
        changed = 0
        for start in range(0, len(photos), _PHOTOS_AT_ONCE):
            # What is known is read where it is written: somebody else may label the same photos at this moment.
            with self._database.write():
                part = photos[start : start + _PHOTOS_AT_ONCE]
                changed += self._say_of_label(head, version, part, label, has=has, exclusive=exclusive)
        return changed

    def _say_of_label(
        self, head: str, version: int, photos: Sequence[int], label: str, *, has: bool, exclusive: bool
    ) -> int:
        confirmed, given = self.whole_words(head), self.given_examples(head)
        spoken_of = self.words_on_labels(head)
        alone = []
        changed = 0
        for photo, labels in self.known_labels(head, version, photos).items():
            if not exclusive and photo not in confirmed and photo not in given:
                # Nobody but the head has said what else it shows: that stays a guess.
                if spoken_of.get(photo, {}).get(label) is not has and (has or label in labels):
                    alone.append(photo)
                continue
            others = tuple(each for each in labels if each != label)
            wanted = ((label,) if exclusive else (*others, label)) if has else others
            # What the head guesses becomes a person's word where a person confirms it: of an example too, which the
            # page may show as a question.
            if set(wanted) != set(labels) or (has and photo not in confirmed):
                self._correct(head, photo, wanted)
                changed += 1
        one, one_of_given = (3, 5) if has else (4, 6)
        self._database.run_many(
            f"INSERT INTO head_examples (head, photo, label, corrected) VALUES (?, ?, ?, {one}) "
            "ON CONFLICT (head, photo, label) DO UPDATE SET corrected = "
            f"CASE WHEN corrected IN (0, 5, 6) THEN {one_of_given} ELSE {one} END",
            [(head, photo, label) for photo in alone],
        )
        return changed + len(alone)

    def _correct(self, head: str, photo: int, labels: tuple[str, ...]) -> None:
        """Do what `correct` does, inside a transaction."""
        self._forget_correction(head, photo)
        self._database.run_many(
            "INSERT INTO head_examples (head, photo, label, corrected) VALUES (?, ?, ?, 1) "
            "ON CONFLICT (head, photo, label) DO UPDATE SET corrected = 2",
            [(head, photo, label) for label in labels or ("",)],
        )

    def new_version(self, head: str, least: int) -> int:
        """Return the version of a new head: `least`, or a higher number that was never used under this name.

        A process that still uses a deleted head can therefore not store predictions under the new one.
        """
        setting = f"version of {head}"
        with self._database.write():
            had = self._database.scalar("SELECT value FROM settings WHERE name = ?", [setting], kind=int)
            said = self._database.scalar(
                "SELECT max(version) FROM photo_labels WHERE head = ?", [head], kind=int
            )
            version = max((least, *(1 + last for last in (had, said) if last is not None)))
            self._database.run(
                "INSERT OR REPLACE INTO settings (name, value) VALUES (?, ?)", [setting, version]
            )
        return version

    def put_labels(self, head: str, version: int, labelled: Iterable[tuple[int, Labelling]]) -> None:
        """Store predictions of a version of the head for these photo ids, replacing earlier ones."""
        said = list(labelled)
        with self._database.write():
            self._database.run_many(
                "DELETE FROM photo_labels WHERE head = ? AND photo = ?", [(head, photo) for photo, _ in said]
            )
            self._database.run_many(
                "INSERT INTO photo_labels (head, photo, label, probability, version, abstained) "
                "VALUES (?, ?, ?, ?, ?, ?)",
                [
                    (head, photo, best.label, best.probability, version, _belief(labelling))
                    for photo, labelling in said
                    for best in labelling.labels
                ],
            )

    def labelled_ids(self, head: str, version: int) -> npt.NDArray[np.int64]:
        """Return the ids of the photos with stored predictions of this version, (n,) int64, ascending."""
        rows = self._database.rows(
            "SELECT DISTINCT photo FROM photo_labels WHERE head = ? AND version = ?", [head, version]
        )
        return np.unique(np.array([row[0] for row in rows], np.int64))

    def probabilities(self, head: str, version: int, label: str) -> npt.NDArray[np.float64]:
        """Return the stored probabilities of a label, (n,), ascending; very low ones are not stored."""
        rows = self._database.rows(
            "SELECT probability FROM photo_labels WHERE head = ? AND version = ? AND label = ?",
            [head, version, label],
        )
        return np.sort(np.array([row[0] for row in rows], np.float64))

    def photos_with(self, head: str, version: int, label: str) -> list[tuple[int, float]]:
        """Return the ids and probabilities of the photos that have a label, most probable first.

        A person's decisions take precedence and have the probability 1.
        """
        return self._database.rows(
            "SELECT photo, 1.0 AS sure FROM head_examples WHERE head = ? AND label = ? "
            "AND corrected IN (1, 2, 3, 5) UNION ALL "
            "SELECT l.photo, l.probability FROM photo_labels l WHERE l.head = ? AND l.version = ? AND l.label = ? "
            f"AND {_GIVEN} AND {_UNSAID} ORDER BY sure DESC, photo",
            [head, label, head, version, label],
            row=tuple[int, float],
        )

    def given(self, head: str, version: int) -> dict[str, list[int]]:
        """Return the ids of the photos with each label, as `photos_with` does; labels without photos are absent."""
        rows = self._database.rows(
            "SELECT label, photo FROM head_examples WHERE head = ? AND corrected IN (1, 2, 3, 5) AND label <> '' "
            "UNION ALL SELECT l.label, l.photo FROM photo_labels l WHERE l.head = ? AND l.version = ? "
            f"AND {_GIVEN} AND {_UNSAID}",
            [head, head, version],
            row=tuple[str, int],
        )
        given: dict[str, list[int]] = {}
        for label, photo in rows:
            given.setdefault(label, []).append(photo)
        return given

    def best(self, head: str, version: int) -> list[tuple[int, str, float, bool]]:
        """Return (photo id, best label, probability, none) for each photo with predictions, most probable first.

        `none`: the photo shows none of the head's labels.
        """
        # SQLite takes the other columns from the row that holds the maximum.
        rows = self._database.rows(
            "SELECT photo, label, max(probability), abstained FROM photo_labels WHERE head = ? AND version = ? "
            "GROUP BY photo ORDER BY 3 DESC, photo",
            [head, version],
            row=tuple[int, str, float, int],
        )
        return [(photo, label, probability, belief == _NONE) for photo, label, probability, belief in rows]

    def take_back(self, head: str, photo: int) -> bool:
        """Remove a person's decisions on a photo; examples get their own labels back. Returns if there were any."""
        with self._database.write():
            return self._forget_correction(head, photo)

    def labels_of(self, photos: Ids, versions: Mapping[str, int]) -> dict[int, list[StoredLabel]]:
        """Return all labels of these photos under these versions of heads, by photo, sorted by head and label."""
        corrected: dict[tuple[int, str], set[str]] = {}
        said: dict[int, list[StoredLabel]] = {}
        for part in in_parts(photos):
            marks = ",".join("?" * len(part))
            for photo, head, label in self._database.rows(
                "SELECT photo, head, label FROM head_examples "
                f"WHERE corrected IN (1, 2, 3, 5) AND photo IN ({marks})",
                part,
                row=tuple[int, str, str],
            ):
                corrected.setdefault((photo, head), set()).add(label)
            rows = self._database.rows(
                f"SELECT photo, head, label, probability, version, stands, stands AND {_GIVEN} FROM (SELECT *, "
                f"l.abstained = 0 AND {_UNSAID} AS stands FROM photo_labels l WHERE l.photo IN ({marks})) l",
                part,
                row=tuple[int, str, str, float, int, int, int],
            )
            for photo, head, label, probability, version, stands, given in rows:
                if versions.get(head) == version:
                    said.setdefault(photo, []).append(
                        StoredLabel(head, label, probability, bool(stands), bool(given), by_person=False)
                    )
        for (photo, head), labels in corrected.items():
            if head in versions:
                said.setdefault(photo, []).extend(
                    StoredLabel(head, label, 1.0, stands=True, given=True, by_person=True)
                    for label in labels
                    if label
                )
        return {
            photo: sorted(every, key=lambda one: (one.head, one.label, one.by_person))
            for photo, every in said.items()
        }

    def forget(self, head: str) -> None:
        """Delete everything stored about a head."""
        with self._database.write():
            self._database.run("DELETE FROM head_examples WHERE head = ?", [head])
            self._database.run("DELETE FROM photo_labels WHERE head = ?", [head])

    def _labels_by_photo(self, head: str, condition: str) -> dict[int, tuple[str, ...]]:
        rows = self._database.rows(
            f"SELECT photo, label FROM head_examples WHERE head = ? AND {condition} ORDER BY photo, label",
            [head],
            row=tuple[int, str],
        )
        labels: dict[int, tuple[str, ...]] = {}
        for photo, label in rows:
            labels[photo] = (*labels.get(photo, ()), *([label] if label else []))
        return labels

    def _guessed(self, head: str, photos: list[int]) -> dict[int, list[str]]:
        """Return the labels that the head last predicted for these photo ids."""
        labels: dict[int, list[str]] = {}
        for part in in_parts(photos):
            marks = ",".join("?" * len(part))
            rows = self._database.rows(
                f"SELECT l.photo, l.label FROM photo_labels l WHERE l.head = ? AND l.photo IN ({marks}) AND {_GIVEN}",
                [head, *part],
                row=tuple[int, str],
            )
            for photo, label in rows:
                labels.setdefault(photo, []).append(label)
        return labels

    def _forget_correction(self, head: str, photo: int) -> bool:
        deleted = self._database.run(
            "DELETE FROM head_examples WHERE head = ? AND photo = ? AND corrected IN (1, 3, 4)",
            [head, photo],
        )
        changed = self._database.run(
            "UPDATE head_examples SET corrected = 0 WHERE head = ? AND photo = ? AND corrected IN (2, 5, 6)",
            [head, photo],
        )
        return deleted.rowcount + changed.rowcount > 0
