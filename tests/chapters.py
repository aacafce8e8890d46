"""What a chapter defines, for the tests that compare it with rag_lib."""

import ast
import json
import re
from types import SimpleNamespace

from conftest import ROOT


def is_definition(node: ast.stmt) -> bool:
    """An import, a function, a class, or an assignment to a name with a capital: a constant or a type."""
    if isinstance(node, ast.Assign | ast.AugAssign):
        target = node.targets[0] if isinstance(node, ast.Assign) else node.target
        return isinstance(target, ast.Name) and target.id[0].isupper()
    return isinstance(node, ast.Import | ast.ImportFrom | ast.FunctionDef | ast.ClassDef)


def definitions(notebook: str) -> SimpleNamespace:
    """A notebook's definitions, executed without the rest of its cells; a later one replaces an earlier."""
    cells = json.loads((ROOT / "notebooks" / f"{notebook}.ipynb").read_text(encoding="utf-8"))["cells"]
    sources = ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
    code = [re.sub(r"(?m)^\s*[!%].*$", "", s) for s in sources]  # without Jupyter's own commands
    found = [node for s in code for node in ast.parse(s).body if is_definition(node)]
    namespace: dict = {"__name__": notebook}
    exec(compile(ast.Module(found, type_ignores=[]), f"{notebook}.ipynb", "exec"), namespace)
    return SimpleNamespace(**{k: v for k, v in namespace.items() if not k.startswith("__")})
