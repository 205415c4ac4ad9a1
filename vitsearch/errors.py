"""Everything that vitsearch raises on purpose.

VitsearchError
├── UnreadablePhoto        one file could not be decoded
├── LibraryError           the library's folder
│   ├── LibraryMissing
│   ├── LibraryBusy
│   ├── LibraryDamaged
│   └── LibraryTooNew
├── ModelError             backbones and their weights
│   ├── UnknownModel
│   ├── WeightsUnavailable
│   ├── DeviceUnavailable
│   └── NoTextTower
├── SpaceMismatch          vectors that cannot be compared
├── HeadError              labels and linear heads
│   └── HeadMissing
├── PlanError              a clean-up plan that does not fit the files
│   └── FileDisturbed      another program is at work on one of them
├── StoreError             a Parquet file or another engine cannot be written or read
├── OutputError            a file that was asked for by name cannot be written, or must not be
└── BadQuery               a search that cannot be answered as asked

Each message is one line: what happened, to which file, and what to do next.
"""

import errno

# What systems say of a place that may not be written to.
NOT_ALLOWED = frozenset((errno.EACCES, errno.EPERM, errno.EROFS))


class VitsearchError(Exception):
    """The root of all errors that a user can cause or mend."""


class UnreadablePhoto(VitsearchError):
    """A file that cannot be decoded; `reason` says why, without the path.

    `passing`: the disk, the permissions or the memory of the moment were at fault and not what the file holds.
    """

    def __init__(self, path: object, reason: str, *, passing: bool = False) -> None:
        super().__init__(f"cannot read {path}: {reason}")
        self.path = path
        self.reason = reason
        self.passing = passing


class LibraryError(VitsearchError):
    """The library's folder cannot be used as it is."""


class LibraryMissing(LibraryError):
    """There is no library in this folder."""


class LibraryBusy(LibraryError):
    """Another process holds the write lock or the database lock."""


class LibraryDamaged(LibraryError):
    """The database does not open or does not make sense."""


class LibraryTooNew(LibraryError):
    """A later version of vitsearch wrote this library."""


class ModelError(VitsearchError):
    """A backbone cannot be used."""


class UnknownModel(ModelError):
    """No registry name, hub id or folder is called this."""


class WeightsUnavailable(ModelError):
    """The weights are known but cannot be had, or are not what they should be."""


class DeviceUnavailable(ModelError):
    """A device was asked for that this machine does not have."""


class NoTextTower(ModelError):
    """A text query was put to a model that sees only images."""


class SpaceMismatch(VitsearchError):
    """Vectors of two different spaces were about to be compared."""


class HeadError(VitsearchError):
    """A linear head cannot be fitted, loaded or applied."""


class HeadTooNew(HeadError):
    """A later version of vitsearch saved this head."""


class HeadMissing(HeadError):
    """No head of the library is called this."""


class PlanError(VitsearchError):
    """A clean-up plan is malformed or no longer fits the files."""


class FileDisturbed(PlanError):
    """A file of a plan is not as it was, or another program is at work on it; the message is part of a sentence."""


class StoreError(VitsearchError):
    """Photos cannot be brought to, or fetched from, a file or another engine."""


class OutputError(VitsearchError):
    """A file that a person asked for by name cannot be written, or would overwrite something."""


class BadQuery(VitsearchError):
    """A search that cannot be answered as it was asked."""


def in_words(error: Exception) -> str:
    """Say for people why a text file could not be read, where Python says it for programmers."""
    if isinstance(error, UnicodeDecodeError):
        return f"its byte {error.start + 1:,} is not UTF-8"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    line, message = getattr(error, "lineno", None), getattr(error, "msg", None)
    return f"line {line}: {message}" if line and message else str(error)
