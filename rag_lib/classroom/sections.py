"""The sections of a chapter, wherever in a cell their headings stand."""

from __future__ import annotations

import re
from collections.abc import Iterable

HEADING = re.compile(r"^##? (.+)", re.MULTILINE)  # the title, or a section


def split_at_headings(cells: Iterable[dict]) -> list[dict]:
    """The cells of a notebook, their sources as texts, cut in two where a text goes over to the next section."""
    parts = []
    for cell in cells:
        source = "".join(cell["source"])
        starts = [m.start() for m in HEADING.finditer(source)] if cell["cell_type"] == "markdown" else []
        bounds = [0, *(start for start in starts if start), len(source)]
        for i, start in enumerate(bounds[:-1]):
            part = cell | {"source": source[start : bounds[i + 1]].strip("\n")}
            parts.append(part | {"id": f"{cell['id']}-{i}"} if i else part)
    return parts


def heading_of(cell: dict) -> str:
    """The heading with which a cell begins a section, or nothing."""
    match = HEADING.match(cell["source"]) if cell["cell_type"] == "markdown" else None
    return match[1] if match else ""
