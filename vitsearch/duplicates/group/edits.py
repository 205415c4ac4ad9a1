"""Whether a person made a file by work: what a photo editor, or the name, says of it.

Such a file is no copy that can be made again. Where it shows a visibly changed picture, it stays beside the one that it
was made from.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from vitsearch.duplicates.verify.editors import first_editor

if TYPE_CHECKING:
    from vitsearch.duplicates.group.keep import Candidate

# What phones, editors and web albums call an edit of theirs: IMG_E1234 and FullSizeRender of an iPhone, -Edit of
# Lightroom, ~2 of Google Photos and Samsung, -edited of Takeout in its languages.
_EDIT_NAME = re.compile(
    r"^IMG_E\d{4}|^FullSizeRender|[-_ (]edit(ed)?\d*([-_ ]\d+)?\)?$|[-_ (](bearbeitet|modifié|modifie|editado|editada|"
    r"modificato|bewerkt|edytowane|redigerad|redigeret|muokattu|retouched|retuschiert)([-_ ]?\d+)?\)?$|"
    r"[-_ (](編集済み|已修改|已編輯|수정됨)\)?$|~\d{1,2}$",
    re.IGNORECASE,
)
# What a file manager adds to the name of a second copy.
_COUNTED = re.compile(r"[ _]?(\(\d+\)|- copy)$", re.IGNORECASE)


def why_made_by_hand(file: Candidate) -> str:
    """Say what tells that a person made a file in an editor; "" where nothing does."""
    editor = first_editor(file.software, *file.details.programs)
    if editor is not None:
        return f"saved by {editor}"
    if file.details.developed:
        return "developed in a raw converter"
    return "named as an edit" if _EDIT_NAME.search(_COUNTED.sub("", file.path.stem)) else ""
