"""The learner's own `my_rag.py`: parts that passed their checks are kept there, and later chapters build on them."""

from __future__ import annotations

import ast
import importlib.util
import inspect
import json
import sys
import textwrap
from collections.abc import Callable
from pathlib import Path
from types import ModuleType, SimpleNamespace

from rag_lib.exercises.catalogue import CHAPTERS, EXERCISES, SOLUTIONS, CheckFailed, find
from rag_lib.exercises.exercise import judge
from rag_lib.files import write_atomically

MY_RAG = Path("my_rag.py")
MARKS = ("### BEGIN", "### END", "# YOUR CODE HERE")  # nbgrader's, of no use outside a notebook
HEAD = '"""My RAG from scratch: the parts that I have written, each of which passed its check."""\n'


def refusal(function: Callable) -> str:
    """Why a part cannot be kept: what its check says; empty if nothing speaks against it."""
    try:
        return judge(find(function.__name__), function)
    except NotImplementedError:
        return "not written yet"


def import_line(name: str, value: object) -> str:
    """The line that imports a global name of the learner's notebook; empty if it was not imported."""
    if isinstance(value, ModuleType):
        return f"import {value.__name__}" + (f" as {name}" if name != value.__name__ else "")
    module = getattr(value, "__module__", None)
    if module in (None, "__main__", "builtins") or not hasattr(value, "__name__"):
        return ""
    return f"from {module} import {value.__name__}" + (f" as {name}" if name != value.__name__ else "")


def global_names(source: str) -> set[str]:
    """The names that a function reads and does not set itself."""
    nodes = list(ast.walk(ast.parse(source)))
    names = [node for node in nodes if isinstance(node, ast.Name)]
    own = {node.arg for node in nodes if isinstance(node, ast.arg)}
    own |= {node.id for node in names if isinstance(node.ctx, ast.Store)}
    return {node.id for node in names} - own


def source_of(function: Callable) -> tuple[str, set[str]]:
    """The text of a function and the lines that import what it uses.

    Raises:
        CheckFailed: it uses a name that stands only in the notebook.
    """
    text = textwrap.dedent(inspect.getsource(function)).strip()
    source = "\n".join(line for line in text.splitlines() if not line.strip().startswith(MARKS))
    lines = set()
    for name in sorted(global_names(source) & function.__globals__.keys() - EXERCISES.keys()):
        line = import_line(name, function.__globals__[name])
        if not line:
            raise CheckFailed(f"it uses {name}, which stands only in the notebook; put it inside the function")
        lines.add(line)
    return source, lines


def read(path: Path) -> tuple[set[str], dict[str, str]]:
    """The imports of a `my_rag.py`, and all else in it by its name; nothing of a file that is not there."""
    text = path.read_text(encoding="utf-8") if path.is_file() else ""
    imports, parts = set(), {}
    for node in ast.parse(text).body:
        if isinstance(node, ast.Import | ast.ImportFrom):
            imports.add(ast.unparse(node))
        elif not (isinstance(node, ast.Expr) and isinstance(node.value, ast.Constant)):  # all but the docstring
            segment = ast.get_source_segment(text, node)
            parts[getattr(node, "name", segment)] = segment
    return imports, parts


def written(imports: set[str], functions: dict[str, str]) -> str:
    """The text of a `my_rag.py`: its parts in the order of the course, then what the learner added."""
    parts = [HEAD, "\n".join(sorted(imports, key=lambda line: (line.startswith("from"), line))) + "\n"]
    for chapter, group in CHAPTERS.items():
        if own := [functions[e.name] for e in group if e.name in functions]:
            parts.append(f"\n# Chapter {chapter}\n\n\n" + "\n\n\n".join(own) + "\n")
    if others := [text for name, text in functions.items() if name not in EXERCISES]:
        parts.append("\n# My own\n\n\n" + "\n\n\n".join(others) + "\n")
    return "\n".join(parts)


def keep(*functions: Callable, path: Path = MY_RAG) -> None:
    """Writes the functions that pass their checks into `my_rag.py`, in place of earlier versions, and says which."""
    imports, kept = read(path)
    for function in functions:
        reason = refusal(function)
        if not reason:
            try:
                kept[function.__name__], lines = source_of(function)
                imports |= lines
            except (CheckFailed, OSError) as error:  # OSError: its source is nowhere to be read
                reason = str(error)
        print(f"{function.__name__:18} {'not kept: ' + reason if reason else 'kept in ' + path.name}")
    write_atomically(path, written(imports, kept).encode())


def load(path: Path) -> ModuleType:
    """A `my_rag.py` as a module, read anew."""
    spec = importlib.util.spec_from_file_location("my_rag", path)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def ours(name: str) -> Callable:
    """The function of that name from the solutions.

    Raises:
        ValueError: the solutions have none.
    """
    for path in sorted(SOLUTIONS.glob("*.ipynb")):
        cells = json.loads(path.read_text(encoding="utf-8"))["cells"]
        answers = [c for c in cells if c["metadata"].get("nbgrader", {}).get("grade_id") in EXERCISES]
        if name in [c["metadata"]["nbgrader"]["grade_id"] for c in answers]:
            needed = [c for c in cells if "imports" in c["metadata"].get("tags", [])] + answers
            namespace: dict = {"__name__": path.stem}
            exec("\n".join("".join(c["source"]) for c in needed), namespace)
            return namespace[name]
    raise ValueError(f"the solutions have no {name!r}")


def my_parts(*names: str, path: Path = MY_RAG) -> SimpleNamespace:
    """The named parts from `my_rag.py`; where one is not there yet, ours."""
    module = load(path) if path.is_file() else ModuleType("my_rag")
    for name in EXERCISES.keys() - vars(module).keys():  # the learner's parts may call others that are still to come
        setattr(module, name, ours(name))
    return SimpleNamespace(**{name: getattr(module, name) for name in names})


def report(path: Path = MY_RAG) -> bool:
    """Checks every part of a `my_rag.py` and says which are right, which are wrong, and which are still to come.

    Returns:
        whether all parts that are there are right.

    Raises:
        FileNotFoundError: there is no such file.
    """
    if not path.is_file():
        raise FileNotFoundError(f"there is no {path} yet: `keep(...)` at the end of a notebook of exercises writes it")
    module, right = load(path), True
    for chapter, group in CHAPTERS.items():
        for exercise in group:
            function = getattr(module, exercise.name, None)
            verdict = refusal(function) if function else "still to come"
            right &= not (function and verdict)
            print(f"{chapter}  {exercise.name:18} {verdict or 'right'}")
    return right


if __name__ == "__main__":
    try:
        sys.exit(not report(Path(sys.argv[1]) if len(sys.argv) > 1 else MY_RAG))
    except (FileNotFoundError, SyntaxError) as error:
        sys.exit(f"error: {error}")
