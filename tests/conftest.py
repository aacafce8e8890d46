"""What the tests share. No test uses the network: the hub is switched off before any library is imported."""

import os

os.environ["HF_HUB_OFFLINE"] = "1"
os.environ.setdefault("TOKENIZERS_PARALLELISM", "false")

from pathlib import Path

import pytest
from hypothesis import settings

from rag_lib.indexing.documents import Document
from rag_lib.indexing.encoders import SentenceEncoder
from rag_lib.indexing.knowledge_base import KnowledgeBase, build

settings.register_profile("course", deadline=None)  # a busy machine is slow, not wrong
settings.load_profile("course")

ROOT = Path(__file__).resolve().parent.parent
# What `make check` leaves out: fixtures that load a trained model, and folders and files whose tests load one or train.
LOADING = {"encoder", "knowledge", "bundled", "rag", "tokenizer", "dpr"}
HEAVY = {"training", "end_to_end", "test_attacks.py", "test_warm_start.py", "test_fresh_questions.py", "test_setup.py"}
HEAVY |= {"test_page.py", "test_schema.py", "test_book.py", "test_ray.py"}  # a browser; hundreds of requests; a cluster
HEAVY |= {f"test_chapter_{number}.py" for number in ("03", "05", "06", "07", "08", "09")}


def pytest_collection_modifyitems(items):
    """Marks what `make check` leaves out."""
    for item in items:
        parts = {item.path.parent.name, item.path.name}
        if item.path.suffix == ".ipynb" or HEAVY & parts or LOADING.intersection(getattr(item, "fixturenames", ())):
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
