"""Where the course's data lie, and where built indexes are kept."""

from __future__ import annotations

import os
import sys
from pathlib import Path

DATA = Path(__file__).resolve().parent.parent / "data"
MUSEUM = DATA / "museum"
MODELS = DATA / "models"


def cache_folder() -> Path:
    """Folder for what can be built again: RAG_CACHE, or the operating system's own place for caches."""
    if folder := os.environ.get("RAG_CACHE"):
        return Path(folder)
    if sys.platform == "win32":
        base = Path(os.environ.get("LOCALAPPDATA", Path.home() / "AppData" / "Local"))
    elif sys.platform == "darwin":
        base = Path.home() / "Library" / "Caches"
    else:
        base = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    return base / "rag_lib"
