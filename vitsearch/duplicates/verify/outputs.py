"""Whether two files are two outputs of a camera for one second: an HDR and what it was made of, shots of a burst."""

from __future__ import annotations

from dataclasses import dataclass

from vitsearch.duplicates.verify.editors import is_editor

# EXIF CustomRendered as phones write it: 2 HDR alone, 3 HDR with 4 the exposure kept beside it, 6 panorama, 7 portrait
# of an HDR, 8 portrait. 0 and 1, "normal" and "custom", are the standard's: editors leave the first one out.
_RENDERED = frozenset((2, 3, 4, 6, 7, 8))
IN_WORDS = "another picture that the camera made of the moment"


@dataclass(frozen=True, slots=True)
class Output:
    """What a camera noted in a file of how and when it made it: see `FileDetails`. `software`: what wrote the file."""

    rendered: int = 0
    subsecond: str = ""
    software: str | None = None


def are_two_outputs(one: Output, two: Output) -> bool:
    """Whether files that one camera took in one second are two pictures of it, and neither was made from the other."""
    if one.rendered and two.rendered and one.rendered != two.rendered:
        return not _RENDERED.isdisjoint((one.rendered, two.rendered))
    apart = one.subsecond and two.subsecond and one.subsecond != two.subsecond
    return bool(apart) and not (is_editor(one.software) or is_editor(two.software))
