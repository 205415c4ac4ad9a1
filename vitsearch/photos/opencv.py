"""OpenCV as the decoder of what Pillow knows only in 8 bits: numbers of any depth, as they are stored."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy.typing as npt


def stored_values(data: bytes) -> npt.NDArray[Any] | None:
    """Decode a file, whatever the depth, blue first: (height, width) or (height, width, channels).

    None where OpenCV cannot. It would say on standard error what it thinks of that.
    """
    import cv2
    import numpy as np

    before = cv2.utils.logging.getLogLevel()
    cv2.utils.logging.setLogLevel(cv2.utils.logging.LOG_LEVEL_SILENT)
    try:
        return cv2.imdecode(np.frombuffer(data, np.uint8), cv2.IMREAD_UNCHANGED)
    except cv2.error as error:
        if "nsufficient memory" in str(error):
            raise MemoryError from error
        return None
    finally:
        cv2.utils.logging.setLogLevel(before)
