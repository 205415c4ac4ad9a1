"""Why a photo cannot be read is said in words for people, whatever a decoder says."""

import io
import re
from random import Random

import numpy as np
import pytest
from PIL import Image
from written_files import dng, psd

from vitsearch.errors import UnreadablePhoto
from vitsearch.photos.formats import format_of
from vitsearch.photos.photo import parse_photo

WORDS = re.compile(
    r"it is truncated \([a-z' ]+\)|it is truncated \(\d+ of \d+ tiles are missing\)|its (header|image data) is damaged"
    r"|it is of a kind that is not supported( \(its compression is none that is known here\))?"
    r"|it is not an image in a format that is read here|it declares \d+ x \d+ pixels, more than the limit of \d+"
    r"|it needs more memory than there is|this camera's raw format is not supported by LibRaw"
    r"|it is a Photoshop file (of a kind|with a compression) that is not supported"
)


def pictures():
    y, x = np.mgrid[0:48, 0:64]
    image = Image.fromarray(np.stack([x * 4, y * 5, (x + y) % 200], axis=2).astype(np.uint8))
    for kind in ("JPEG", "PNG", "WEBP", "GIF", "TIFF", "BMP", "AVIF", "JPEG2000", "PPM"):
        buffer = io.BytesIO()
        image.save(buffer, kind)
        yield kind, buffer.getvalue()
    yield "PSD", psd(image, packed=True)
    yield "DNG", dng(image)
    yield "DNG", dng(image, preview=False)


@pytest.mark.filterwarnings("ignore")  # Pillow's, about what is damaged
@pytest.mark.parametrize(("kind", "data"), list(pictures()))
def test_damage_is_told_in_words(kind, data):
    random = Random(kind)
    reasons = []
    for number in range(60):
        damaged = bytearray(data)
        for _ in range(random.choice([1, 4, 30])):
            damaged[random.randrange(min(len(damaged), random.choice([64, 400, 1 << 20])))] = (
                random.randrange(256)
            )
        cut = bytes(damaged[: random.randrange(8, len(damaged)) if number % 4 == 0 else len(damaged)])
        try:
            parse_photo(cut, name=f"a.{kind.lower()}").pixels()
        except UnreadablePhoto as error:
            reasons.append(error.reason)
    assert reasons
    assert [reason for reason in reasons if not WORDS.fullmatch(reason)] == []


@pytest.mark.parametrize("brand", [b"jpeg", b"avci", b"miaf", b"unif"])
def test_other_brands_of_heif_are_images(brand):
    head = b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1" + brand
    known = format_of(head, "a.heif")
    assert known is not None
    assert known.name == "HEIF"
    with pytest.raises(UnreadablePhoto, match="it is truncated"):
        parse_photo(head, name="a.heif")
