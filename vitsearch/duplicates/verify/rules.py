"""Which rules pairs are judged by: a digest that changes with them, so that no answer of other rules is taken up."""

from __future__ import annotations

from functools import cache
from hashlib import blake2b
from importlib import metadata, resources

# All that has a say in what is seen of a photo or a pair.
_PACKAGES = ("photos", "decoding", "duplicates/verify", "duplicates/group")
_LIBRARIES = ("numpy", "opencv-python-headless", "scipy", "pillow", "pi-heif", "rawpy", "imagecodecs")


@cache
def rules_digest() -> bytes:
    """Return 16 bytes: another digest for another version of the code that judges, or of what decodes."""
    digest = blake2b(digest_size=16)
    root = resources.files("vitsearch")
    for package in _PACKAGES:
        folder = root.joinpath(*package.split("/"))
        for module in sorted(folder.iterdir(), key=lambda file: file.name):
            if module.name.endswith(".py"):
                digest.update(f"{package}/{module.name}\0".encode() + module.read_bytes())
    for library in _LIBRARIES:
        try:
            digest.update(f"{library} {metadata.version(library)}\0".encode())
        except metadata.PackageNotFoundError:
            digest.update(f"{library} none\0".encode())
    return digest.digest()
