"""Files that Pillow does not write: DNG as a converter makes it (with or without a preview), and Photoshop files."""

import io
import struct

import numpy as np

_TYPES = {1: "B", 2: "s", 3: "H", 4: "I", 5: "II", 10: "ii"}


def directory(entries, start):
    """Lay out one TIFF directory at `start`: its bytes, the values that do not fit into it behind it."""
    head = struct.pack("<H", len(entries))
    at = start + 2 + 12 * len(entries) + 4
    extra = b""
    for tag, kind, values in sorted(entries):
        if kind == 2:
            raw, count = values, len(values)
        else:
            raw = b"".join(
                struct.pack("<" + _TYPES[kind], *(v if isinstance(v, tuple) else (v,))) for v in values
            )
            count = len(values)
        if len(raw) <= 4:
            field = raw.ljust(4, b"\0")
        else:
            field = struct.pack("<I", at + len(extra))
            extra += raw + b"\0" * (len(raw) % 2)
        head += struct.pack("<HHI", tag, kind, count) + field
    return head + struct.pack("<I", 0) + extra


def dng(
    image,
    *,
    preview=True,
    orientation=1,
    taken="2021:06:05 04:03:02",
    quality=90,
    data_last=False,
    scale=None,
):
    """Return the bytes of a DNG of an upright RGB image as stored, with even sides.

    `data_last`: without a preview. `scale`: how many times wider than high a pixel of the sensor is.
    """
    linear = (np.asarray(image.convert("RGB"), np.float32) / 255) ** 2.2
    height, width = linear.shape[:2]
    mosaic = np.empty((height, width), np.uint16)
    for row, column, channel in ((0, 0, 0), (0, 1, 1), (1, 0, 1), (1, 1, 2)):
        mosaic[row::2, column::2] = (linear[row::2, column::2, channel] * 60000).astype(np.uint16)
    sensor = mosaic.astype("<u2").tobytes()
    jpeg = b""
    if preview:
        buffer = io.BytesIO()
        image.convert("RGB").save(buffer, "JPEG", quality=quality)
        jpeg = buffer.getvalue()
    sensor_at = 4096 if data_last else 16
    jpeg_at = sensor_at + len(sensor)
    raw_at = 16 if data_last else jpeg_at + len(jpeg) + len(jpeg) % 2
    one = (1, 1)
    shot = [(36867, 2, taken.encode() + b"\0")]
    raw_tags = [
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
        (50714, 3, [0]),
        (50717, 4, [60000]),
        *([(50718, 5, [(scale, 1), (1, 1)])] if scale else []),
    ]
    colours = [
        (271, 2, b"Testcam\0"),
        (272, 2, b"Testcam One\0"),
        (274, 3, [orientation]),
        (50706, 1, [1, 4, 0, 0]),
        (50708, 2, b"Testcam One\0"),
        (
            50721,
            10,
            [(value, 10000) for value in (32406, -15372, -4986, -9689, 18758, 415, 557, -2040, 10570)],
        ),
        (50728, 5, [one, one, one]),
        (50778, 3, [21]),
    ]
    pieces, at = [], raw_at
    children = []
    if preview:
        raw = directory(raw_tags, at)
        children.append(at)
        pieces.append(raw)
        at += len(raw)
        first = [
            (254, 4, [1]),
            (256, 4, [width]),
            (257, 4, [height]),
            (258, 3, [8, 8, 8]),
            (259, 3, [7]),
            (262, 3, [6]),
            (273, 4, [jpeg_at]),
            (277, 3, [3]),
            (278, 4, [height]),
            (279, 4, [len(jpeg)]),
            (284, 3, [1]),
            (330, 4, children),
        ]
    else:
        first = raw_tags
    inner = directory(shot, at)
    exif_at = at
    pieces.append(inner)
    at += len(inner)
    main = directory([*first, *colours, (34665, 4, [exif_at])], at)
    body = sensor + jpeg + b"\0" * (len(jpeg) % 2) + b"".join(pieces) + main
    if data_last:
        body = (b"".join(pieces) + main).ljust(sensor_at - 16, b"\0") + sensor
    return b"II*\0" + struct.pack("<I", at) + b"\0" * 8 + body


def psd(image, *, depth=8, mode="RGB", large=False, packed=False, masks=0):
    """A Photoshop file without layers; 32 bits hold linear light. `masks` are channels behind the picture's own."""
    pixels = np.asarray(image.convert(mode))
    pixels = pixels[..., None] if pixels.ndim == 2 else pixels
    height, width, used = pixels.shape
    if mode == "CMYK":
        pixels = 255 - pixels
    if depth == 32:
        value = pixels / 255
        light = np.where(value <= 0.04045, value / 12.92, ((value + 0.055) / 1.055) ** 2.4)
        channels = light.astype(">f4").transpose(2, 0, 1)
    else:
        channels = (pixels.astype(">u2") * 257 if depth == 16 else pixels).transpose(2, 0, 1)
    rows = [row.tobytes() for channel in channels for row in channel]
    rows += [bytes(len(rows[0]))] * (masks * height)
    wide = 4 if large else 2
    head = b"8BPS" + (2 if large else 1).to_bytes(2, "big") + bytes(6) + (used + masks).to_bytes(2, "big")
    head += height.to_bytes(4, "big") + width.to_bytes(4, "big") + depth.to_bytes(2, "big")
    head += {"L": 1, "RGB": 3, "CMYK": 4}[mode].to_bytes(2, "big")
    head += bytes(4) + bytes(4) + bytes(8 if large else 4)
    if not packed:
        return head + bytes(2) + b"".join(rows)
    # Literal runs of up to 128 bytes: what PackBits makes of what it cannot shorten.
    rows = [
        b"".join(bytes([len(row[at : at + 128]) - 1]) + row[at : at + 128] for at in range(0, len(row), 128))
        for row in rows
    ]
    return head + b"\0\1" + b"".join(len(row).to_bytes(wide, "big") for row in rows) + b"".join(rows)
