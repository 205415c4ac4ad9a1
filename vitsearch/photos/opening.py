"""A file's bytes go to the one decoder that the table of formats gives them to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from vitsearch.photos.code_points import SignalledColours
from vitsearch.photos.containers import png_colours
from vitsearch.photos.formats import Container, Decoder
from vitsearch.photos.iso_media import code_points, what_is_missing, with_one_association_box
from vitsearch.photos.pictures import NotDecodable, PillowPicture

if TYPE_CHECKING:
    from vitsearch.photos.formats import Format
    from vitsearch.photos.pictures import Picture

# Pillow reads it as an ordinary TIFF, and finds nothing.
_LARGE_MOTOROLA = b"MM\0+"


def open_picture(data: bytes, format_: Format) -> Picture:
    """Read the header of a file. Any exception means that it cannot be understood."""
    # Imported where they are needed: each decoding process would wait for all of them when it starts.
    if format_.decoder is Decoder.RAW:
        from vitsearch.photos.raw import RawPicture

        return RawPicture(data, format_)
    if format_.decoder is Decoder.JPEG_XL:
        from vitsearch.photos.jpeg_xl import JpegXlPicture

        return JpegXlPicture(data)
    if data[: len(_LARGE_MOTOROLA)] == _LARGE_MOTOROLA and format_.name == "TIFF":
        raise NotDecodable("it is of a kind that is not supported (a BigTIFF with the highest byte first)")
    if format_.container is Container.TIFF:
        from vitsearch.photos.light_tiff import light_tiff

        light = light_tiff(data)
        if light is not None:
            return light
    if format_.name == "JPEG2000":
        from vitsearch.photos.jpeg2000 import Jpeg2000Picture

        return Jpeg2000Picture(data)
    if format_.container is Container.ITEMS and (missing := what_is_missing(data)):
        raise NotDecodable(f"it is truncated ({missing})")
    if format_.name == "AVIF":
        data = with_one_association_box(data)
    if format_.container is Container.PSD:
        from vitsearch.photos.psd import PsdPicture, has_palette

        if not has_palette(data):
            return PsdPicture(data)
    return PillowPicture(data, format_)


def signalled_colours(data: bytes, format_: Format, picture: Picture) -> SignalledColours | None:
    """Return the colours that a file names by code points; None where it does not, or where an ICC profile counts."""
    named = None
    if format_.decoder is Decoder.JPEG_XL:
        named = getattr(picture, "code_points", None)
    elif format_.container is Container.ITEMS:
        named = code_points(data)
    elif format_.container is Container.PNG:
        named = png_colours(data)
    return None if named is None else SignalledColours(*named)
