"""What other programs find in a copy-detection set: `python benchmarks/copy_rivals.py PROGRAM SCRATCH OUT`.

Each program runs in an environment of its own, which needs nothing of vitsearch, with the settings that it comes with:
`imagehash` (phash, up to 8 of 64 bits apart), `difpy` (similar images), `fastdup` (0.9), `findimagedupes` (90 %),
`dupeguru` (its picture mode, 95, any size). OUT gets the pairs of files as JSON. `--files` takes links to the
photos, the documents and the twelve edits in one folder, which is made; `--score OUT...` prints what was found,
`vitsearch` with a library being one of the programs. A pair is right if both files show the same photo.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import time
from pathlib import Path

PHASH_BITS = 8
FASTDUP_THRESHOLD = 0.9


def imagehash_pairs(folder: Path) -> list[tuple[str, str]]:
    """Compare perceptual hashes."""
    import imagehash
    import numpy as np
    from PIL import Image

    files = sorted(folder.iterdir())
    rows = []
    for path in files:
        with Image.open(path) as image:
            rows.append(imagehash.phash(image.convert("RGB")).hash.ravel())
    bits = np.array(rows)
    found = []
    for number, row in enumerate(bits):
        near = np.flatnonzero((bits[number + 1 :] != row).sum(axis=1) <= PHASH_BITS) + number + 1
        found += [(files[number].name, files[int(other)].name) for other in near]
    return found


def difpy_pairs(folder: Path) -> list[tuple[str, str]]:
    """Ask difPy for similar images."""
    import difPy

    found = difPy.search(
        difPy.build(str(folder), show_progress=False), similarity="similar", show_progress=False
    )
    pairs = []
    for name, matches in found.result.items():
        others = matches if isinstance(matches, list) else matches.get("matches", matches)
        entries = [entry[0] for entry in others] if isinstance(others, list) else list(others)
        pairs += [(Path(name).name, Path(entry).name) for entry in entries]
    return pairs


def fastdup_pairs(folder: Path) -> list[tuple[str, str]]:
    """Ask fastdup for pairs above its threshold."""
    import tempfile

    import fastdup

    with tempfile.TemporaryDirectory() as work:
        run = fastdup.create(work_dir=work, input_dir=str(folder))
        run.run(ccthreshold=FASTDUP_THRESHOLD, threshold=FASTDUP_THRESHOLD, overwrite=True)
        rows = run.similarity()
    one, two = ("filename_from", "filename_to")
    chosen = rows[rows["distance"] >= FASTDUP_THRESHOLD]
    return [(Path(a).name, Path(b).name) for a, b in zip(chosen[one], chosen[two], strict=True)]


def findimagedupes_pairs(folder: Path) -> list[tuple[str, str]]:
    """Ask findimagedupes, whose lines are groups."""
    done = subprocess.run(
        ["findimagedupes", "-q", *map(str, sorted(folder.iterdir()))],
        capture_output=True,
        text=True,
        check=False,
    )
    pairs = []
    for line in done.stdout.splitlines():
        names = [Path(name).name for name in line.split(f" {folder}/")]
        pairs += [(one, two) for place, one in enumerate(names) for two in names[place + 1 :]]
    return pairs


def dupeguru_pairs(folder: Path) -> list[tuple[str, str]]:
    """Let dupeGuru's own core look in its picture mode, without its windows; needs PyQt5, which decodes for it."""
    import sys
    import tempfile

    sys.path.insert(0, "/usr/share/dupeguru")
    from core.app import AppMode, DupeGuru
    from core.pe import photo
    from core.pe.scanner import ScannerPE
    from core.scanner import ScanType
    from hscommon.jobprogress.job import nulljob
    from qt.pe.photo import File

    class View:
        def __getattr__(self, _name: str) -> object:
            return lambda *_arguments, **_options: None

    photo.PLAT_SPECIFIC_PHOTO_CLASS = File
    app = DupeGuru(View())
    app.app_mode = AppMode.PICTURE
    app.directories.add_path(folder)
    scanner = ScannerPE()
    scanner.scan_type = ScanType.FUZZYBLOCK
    scanner.min_match_percentage = 95
    # Without it, only pictures of one size are compared.
    scanner.match_scaled = True
    with tempfile.TemporaryDirectory() as work:
        scanner.cache_path = str(Path(work) / "cache")
        found = list(app.directories.get_files(fileclasses=app.fileclasses))
        groups = scanner.get_dupe_groups(found, j=nulljob)
    return [(match.first.name, match.second.name) for group in groups for match in group.matches]


