"""rag_lib's rooms: imports go down, every room says what it is for, and its public names are there."""

import ast
import importlib
import subprocess
import sys
from pathlib import Path

import pytest
from conftest import ROOT

LIBRARY = ROOT / "rag_lib"
# From the bottom: a room imports only from those before it.
ORDER = (
    "text files hits models indexing retrieval generation evaluation pipeline plots training applications museum "
    "service distributed exercises setup classroom options grammar __main__"
).split()
ROOMS = sorted(p.parent for p in LIBRARY.rglob("__init__.py") if p.parent != LIBRARY)


def imported(path: Path) -> set[str]:
    """The modules of rag_lib that a file imports anywhere, be it inside a function or for type checking only."""
    nodes = ast.walk(ast.parse(path.read_text(encoding="utf-8")))
    return {n.module for n in nodes if isinstance(n, ast.ImportFrom) and (n.module or "").startswith("rag_lib.")}


def module_of(path: Path) -> str:
    return "rag_lib." + ".".join(path.relative_to(LIBRARY).with_suffix("").parts)


FILES = sorted(p for p in LIBRARY.rglob("*.py") if p.name != "__init__.py")


def test_imports_go_down():
    rank = {name: i for i, name in enumerate(ORDER)}
    for path in FILES:
        own = module_of(path).split(".")[1]
        for module in imported(path):
            assert rank[module.split(".")[1]] <= rank[own], f"{module_of(path)} imports {module}, which is above it"


def test_there_is_no_circle():
    below = {module_of(path): imported(path) for path in FILES}
    settled: set[str] = set()
    while rest := [m for m in below if m not in settled]:
        free = [m for m in rest if below[m] & below.keys() <= settled]
        assert free, f"these import each other in a circle: {rest}"
        settled.update(free)


@pytest.mark.parametrize("room", ROOMS, ids=lambda p: p.relative_to(LIBRARY).as_posix())
def test_a_room_says_what_goes_in_and_out_and_its_names_exist(room):
    package = importlib.import_module(module_of(room / "__init__.py").removesuffix(".__init__"))
    assert "come" in package.__doc__ and "go" in package.__doc__, "what goes in and what comes out"
    assert package.__all__ and dir(package) == sorted(package.__all__)
    for name in package.__all__:
        assert getattr(package, name) is not None
    with pytest.raises(AttributeError, match="no attribute 'nothing'"):
        package.nothing  # noqa: B018


def loaded_by(modules: str, *heavy: str) -> list[str]:
    """What a fresh process has loaded that imports the modules, of some libraries that take long."""
    code = f"import {modules}, sys; print(*(name for name in {heavy!r} if name in sys.modules))"
    out = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT).stdout
    return out.split()


def test_a_room_loads_nothing_before_it_is_asked():
    assert loaded_by("rag_lib.indexing, rag_lib.generation", "torch", "numpy") == []


def test_whoever_only_searches_loads_no_library_of_models():
    """Each of Ray's workers would wait for them, many seconds."""
    workers = "rag_lib.distributed.ray_encoding, rag_lib.distributed.ray_index, rag_lib.indexing.store"
    loaded = loaded_by(workers, "numpy", "torch", "transformers", "sentence_transformers")
    assert loaded == ["numpy"] + ["torch"] * (sys.platform == "darwin"), "FAISS needs torch before it there"


@pytest.mark.parametrize("path", FILES, ids=module_of)
def test_a_file_can_be_read_in_one_sitting(path):
    assert len(path.read_text(encoding="utf-8").splitlines()) <= 350
