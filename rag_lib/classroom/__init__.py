"""What a course needs besides its chapters.

Notebooks, lock and settings of a clone come in; first cells and badges, a folder for a room without a network, slides
and the web edition go out. Each file is a command of its own: `python -m rag_lib.classroom.address`.
"""

from rag_lib import exports

__all__, __getattr__, __dir__ = exports(__name__, {"address": "Address read_address stamp"})
