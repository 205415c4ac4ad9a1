"""Each heavy dependency has one owner, and nothing heavy is imported before it is needed."""

import ast
import json
import subprocess
import sys
from fnmatch import fnmatch
from functools import cache
from pathlib import Path

import grimp
import pytest

from tests.support.mean_colour import MeanColour
from vitsearch.library import Library

ROOT = Path(__file__).parent.parent
MODULES = sorted(path.relative_to(ROOT).as_posix() for path in (ROOT / "vitsearch").rglob("*.py"))

OWNERS = {
    "faiss": ["vitsearch/neighbours/*", "vitsearch/duplicates/verify/geometry.py"],
    "torch": ["vitsearch/backbones/*", "vitsearch/explain/*", "vitsearch/heads/*"],
    "transformers": ["vitsearch/backbones/*"],
    "openvino": ["vitsearch/backbones/*"],
    "onnx": ["vitsearch/backbones/*"],
    "huggingface_hub": ["vitsearch/backbones/*"],
    "sklearn": ["vitsearch/heads/*", "vitsearch/themes.py"],
    "cv2": ["vitsearch/duplicates/*", "vitsearch/photos/details.py", "vitsearch/photos/opencv.py"],
    "sqlite_utils": ["vitsearch/storage/database.py", "vitsearch/storage/migrations.py"],
    "sqlite3": ["vitsearch/storage/database.py", "vitsearch/storage/answers.py"],
    "filelock": ["vitsearch/storage/write_lock.py", "vitsearch/duplicates/cleanup/journal.py"],
    "pi_heif": ["vitsearch/photos/pictures.py"],
    "rawpy": ["vitsearch/photos/raw.py"],
    "imagecodecs": ["vitsearch/photos/libjxl.py"],
    "pathspec": ["vitsearch/folders/ignoring.py"],
    "ray": ["vitsearch/engines/ray/embedding.py"],
    "pymilvus": ["vitsearch/engines/milvus/collection.py"],
    "milvus_lite": ["vitsearch/engines/milvus/collection.py"],
    "pyarrow": ["vitsearch/engines/parquet/*"],
    "rich": ["vitsearch/cli/*"],
    "click": ["vitsearch/cli/*"],
    "fastapi": ["vitsearch/web/*"],
    "jinja2": ["vitsearch/pages/templating.py", "vitsearch/web/*"],
    "pydantic": ["vitsearch/web/*"],
    "starlette": ["vitsearch/web/*"],
    "uvicorn": ["vitsearch/web/*"],
    "watchfiles": ["vitsearch/folders/watching.py"],
    "pandas": ["vitsearch/notebook/*"],
    "textual_image": ["vitsearch/cli/preview.py"],
}
# What must not be imported by a module's first lines; the owner's functions do it when they are called.
LAZY = {
    "faiss",
    "torch",
    "transformers",
    "openvino",
    "onnx",
    "sklearn",
    "scipy",
    "cv2",
    "pi_heif",
    "rawpy",
    "imagecodecs",
    "rich",
    "huggingface_hub",
    "pyarrow",
    "pymilvus",
    "ray",
    "pandas",
    "textual_image",
}
# The runtimes themselves, one a file: they are imported by functions only.
RUNTIMES = [
    "vitsearch/backbones/openvino_export.py",
    "vitsearch/backbones/text_tower.py",
    "vitsearch/backbones/torch_runtime.py",
    "vitsearch/backbones/accelerator.py",
    "vitsearch/backbones/class_token.py",
    "vitsearch/backbones/fused_blocks.py",
    "vitsearch/backbones/lanes.py",
    "vitsearch/backbones/tuning.py",
    "vitsearch/backbones/vision_tower.py",
    "vitsearch/explain/attention.py",
]


@cache
def parsed(module):
    return ast.parse((ROOT / module).read_text(encoding="utf-8"))


