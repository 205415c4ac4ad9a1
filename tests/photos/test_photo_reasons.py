"""Why a photo cannot be read is said in words for people, whatever a decoder says."""

import io
import re
from random import Random

import numpy as np
import pytest
from PIL import Image

from tests.support.written_files import dng, psd
from vitsearch.errors import UnreadablePhoto
from vitsearch.photos.formats import format_of
from vitsearch.photos.photo import parse_photo

WORDS = re.compile(
    r"it is truncated \([a-z' ]+\)|it is truncated \(\d+ of \d+ tiles are missing\)|its (header|image data) is damaged"
    r"|it is of a kind that is not supported( \((its compression is none that is known here|its image is [\w. ]+)\))?"
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


@pytest.mark.parametrize(
    ("data", "name", "reason"),
    [
        (b"MM\0+\0\x08\0\0" + bytes(40), "a.tif", "not supported (a BigTIFF with the highest byte first)"),
        (
            b"II*\0\x08\0\0\0\1\0\x31\1\2\0\4\0\0\0abc\0" + bytes(4),
            "FTI.INF",
            "it is not an image in a format",
        ),
        (b"\xff\xd8\xff\xdb" + bytes(60), "a.jpg", "its header is damaged"),
        (b"\x89PNG\r\n\x1a\n" + bytes(60), "a.png", "its header is damaged"),
        (b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypmjp2" + bytes(60), "a.jp2", "a film in JPEG 2000"),
        (b"\0\0\0\x0cjP  \r\n\x87\n\0\0\0\x14ftypjpm " + bytes(60), "a.jpm", "pages of JPEG 2000 in layers"),
    ],
)
def test_what_begins_like_a_photo_is_not_called_something_else(data, name, reason):
    with pytest.raises(UnreadablePhoto, match=re.escape(reason)):
        parse_photo(data, name=name).pixels()


@pytest.mark.parametrize("brand", [b"jpeg", b"avci", b"miaf", b"unif"])
def test_other_brands_of_heif_are_images(brand):
    head = b"\0\0\0\x18ftyp" + brand + b"\0\0\0\0mif1" + brand
    known = format_of(head, "a.heif")
    assert known is not None
    assert known.name == "HEIF"
    with pytest.raises(UnreadablePhoto, match="it is truncated"):
        parse_photo(head, name="a.heif")


def box(name, *parts):
    body = b"".join(parts)
    return (8 + len(body)).to_bytes(4, "big") + name + body


def heif(*items, references=b""):
    """A HEIF file of 4 x 4 pixels whose items have these types; the first one is the primary one."""
    entries = [
        box(b"infe", b"\2\0\0\0", bytes([0, number]), b"\0\0", kind, b"\0")
        for number, kind in enumerate(items, 1)
    ]
    places = b"".join(
        bytes([0, number]) + b"\0\0\0\1" + bytes(4) + (48).to_bytes(4, "big")
        for number in range(1, len(items) + 1)
    )
    size = box(b"ispe", bytes(4), (4).to_bytes(4, "big") * 2)
    used = b"".join(bytes([0, number, 1, 1]) for number in range(1, len(items) + 1))
    meta = box(
        b"meta",
        bytes(4),
        box(b"hdlr", bytes(8), b"pict", bytes(13)),
        box(b"pitm", bytes(4), b"\0\1"),
        box(b"iloc", bytes(4), b"\x44\0", bytes([0, len(items)]), places),
        box(b"iinf", bytes(4), bytes([0, len(items)]), *entries),
        references and box(b"iref", bytes(4), references),
        box(b"iprp", box(b"ipco", size), box(b"ipma", bytes(4), len(items).to_bytes(4, "big"), used)),
    )
    return box(b"ftyp", b"mif1", bytes(4), b"mif1miaf") + meta + box(b"mdat", bytes(48))


@pytest.mark.parametrize(
    ("data", "how"),
    [
        (heif(b"unci"), "stored without compression"),
        (heif(b"vvc1"), "compressed as H.266"),
        (heif(b"iden", b"j2k1", references=box(b"dimg", b"\0\1\0\1\0\2")), "compressed as JPEG 2000"),
    ],
)
def test_a_heif_that_no_decoder_here_knows_says_how_it_is_coded(data, how):
    with pytest.raises(UnreadablePhoto, match=f"not supported \\(its image is {how}"):
        parse_photo(data, name="a.heif").pixels()
