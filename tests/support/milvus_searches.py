"""What must hold of searches in Milvus, wherever the collection is."""

from collections.abc import Callable
from dataclasses import dataclass

import pytest

from tests.support.mean_colour import MeanColour
from tests.support.milvus_collections import export
from vitsearch.engines.milvus.address import Address
from vitsearch.engines.milvus.search import MilvusSearch
from vitsearch.errors import BadQuery
from vitsearch.heads.labelling import Labeller
from vitsearch.heads.store import HeadStore
from vitsearch.library import Library
from vitsearch.records import Match
from vitsearch.storage.filters import Filter


@dataclass(frozen=True, slots=True)
class Both:
    """A library and its collection, which are asked the same."""

    ask: Callable[..., tuple[Match, ...]]
    store: MilvusSearch

    def __call__(self, *examples, **options) -> tuple[Match, ...]:
        return self.ask(*examples, **options)


class Searches:
    """A fixture `address` says where the collection is."""

    @pytest.fixture
    def both(self, indexed, photos, address):
        """Ask the library and the collection the same, demand the same answer, and return it."""
        HeadStore(indexed).train("tone", folder=photos)
        Labeller(HeadStore(indexed), "tone").label()
        HeadStore(indexed).correct("tone", photos / "cold/red.jpg", ("warm",))
        HeadStore(indexed).correct("tone", photos / "cold/blue.jpg", ("cold",))
        export(indexed, address)
        with MilvusSearch(Address.parse(address)) as store:

            def ask(*examples, **options):
                own = indexed.search(*examples, **options)
                theirs = indexed.search(*examples, store=store, **options)
                assert [match.path for match in theirs.results] == [match.path for match in own.results]
                assert [match.score for match in theirs.results] == pytest.approx(
                    [match.score for match in own.results], abs=2e-6
                )
                assert theirs.matches_above == pytest.approx(own.matches_above, abs=1e-5)
                strip = [
                    (m.percentile, m.photo, m.width, m.taken, m.camera, m.other_paths) for m in own.results
                ]
                assert strip == [
                    (m.percentile, m.photo, m.width, m.taken, m.camera, m.other_paths) for m in theirs.results
                ]
                return theirs.results

            yield Both(ask, store)

    def test_answers_are_those_of_the_library_with_every_filter(self, both, photos, picture, tmp_path):
        red = photos / "cold/red.jpg"
        assert len(both(red)) == 9
        assert len(both(red, k=3)) == 3
        assert len(both(red, include_self=True)) == 10
        assert len(both(red, photos / "warm/gold.jpg", negatives=[photos / "cold/blue.jpg"])) == 8
        assert len(both(red, where=Filter(folders=(photos / "warm",)))) == 5
        assert len(both(red, where=Filter(folders=(photos.parent,)))) == 9
        assert len(both(red, where=Filter(folders=(photos / "warm", photos / "cold")))) == 9
        assert len(both(red, where=Filter(after="2018", before="2022-05-17"))) == 4
        assert len(both(red, where=Filter(camera="canon"))) == 3
        assert len(both(red, where=Filter(camera='"100%_\\ C'))) == 3
        assert both(red, where=Filter(camera="1000_")) == ()
        assert len(both(red, where=Filter(camera="pixel", after="2018", folders=(photos / "warm",)))) == 1
        both(red, distinct=True)
        both(red, only_matches=True)
        assert len(both(picture(tmp_path / "new.png", "teal"))) == 10
        both(red, crop=(0, 0, 20, 20))

    @pytest.mark.parametrize(
        ("criteria", "option"), [(Filter(keyword="sea"), "keyword"), (Filter(rating=3), "rating")]
    )
    def test_a_label_passes_over_no_filter_in_silence(self, both, criteria, option):
        with pytest.raises(BadQuery, match=f"leave --{option} away"):
            both.store.find_label("tone", "warm", k=10, criteria=criteria)

    def test_a_label_finds_what_it_finds_in_the_library(self, both, indexed, photos):
        for label in ("warm", "cold"):
            for criteria in (Filter(), Filter((photos / "warm",)), Filter(after="2018", camera="pixel")):
                own = Labeller(HeadStore(indexed), "tone").search(label, criteria=criteria)
                assert own.results or criteria
                assert both.store.find_label("tone", label, k=10, criteria=criteria) == own

    def test_a_place_on_a_drive_that_is_not_mounted_is_left_out(self, both, indexed, photos, tmp_path):
        query = tmp_path / "query.jpg"
        query.write_bytes((photos / "cold/red.jpg").read_bytes())
        photos.rename(tmp_path / "away")
        assert both(query) == ()

    def test_a_machine_without_the_library_can_ask_too(self, both, photos, tmp_path):
        with Library.open(tmp_path / "none", backbone=MeanColour()) as nothing:
            results = nothing.search(photos / "cold/red.jpg", store=both.store).results
        assert len(results) == 9
        assert not (tmp_path / "none").exists()