@cache
def imports(module):
    """The dotted names that a module imports, each with whether that happens when the module itself is imported."""
    tree = parsed(module)
    inner = set()
    for node in ast.walk(tree):
        typing = isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        if isinstance(node, (ast.FunctionDef, ast.AsyncFunctionDef)) or typing:
            inner |= {id(child) for child in ast.walk(node)}
    found = []
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            found += [(alias.name, id(node) not in inner) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{module} imports relatively"
            assert node.module is not None
            found.append((node.module, id(node) not in inner))
    return found


def at_top(module):
    return {name for name, eager in imports(module) if eager}


@pytest.mark.parametrize("package", OWNERS)
def test_a_heavy_dependency_is_imported_by_its_owner_only(package):
    importers = [m for m in MODULES if package in {name.split(".")[0] for name, _ in imports(m)}]
    assert importers, f"nothing imports {package}"
    strangers = [m for m in importers if not any(fnmatch(m, pattern) for pattern in OWNERS[package])]
    assert strangers == []


def test_no_module_but_the_runtimes_imports_anything_heavy_at_its_top():
    found = {module: {name.split(".")[0] for name in at_top(module)} & LAZY for module in MODULES}
    assert [module for module, heavy in found.items() if heavy and module not in RUNTIMES] == []
    assert all(found[module] for module in RUNTIMES if module in found)


def test_a_runtime_is_imported_at_the_top_of_no_module_but_another_runtime():
    names = {module.removesuffix(".py").replace("/", ".") for module in RUNTIMES}
    importers = {module: at_top(module) & names for module in MODULES if module not in RUNTIMES}
    assert {module: found for module, found in importers.items() if found} == {}


def test_nothing_below_the_command_line_prints_ends_the_process_or_reads_the_environment():
    words = {"print", "input", "sys.exit", "sys.stdout", "sys.stderr", "os.environ", "os.getenv", "os._exit"}
    found = set()
    for module in MODULES:
        if (
            not module.startswith("vitsearch/cli/") and module != "vitsearch/decoding/confinement.py"
        ):  # a program too
            used = {
                ast.unparse(node)
                for node in ast.walk(parsed(module))
                if isinstance(node, (ast.Name, ast.Attribute))
            }
            found |= {(module, word) for word in used & words}
    # Python finds the library of the command line; OpenBLAS is told of a processor in no other way.
    assert found == {
        ("vitsearch/notebook/places.py", "os.environ"),
        ("vitsearch/neighbours/kernels.py", "os.environ"),
    }


def loaded_by(code):
    """The top-level packages that are in memory after a program has run."""
    report = f"import sys\n{code}\nprint(__import__('json').dumps(sorted({{m.split('.')[0] for m in sys.modules}})))"
    done = subprocess.run(
        [sys.executable, "-c", report], capture_output=True, text=True, check=True, cwd=ROOT
    )
    return set(json.loads(done.stdout.splitlines()[-1]))


def test_importing_the_package_the_command_line_and_the_library_loads_nothing_heavy():
    code = "import vitsearch, vitsearch.cli"
    assert loaded_by(code) & (LAZY | {"numpy", "PIL", "blake3", "sqlite_utils", "sqlite3"}) == set()
    assert (
        loaded_by("import vitsearch.library, vitsearch.photos.photo, vitsearch.indexing.run") & LAZY == set()
    )


def test_a_process_that_decodes_starts_without_numpy_and_without_anything_heavy():
    assert loaded_by("import vitsearch.decoding.worker") & (LAZY | {"numpy", "sqlite3", "tempfile"}) == set()
    # Each of these costs as much as a photo, twice a run or more.
    code = (
        "import sys, vitsearch.decoding.worker\n"
        "print(sorted({'vitsearch.records', 'vitsearch.backbones.families'} & set(sys.modules)))"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout == "[]\n"


HELP = """
from vitsearch.cli import cli
for words in {commands!r}:
    try:
        cli.main(words, standalone_mode=False)
    except SystemExit:
        pass
"""


def test_help_of_any_command_loads_nothing_heavy():
    commands = [
        ["--help"],
        ["--version"],
        ["index", "--help"],
        ["search", "-h"],
        ["models", "--help"],
        ["roots", "-h"],
        ["serve", "-h"],
    ]
    unwanted = LAZY | {"numpy", "PIL", "sqlite3", "fastapi", "starlette", "pydantic", "uvicorn"}
    assert loaded_by(HELP.format(commands=commands)) & unwanted == set()


def test_a_search_for_a_photo_of_a_small_library_loads_neither_a_model_nor_faiss(tmp_path, picture):

    query = picture(tmp_path / "photos/red.png", "red")
    picture(tmp_path / "photos/blue.png", "blue")
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([tmp_path / "photos"])
    code = f"""
from vitsearch.cli import cli
cli.main(["--library", {str(tmp_path / "library")!r}, "search", {str(query)!r}, "--json"], standalone_mode=False)
"""
    assert loaded_by(code) & LAZY == set()


def test_a_search_imports_no_module_that_it_has_no_use_for(tmp_path, picture):
    for number in range(20):
        query = picture(tmp_path / f"photos/{number}.png", (12 * number, 40, 99))
    with Library.open(tmp_path / "library", backbone=MeanColour()) as library:
        library.index([tmp_path / "photos"])
    code = f"""
import sys
from vitsearch.cli import cli
cli.main(["--library", {str(tmp_path / "library")!r}, "search", {str(query)!r}, "--json"], standalone_mode=False)
print(sorted({{"numpy.ma", "filecmp", "importlib.metadata", "vitsearch.backbones.loading"}} & set(sys.modules)))
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT)
    assert done.stdout.splitlines()[-1] == "[]"


def test_no_modules_import_each_other_in_a_circle():
    graph = grimp.build_graph("vitsearch", exclude_type_checking_imports=False, cache_dir=None)
    assert sorted(graph.modules) == sorted(
        module.removesuffix(".py").removesuffix("/__init__").replace("/", ".") for module in MODULES
    )
    # Only what imports something inside a circle can be part of one: peel off what imports nothing that is left.
    left = {module: set(graph.find_modules_directly_imported_by(module)) for module in graph.modules}
    while free := {module for module, imported in left.items() if not imported & left.keys()}:
        left = {module: imported for module, imported in left.items() if module not in free}
    circle = {module: sorted(imported & left.keys()) for module, imported in left.items()}
    assert circle == {}


def test_the_root_of_the_package_holds_few_modules():
    assert len([module for module in MODULES if module.count("/") == 1]) <= 12


def test_test_files_take_what_they_share_from_support_and_nothing_from_each_other():
    tests = [path.relative_to(ROOT).as_posix() for path in (ROOT / "tests").rglob("*.py")]
    support = {path.stem for path in (ROOT / "tests/support").glob("*.py")} - {"__init__"}
    taken = {(module, name) for module in tests for name, _ in imports(module)}
    assert ("tests/conftest.py", "tests.support.programs") in taken
    assert [
        (module, name)
        for module, name in sorted(taken)
        if name in support or name.rpartition(".")[2].startswith(("conftest", "test_"))
    ] == []
