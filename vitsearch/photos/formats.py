"""The one table of formats: their names, extensions and first bytes, who decodes them, and what they keep of a shot.

Nothing outside this table is ever handed to a decoder: no PostScript, nothing that starts a program or opens a network
connection. Photos are told by their first bytes; a name decides only where several formats begin alike.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum, IntEnum
from pathlib import PurePath


class Decoder(Enum):
    """What turns the bytes of a format into pixels."""

    PILLOW = "Pillow"
    HEIF = "pi-heif"
    JPEG_XL = "imagecodecs"
    RAW = "rawpy"


class Fidelity(IntEnum):
    """How much of a shot a format keeps; more is better."""

    PALETTE = 0
    LOSSY = 1
    NEWER_LOSSY = 2
    LOSSLESS = 3
    SENSOR = 4


class Container(Enum):
    """How the notes about a photo (EXIF, XMP, IPTC, comments) are stored beside its image data."""

    JPEG = "segments"
    PNG = "chunks"
    RIFF = "RIFF chunks"
    GIF = "GIF blocks"
    TIFF = "TIFF directories"
    ITEMS = "items of an ISO media file"
    BOXES = "boxes of JPEG 2000 or JPEG XL"
    PSD = "Photoshop resources"
    WHOLE = "nowhere that is known"


@dataclass(frozen=True, slots=True)
class Format:
    """One format. `plugin` is the name under which Pillow knows it, `module` the plugin's module."""

    name: str
    extensions: tuple[str, ...]
    decoder: Decoder
    fidelity: Fidelity
    container: Container
    plugin: str = ""
    module: str = ""

    @property
    def is_raw(self) -> bool:
        """Whether a file holds what a camera's sensor saw."""
        return self.fidelity is Fidelity.SENSOR


def _pillow(
    name: str,
    extensions: str,
    fidelity: Fidelity,
    container: Container,
    *,
    plugin: str = "",
    module: str = "",
) -> Format:
    plugin = plugin or name
    return Format(
        name, tuple(extensions.split()), Decoder.PILLOW, fidelity, container, plugin, module or plugin.title()
    )


def _raw(name: str, extensions: str, container: Container = Container.TIFF) -> Format:
    return Format(name, tuple(extensions.split()), Decoder.RAW, Fidelity.SENSOR, container)


FORMATS: tuple[Format, ...] = (
    _pillow("JPEG", ".jpg .jpeg .jpe .jfif", Fidelity.LOSSY, Container.JPEG),
    _pillow("MPO", ".mpo", Fidelity.LOSSY, Container.JPEG, plugin="JPEG"),
    _pillow("PNG", ".png .apng", Fidelity.LOSSLESS, Container.PNG),
    _pillow("WEBP", ".webp", Fidelity.LOSSY, Container.RIFF, module="WebP"),
    _pillow("GIF", ".gif", Fidelity.PALETTE, Container.GIF),
    _pillow("TIFF", ".tif .tiff", Fidelity.LOSSLESS, Container.TIFF),
    _pillow("BMP", ".bmp .dib", Fidelity.LOSSLESS, Container.WHOLE),
    _pillow("AVIF", ".avif .avifs", Fidelity.NEWER_LOSSY, Container.ITEMS),
    _pillow(
        "JPEG2000",
        ".jp2 .j2k .jpf .jpx .j2c .jpc",
        Fidelity.NEWER_LOSSY,
        Container.BOXES,
        module="Jpeg2K",
    ),
    _pillow("PPM", ".ppm .pgm .pbm .pnm .pfm", Fidelity.LOSSLESS, Container.WHOLE),
    _pillow("TGA", ".tga .icb .vda .vst", Fidelity.LOSSLESS, Container.WHOLE),
    _pillow("PSD", ".psd .psb", Fidelity.LOSSLESS, Container.PSD),
    Format(
        "HEIF",
        (".heic", ".heif", ".hif", ".heics", ".heifs"),
        Decoder.HEIF,
        Fidelity.NEWER_LOSSY,
        Container.ITEMS,
    ),
    Format("JXL", (".jxl",), Decoder.JPEG_XL, Fidelity.NEWER_LOSSY, Container.BOXES),
    _raw("DNG", ".dng"),
    _raw("CR2", ".cr2"),
    _raw("CR3", ".cr3", Container.WHOLE),
    _raw("CRW", ".crw", Container.WHOLE),
    _raw("NEF", ".nef .nrw"),
    _raw("ARW", ".arw .srf .sr2"),
    _raw("RAF", ".raf", Container.WHOLE),
    _raw("ORF", ".orf", Container.WHOLE),
    _raw("RW2", ".rw2", Container.WHOLE),
    _raw("PEF", ".pef"),
    _raw("SRW", ".srw"),
    _raw("3FR", ".3fr"),
    _raw("DCR", ".dcr .kdc"),
    _raw("ERF", ".erf"),
    _raw("IIQ", ".iiq"),
    _raw("MRW", ".mrw", Container.WHOLE),
    _raw("X3F", ".x3f", Container.WHOLE),
)

_BY_NAME = {format_.name: format_ for format_ in FORMATS}
_BY_EXTENSION = {extension: format_ for format_ in FORMATS for extension in format_.extensions}

