"""Build a wheel, install it into a fresh environment, and render every page with it.

    python scripts/check_wheel.py                    # installs all dependencies: takes minutes
    python scripts/check_wheel.py --borrow-packages  # takes them from the environment that runs this script

An editable install finds templates and static files where they are written; only a wheel shows that they are packed.
"""

from __future__ import annotations

import argparse
import os
import re
import subprocess
import sys
import tempfile
import urllib.request
from pathlib import Path

ROOT = Path(__file__).resolve().parents[1]
SAMPLES = ROOT / "sample_images"
# Behind the environment's own packages, so that the wheel's vitsearch comes first.
CHECKPOINT = (
    "import sys; sys.path.append(sys.argv[1]); from tests.support.tiny_checkpoints import make_checkpoint; "
)


def main() -> None:
    """Do it, in a folder that is gone afterwards."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument(
        "--borrow-packages", action="store_true", help="use the packages that are installed here"
    )
    options = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="vitsearch-wheel-") as folder:
        scratch = Path(folder)
        programs = install(scratch, borrow=options.borrow_packages)
        write_pages(programs, scratch)
        addresses = serve_page(programs / "vitsearch", scratch)
    print(f"5 pages and pictures were written, and {addresses} addresses of the page answered")


def run(*words: object, cwd: Path) -> str:
    """Run a command to its end, away from the checkout, and return what it printed."""
    done = subprocess.run(list(map(str, words)), cwd=cwd, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(f"{' '.join(map(str, words))}\n{done.stdout}{done.stderr}")
    return done.stdout


def install(scratch: Path, *, borrow: bool) -> Path:
    """Install the wheel into an environment of its own; return the folder of its programs."""
    build = (sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--wheel-dir", scratch, ROOT)
    run(*build, *(["--no-build-isolation"] if borrow else []), cwd=scratch)
    (wheel,) = scratch.glob("vitsearch-*.whl")
    run(sys.executable, "-m", "venv", scratch / "venv", cwd=scratch)
    programs = scratch / "venv" / ("Scripts" if os.name == "nt" else "bin")
    pip = (programs / "python", "-m", "pip", "install", "--quiet")
    if borrow:
        run(*pip, "--no-deps", wheel, cwd=scratch)
        script = "import sysconfig; print(sysconfig.get_path('purelib'))"
        site = Path(run(programs / "python", "-c", script, cwd=scratch).strip())
        # Behind the environment's own packages, so that the wheel's vitsearch comes first.
        (site / "borrowed.pth").write_text(
            "".join(f"{path}\n" for path in sys.path if "site-packages" in path)
        )
    else:
        run(*pip, "-c", ROOT / "constraints.txt", f"vitsearch[web] @ {wheel.as_uri()}", cwd=scratch)
    where = run(programs / "python", "-c", "import vitsearch; print(vitsearch.__file__)", cwd=scratch).strip()
    if not Path(where).is_relative_to(scratch):
        sys.exit(f"it is not the wheel that runs, but {where}")
    return programs


def write_pages(programs: Path, scratch: Path) -> None:
    """Write every picture and every self-contained page of the command line."""
    vitsearch = (programs / "vitsearch", "--library", scratch / "library")
    photo = SAMPLES / "animals" / "cat-1.jpg"
    run(*vitsearch, "index", SAMPLES, cwd=scratch)
    run(*vitsearch, "search", photo, "--sheet", "sheet.png", "--html", "found.html", cwd=scratch)
    run(*vitsearch, "duplicates", "--html", "duplicates.html", cwd=scratch)
    run(*vitsearch, "explain", photo, "--out", "explain.png", cwd=scratch)
    for kind in ("vit", "dinov2"):
        script = f"{CHECKPOINT}from pathlib import Path; make_checkpoint({kind!r}, Path(sys.argv[2]))"
        run(programs / "python", "-c", script, ROOT, scratch / kind, cwd=scratch)
    compare = ("models", "compare", scratch / "vit", scratch / "dinov2", "--on", SAMPLES)
    run(*vitsearch, *compare, "--sample", 20, "--html", "compared.html", cwd=scratch)
    for name in ("sheet.png", "explain.png"):
        if not (scratch / name).read_bytes().startswith(b"\x89PNG"):
            sys.exit(f"{name} is not a picture")
    for name in ("found.html", "duplicates.html", "compared.html"):
        text = (scratch / name).read_text(encoding="utf-8")
        if "<img" not in text or not text.rstrip().endswith("</html>"):
            sys.exit(f"{name} is not a whole page with pictures")


def serve_page(vitsearch: Path, scratch: Path) -> int:
    """Serve the page and fetch each address that its files name; return how many those are."""
    words = (vitsearch, "--library", scratch / "library", "serve", "--no-token", "--port", "0")
    server = subprocess.Popen(words, cwd=scratch, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        assert server.stdout is not None
        said = ""
        while (found := re.search(r"http://127\.0\.0\.1:\d+", said)) is None:
            line = server.stdout.readline()
            if not line:
                sys.exit(f"the server ended:\n{said}")
            said += line
        address = found[0]
        waiting, seen = ["/", "/api/status", "/api/grid", "/duplicates", "/labels"], set()
        while waiting:
            path = waiting.pop()
            if path in seen:
                continue
            seen.add(path)
            with urllib.request.urlopen(address + path, timeout=60) as answer:
                text = answer.read().decode("utf-8", "replace")
            base = path.rpartition("/")[0]
            if path.endswith(".js"):
                waiting += [f"{base}/{name}" for name in re.findall(r'from "\./([\w.-]+)"', text)]
            waiting += re.findall(r'(?:src|href)="(/static/[^"#]+)', text)
        return len(seen)
    finally:
        server.terminate()
        server.wait(timeout=30)


if __name__ == "__main__":
    main()
