"""Where corrections leave too little to learn from, the message names what they have done."""

import numpy as np
import pytest

from tests.support.mean_colour import MeanColour
from vitsearch.errors import HeadError
from vitsearch.heads.examples import LabelledRows
from vitsearch.heads.training import train


@pytest.mark.parametrize("last", ["dog", "y"])
def test_a_slip_that_leaves_no_two_labels_is_named(last):
    rows = np.eye(13, dtype=np.float32)[:4]
    examples = LabelledRows(rows, (("cat",), ("dgo",), ("dog",), (last,)))
    few = {"cat", "dgo"} if last == "dog" else {"cat", "dgo", "dog", "y"}
    with pytest.raises(HeadError, match=r"'cat'.*'dgo'.*correct those photos again"):
        train("pets", examples, space=MeanColour().space, may_wait=few)