EXTENSIONS = frozenset(_BY_EXTENSION)
# `.raw` says too little for a file to be taken by its name: Panasonic's and Leica's are known by their first bytes.
RAW_EXTENSIONS = frozenset(extension for extension, format_ in _BY_EXTENSION.items() if format_.is_raw) | {
    ".raw"
}
VIDEO_EXTENSIONS = frozenset(
    ".mov .mp4 .m4v .avi .mkv .webm .wmv .mpg .mpeg .mts .m2ts .3gp .3g2 .flv .ogv .insv .lrv .mj2 .mjp2".split()
)
SOUND_EXTENSIONS = frozenset(".mp3 .wav .m4a .aac .flac .ogg .opus .wma .aif .aiff .amr".split())
# Pictures, drawings and scans that nothing here decodes.
UNREAD_IMAGE_EXTENSIONS = frozenset(
    ".eps .epsf .epsi .ai .svg .svgz .pcx .dcx .ico .cur .icns .wmf .emf .cdr .xcf .ora .kra .afphoto .afdesign "
    ".exr .hdr .dds .fit .fits .fts .djvu .djv .xpm .xbm .sgi .rgb .pct .pict .iff .ilbm .lbm .qoi .jxr .wdp .hdp "
    ".wbmp .dcm .mng .jng .fpx .dpx .ras .xwd .flif .bpg .jls .jbg .jb2 .jbig2 .pcd "
    ".sketch .procreate".split()
)
# Notes that programs keep beside photos: neither photos nor worth a word.
SIDECAR_EXTENSIONS = frozenset(".xmp .aae .thm .pp3 .dop".split())

SIGNATURE_BYTES = 16

_TIFF_STARTS = (b"II*\x00", b"MM\x00*", b"II+\x00", b"MM\x00+")
_STARTS: tuple[tuple[bytes, str], ...] = (
    (b"\xff\xd8\xff", "JPEG"),
    (b"\x89PNG\r\n\x1a\n", "PNG"),
    (b"GIF87a", "GIF"),
    (b"GIF89a", "GIF"),
    (b"8BPS\x00\x01", "PSD"),
    (b"8BPS\x00\x02", "PSD"),
    (b"\x00\x00\x00\x0cjP  \r\n\x87\n", "JPEG2000"),
    (b"\xff\x4f\xff\x51", "JPEG2000"),
    (b"\x00\x00\x00\x0cJXL \r\n\x87\n", "JXL"),
    (b"\xff\x0a", "JXL"),
    (b"FUJIFILMCCD-RAW ", "RAF"),
    (b"IIRO", "ORF"),
    (b"IIRS", "ORF"),
    (b"MMOR", "ORF"),
    (b"IIU\x00", "RW2"),
    (b"II\x1a\x00\x00\x00HEAPCCDR", "CRW"),
    (b"\x00MRM", "MRW"),
    (b"FOVb", "X3F"),
    (b"BM", "BMP"),
    *((b"P%c" % kind, "PPM") for kind in b"123456f"),
)
_HEIF_BRANDS = frozenset(
    b"heic heix heim heis hevc hevx hevm hevs mif1 mif2 mif3 msf1 miaf unif jpeg avci avcs".split()
)
_AVIF_BRANDS = frozenset((b"avif", b"avis"))


def format_named(name: str) -> Format | None:
    """Return the format that facts and the catalog call by this name."""
    return _BY_NAME.get(name)


def format_of(head: bytes, name: str = "") -> Format | None:
    """Return the format of a file that starts with `head` (16 bytes or more), or None; `name` is the file's.

    Formats that begin like plain TIFF are told by the extension; TGA, which has no signature, is known by it alone.
    """
    by_name = _BY_EXTENSION.get(PurePath(name).suffix.lower())
    if head.startswith(_TIFF_STARTS):
        if head[8:10] == b"CR":
            return _BY_NAME["CR2"]
        return by_name if by_name and by_name.is_raw else _BY_NAME["TIFF"]
    for start, known in _STARTS:
        if head.startswith(start):
            return _BY_NAME[known]
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return _BY_NAME["WEBP"]
    if head[4:8] == b"ftyp":
        return _iso_media(head)
    return _BY_NAME["TGA"] if by_name is _BY_NAME["TGA"] and _looks_like_tga(head) else None


def _iso_media(head: bytes) -> Format | None:
    brand = head[8:12]
    if brand == b"crx ":
        return _BY_NAME["CR3"]
    # "mif1" and "msf1" begin both; the brands that follow tell them apart.
    size = min(int.from_bytes(head[:4], "big"), 256, len(head))
    brands = {head[at : at + 4] for at in range(16, size - 3, 4)}
    if brand in _AVIF_BRANDS or (brand in (b"mif1", b"msf1") and brands & _AVIF_BRANDS):
        return _BY_NAME["AVIF"]
    return _BY_NAME["HEIF"] if brand in _HEIF_BRANDS else None


def _looks_like_tga(head: bytes) -> bool:
    return len(head) >= 16 and head[1] in (0, 1) and head[2] in (1, 2, 3, 9, 10, 11)


def looks_like_image(head: bytes) -> bool:
    """Whether a file of any name that starts with `head` (16 bytes) is of a format that is read here."""
    known = format_of(head)
    # Without a name, what begins with two of these letters is more often something else.
    return known is not None and known.name not in ("BMP", "PPM") and not head.startswith(b"\xff\x0a")
