"""The library that the course builds, in rooms in the order of the data.

    text files → Document → Passage → indexes → Retriever → [Hit] → Generator → Answer

Each imports only from those before it: `text`, `files`, `hits` · `models` · `indexing` · `retrieval` · `generation` ·
`evaluation` · `pipeline` · `plots` · `training` · `applications` · `museum` · `service` · `distributed` · `exercises` ·
`setup` · `classroom`. What a learner needs is imported from its room: `from rag_lib.indexing import BM25`.
"""

from collections.abc import Callable
from importlib import import_module

__version__ = "0.2.0"


def exports(room: str, names: dict[str, str]) -> tuple[list[str], Callable[[str], object], Callable[[], list[str]]]:
    """A room's public names, each imported from its file only when it is asked for, so that nothing loads in vain.

    Args:
        room: the package's `__name__`.
        names: for each file of the room, its public names.

    Returns:
        `__all__`, `__getattr__` and `__dir__` of the package (PEP 562).
    """
    file_of = {name: file for file, listed in names.items() for name in listed.split()}

    def get(name: str) -> object:
        if name not in file_of:
            raise AttributeError(f"module {room!r} has no attribute {name!r}")
        return getattr(import_module(f"{room}.{file_of[name]}"), name)

    return list(file_of), get, lambda: list(file_of)
