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


def runs_at_once(node: ast.stmt) -> bool:
    """A function with sliders, which `@interact` calls as soon as it is defined."""
    decorators = getattr(node, "decorator_list", [])
    return any(isinstance(d, ast.Call) and isinstance(d.func, ast.Name) and d.func.id == "interact" for d in decorators)


def definitions(notebook: str, constants: bool = True, **data: object) -> SimpleNamespace:
    """A notebook's definitions, executed without the rest of its cells; a later one replaces an earlier.

    Args:
        constants: assignments to names with a capital too, which may take a while.
        data: what the definitions work on, by the names that the notebook gives it.
    """
    cells = json.loads((ROOT / "notebooks" / f"{notebook}.ipynb").read_text(encoding="utf-8"))["cells"]
    sources = ["".join(c["source"]) for c in cells if c["cell_type"] == "code"]
    code = [re.sub(r"(?m)^\s*[!%].*$", "", s) for s in sources]  # without Jupyter's own commands
    found = [node for s in code for node in ast.parse(s).body if is_definition(node) and not runs_at_once(node)]
    found = [node for node in found if constants or not isinstance(node, ast.Assign | ast.AugAssign)]
    namespace: dict = {"__name__": notebook}
    exec(compile(ast.Module(found, type_ignores=[]), f"{notebook}.ipynb", "exec"), namespace)
    namespace.update(data)
    return SimpleNamespace(**{k: v for k, v in namespace.items() if not k.startswith("__")})
