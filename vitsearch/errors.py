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
    """The base class of all errors that vitsearch raises on purpose."""


class UnreadablePhoto(VitsearchError):
    """A file cannot be decoded; `reason` says why, without the path.

    `passing`: the cause is temporary (disk, permissions, memory), not the file's content.
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
    """The database cannot be opened, or its content is inconsistent."""


class LibraryTooNew(LibraryError):
    """A later version of vitsearch wrote this library."""


class ModelError(VitsearchError):
    """A backbone cannot be used."""


class UnknownModel(ModelError):
    """No registered model, Hugging Face id or folder has this name."""


class WeightsUnavailable(ModelError):
    """The weights cannot be downloaded, or fail verification."""


class DeviceUnavailable(ModelError):
    """The requested device is not available on this machine."""


class NoTextTower(ModelError):
    """A text query was given to a model that has no text tower."""


class SpaceMismatch(VitsearchError):
    """Vectors of two different spaces were about to be compared."""


class HeadError(VitsearchError):
    """A linear head cannot be fitted, loaded or applied."""


class HeadTooNew(HeadError):
    """A later version of vitsearch saved this head."""


class HeadMissing(HeadError):
    """The library has no head of this name."""


class PlanError(VitsearchError):
    """A clean-up plan is malformed or no longer fits the files."""


class FileDisturbed(PlanError):
    """A file of a plan has changed, or another program is using it; the message is part of a sentence."""


class StoreError(VitsearchError):
    """A Parquet file or another engine cannot be read or written."""


class OutputError(VitsearchError):
    """An output file cannot be written, or would overwrite another file."""


class BadQuery(VitsearchError):
    """A search is not valid."""


def in_words(error: Exception) -> str:
    """Return a readable reason why a text file could not be read, in place of Python's message."""
    if isinstance(error, UnicodeDecodeError):
        return f"its byte {error.start + 1:,} is not UTF-8"
    if isinstance(error, OSError):
        return error.strerror or str(error)
    line, message = getattr(error, "lineno", None), getattr(error, "msg", None)
    return f"line {line}: {message}" if line and message else str(error)