def vitsearch_pairs(scratch: Path) -> list[tuple[str, str]]:
    """Ask the library of the set."""
    from copy_set import CLASSIC

    from vitsearch import Library
    from vitsearch.duplicates.find import find_duplicates

    folders = [scratch / name for name in ("originals", "documents", *(edit.name for edit in CLASSIC))]
    with Library.open(scratch / "library") as library:
        report = find_duplicates(library, folders=folders)
    return [
        (_linked(group.keep), _linked(file.path))
        for group in report.groups
        if group.tier != "burst"
        for file in group.files[1:]
    ]


def _linked(path: Path) -> str:
    return f"{path.parent.name}--{path.name}"


def link_files(scratch: Path) -> Path:
    """Put copies of all files of the set into one folder, named after their edits."""
    import shutil

    folder = scratch / "together"
    folder.mkdir(exist_ok=True)
    for below in sorted(scratch.iterdir()):
        if below.name in ("originals", "documents") or below.name.startswith("classic-"):
            for path in below.iterdir():
                if not (folder / _linked(path)).exists():
                    shutil.copy(path, folder / _linked(path))
    return folder


def score(out: Path, scratch: Path) -> str:
    """Say how many copies were found and how many pairs are right."""
    document = json.loads(out.read_text())
    pairs = {tuple(sorted(pair)) for pair in document["pairs"] if pair[0] != pair[1]}

    def shown(name: str) -> str:
        folder, file = name.split("--", 1)
        return f"document {file}" if folder == "documents" else Path(file).stem

    # Two files that are both linked to a third one are found together, as in a group.
    above: dict[str, str] = {}

    def top(name: str) -> str:
        while above.setdefault(name, name) != name:
            name = above[name]
        return name

    right = [pair for pair in pairs if shown(pair[0]) == shown(pair[1])]
    for one, two in right:
        above[top(one)] = top(two)
    names = [path.name for path in (scratch / "together").iterdir()]
    originals = {shown(name): name for name in names if name.startswith("originals--")}
    copies = [name for name in names if name.startswith("classic-")]
    found = sum(top(name) == top(originals[shown(name)]) for name in copies)
    documents = len(
        {one for pair in pairs if pair not in set(right) for one in pair if one.startswith("documents--")}
    )
    return (
        f"| {document['program']} | {found / len(copies):.3f} | {len(right) / max(1, len(pairs)):.4f} | "
        f"{len(pairs) - len(right)} | {documents} | {document['seconds']:.0f} |"
    )


PROGRAMS = {
    "imagehash": imagehash_pairs,
    "difpy": difpy_pairs,
    "fastdup": fastdup_pairs,
    "findimagedupes": findimagedupes_pairs,
    "dupeguru": dupeguru_pairs,
}


def main() -> None:
    """Run one program, or print what they found."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("program", choices=[*PROGRAMS, "vitsearch", "files", "score"])
    parser.add_argument("scratch", type=Path)
    parser.add_argument("out", type=Path, nargs="*")
    options = parser.parse_args()
    scratch = options.scratch.resolve()
    if options.program == "files":
        print(link_files(scratch))
    elif options.program == "score":
        print(
            "| program | copies found | pairs right | pairs wrong | documents in them | seconds |\n"
            "|---|---|---|---|---|---|"
        )
        for out in options.out:
            print(score(out, scratch))
    else:
        start = time.monotonic()
        if options.program == "vitsearch":
            pairs = vitsearch_pairs(scratch)
        else:
            pairs = PROGRAMS[options.program](scratch / "together")
        document = {"program": options.program, "seconds": time.monotonic() - start, "pairs": pairs}
        options.out[0].write_text(json.dumps(document))
        print(options.program, len(pairs))


if __name__ == "__main__":
    main()
