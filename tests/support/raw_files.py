"""Raw files as cameras lay them out, without their compression: a preview, EXIF, and what the sensor saw."""

import io
import struct

import numpy as np
from PIL import Image

from tests.support.written_files import directory

TAKEN = "2019:05:06 07:08:09"
_WHITE = 15000


def _mosaic(image, order):
    """What a sensor with a filter of red, green, green and blue sees: linear, 14 bits."""
    linear = (np.asarray(image.convert("RGB"), np.float32) / 255) ** 2.2
    mosaic = np.empty(linear.shape[:2], np.uint16)
    for row, column, channel in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        mosaic[row::2, column::2] = (linear[row::2, column::2, channel] * _WHITE).astype(np.uint16)
    return mosaic.astype(order).tobytes()


def tiff_raw(image, make, model, *, magic=b"II*\0", preview=True, orientation=6, taken=TAKEN):
    """A raw file that is built like a TIFF: CR2, NEF, ARW, PEF, SRW, and with a `magic` of their own ORF and RW2."""
    sensor = _mosaic(image, "<u2")
    buffer = io.BytesIO()
    image.save(buffer, "JPEG", quality=95)
    jpeg = buffer.getvalue() if preview else b""
    jpeg += b"\0" * (len(jpeg) % 2)
    sensor_at = 16
    jpeg_at = sensor_at + len(sensor)
    raw_at = jpeg_at + len(jpeg)
    width, height = image.size
    raw = directory(
        [
            (254, 4, [0]),
            (256, 4, [width]),
            (257, 4, [height]),
            (258, 3, [16]),
            (259, 3, [1]),
            (262, 3, [32803]),
            (273, 4, [sensor_at]),
            (277, 3, [1]),
            (278, 4, [height]),
            (279, 4, [len(sensor)]),
            (284, 3, [1]),
            (33421, 3, [2, 2]),
            (33422, 1, [0, 1, 1, 2]),
        ],
        raw_at,
    )
    shot_at = raw_at + len(raw)
    shot = directory([(36867, 2, taken.encode() + b"\0")], shot_at)
    main_at = shot_at + len(shot)
    first = [
        (254, 4, [1]),
        (271, 2, make.encode() + b"\0"),
        (272, 2, model.encode() + b"\0"),
        (274, 3, [orientation]),
        (330, 4, [raw_at]),
        (34665, 4, [shot_at]),
    ]
    if preview:
        first += [(259, 3, [6]), (513, 4, [jpeg_at]), (514, 4, [len(jpeg)])]
    main = directory(first, main_at)
    return magic + struct.pack("<I", main_at) + bytes(8) + sensor + jpeg + raw + shot + main


def raf(image, make, model, *, preview=True, orientation=6):
    """A raw file of Fujifilm: a header with places, a JPEG that has the EXIF, the size of the sensor, and its data."""
    exif = Image.Exif()
    exif[271], exif[272], exif[274] = make, model, orientation
    exif.get_ifd(0x8769)[36867] = TAKEN
    buffer = io.BytesIO()
    shown = image if preview else image.resize((image.width // 4, image.height // 4))
    shown.save(buffer, "JPEG", quality=95, exif=exif)
    jpeg = buffer.getvalue()
    jpeg = jpeg[:2] + jpeg[20:] if jpeg[2:4] == b"\xff\xe0" else jpeg  # the EXIF stands first
    jpeg += b"\0" * (-len(jpeg) % 4)
    sensor = _mosaic(image, ">u2")
    width, height = image.size
    sizes = struct.pack(">IHHHHHHHH", 2, 0x100, 4, height, width, 0x121, 4, height, width)
    jpeg_at = 160
    sizes_at = jpeg_at + len(jpeg)
    places = (jpeg_at, len(jpeg), sizes_at, len(sizes), sizes_at + len(sizes), len(sensor))
    head = b"FUJIFILMCCD-RAW 0201FF383501" + model.encode().ljust(32, b"\0") + b"0100"
    return (head.ljust(84, b"\0") + struct.pack(">6I", *places)).ljust(jpeg_at, b"\0") + jpeg + sizes + sensor
