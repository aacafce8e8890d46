"""What the tests share. No test uses the network: the hub is switched off before any library is imported."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from pathlib import Path

import pytest

from rag_lib.indexing.documents import Document
from rag_lib.indexing.encoders import SentenceEncoder
from rag_lib.indexing.knowledge_base import KnowledgeBase, build

ROOT = Path(__file__).resolve().parent.parent
LOADING = {"encoder", "knowledge", "bundled", "rag"}  # fixtures that load a trained model


def pytest_collection_modifyitems(items):
    """Marks what `make check` leaves out: tests that load a trained model, and notebooks."""
    for item in items:
        if LOADING.intersection(getattr(item, "fixturenames", ())) or item.path.suffix == ".ipynb":
            item.add_marker(pytest.mark.model)


TEXTS = {
    "laika": "Laika was a dog from the streets of Moscow. She flew in Sputnik 2 on 3 November 1957. She died in orbit.",
    "ham": "Ham was a chimpanzee. He flew on a Redstone rocket in January 1961 and came back alive.",
    "hubble": "The Hubble Space Telescope was launched by Discovery in April 1990. Its mirror had the wrong shape.",
    "titan": "Titan is the largest moon of Saturn. Lakes of liquid methane lie on it. Huygens landed there in 2005.",
}


@pytest.fixture(scope="session")
def documents() -> list[Document]:
    return [Document(i, i.title(), text) for i, text in TEXTS.items()]


@pytest.fixture(scope="session")
def encoder() -> SentenceEncoder:
    return SentenceEncoder()


@pytest.fixture(scope="session")
def knowledge(documents, encoder) -> KnowledgeBase:
    return build(documents, encoder)
