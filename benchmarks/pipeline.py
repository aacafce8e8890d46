"""From a question to its answer, start and memory included: every peer in a process of its own.

A plain program and LangChain search the passages with the encoder as published and read each of the five with the
bundled generator, one `generate` call each; `rag_lib` does what `ask` does. All load vectors that are there already.
`python -m benchmarks.pipeline PEER VECTORS` is such a process: a question in a line, an answer in a line.
"""

from __future__ import annotations

import json
import random
import resource
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from benchmarks.side_by_side import Peer, Round, Row, side_by_side

Answering = Callable[[str], str]
FOUND = 5


def passages() -> list:
    """The museum's."""
    from rag_lib.files import ARTICLES
    from rag_lib.indexing.documents import load_documents
    from rag_lib.indexing.splitting import Splitting, split_documents

    return split_documents(load_documents(ARTICLES).documents, Splitting())


def published() -> tuple[list, object]:
    """The passages and the encoder as published, through Sentence Transformers."""
    from sentence_transformers import SentenceTransformer

    from rag_lib.models.weights import encoder_source

    return passages(), SentenceTransformer(encoder_source(), device="cpu")


def reading() -> Callable[[str, list], str]:
    """The plain loop over passages, with the bundled generator."""
    from benchmarks.answer import plain_loop
    from rag_lib.models.weights import load_generator

    way = plain_loop(*load_generator())
    return lambda question, found: way(question, found, [])


def plain(vectors: Path) -> Answering:
    """Sentence Transformers, FAISS and a loop: what a first program does."""
    import faiss
    import numpy as np

    texts, encoder = published()
    index, read = faiss.IndexFlatIP(encoder.get_embedding_dimension()), reading()
    index.add(np.load(vectors))

    def answer(question: str) -> str:
        _, rows = index.search(encoder.encode([question], show_progress_bar=False), FOUND)
        return read(question, [texts[row].source for row in rows[0]])

    return answer


def langchain(vectors: Path) -> Answering:
    """LangChain's vector store in memory and its chain of runnables."""
    import numpy as np
    from langchain_core.documents import Document
    from langchain_core.embeddings import Embeddings
    from langchain_core.runnables import RunnableLambda, RunnableParallel, RunnablePassthrough
    from langchain_core.vectorstores import InMemoryVectorStore

    texts, encoder = published()
    read = reading()

    class Published(Embeddings):
        """The encoder, the passages' vectors known."""

        def embed_documents(self, texts: list[str]) -> list[list[float]]:
            return np.load(vectors).tolist()

        def embed_query(self, text: str) -> list[float]:
            return encoder.encode([text], show_progress_bar=False)[0].tolist()

    store = InMemoryVectorStore(Published())
    store.add_documents([Document(p.text, metadata={"row": row}) for row, p in enumerate(texts)])
    retriever = store.as_retriever(search_kwargs={"k": FOUND})

    def of(asked: dict) -> str:
        return read(asked["question"], [texts[d.metadata["row"]].source for d in asked["found"]])

    chain = RunnableParallel(found=retriever, question=RunnablePassthrough()) | RunnableLambda(of)
    return chain.invoke


def ours(vectors: Path) -> Answering:
    """`rag_lib`, as `ask` sets it up."""
    from rag_lib.files import ARTICLES
    from rag_lib.generation.catalogue import make_generator
    from rag_lib.generation.generators import Decoding
    from rag_lib.indexing.encoders import make_encoder
    from rag_lib.indexing.store import open_folder
    from rag_lib.models.weights import MUSEUM_ENCODER
    from rag_lib.pipeline.rag import RAG
    from rag_lib.retrieval.catalogue import DEFAULT, make_retriever

    encoder = make_encoder(MUSEUM_ENCODER)
    knowledge = open_folder(ARTICLES, encoder)
    rag = RAG(knowledge, make_retriever(DEFAULT, knowledge, encoder), make_generator(None, Decoding(half=None)))
    return lambda question: rag.ask(question).guess


PEERS = {"plain": plain, "langchain": langchain, "rag_lib": ours}


def answer_lines(name: str, vectors: Path) -> None:
    """Says when it is ready; then for every line of standard input the answer and the most memory so far, in MB."""
    answer = PEERS[name](vectors)
    print("ready", flush=True)
    for line in sys.stdin:
        text = answer(line.strip())
        print(json.dumps([text, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1000]), flush=True)


def started(name: str, vectors: Path, questions: Sequence[str]) -> Round:
    """A process that is ready, and the round that asks it every question."""
    command = [sys.executable, "-m", "benchmarks.pipeline", name, str(vectors)]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def line() -> str:
        """Its next line."""
        if said := process.stdout.readline():
            return said
        raise RuntimeError(f"{name} ended with {process.wait()}")

    def ask(question: str) -> tuple[str, float]:
        print(question, file=process.stdin, flush=True)
        return tuple(json.loads(line()))

    line()
    return lambda: [ask(question) for question in questions]


def measure(sizes: Sequence[int], rounds: int, items: int) -> Iterator[Row]:
    """So many of the museum's validation questions; what is built is a process that is ready to answer."""
    import numpy as np

    from rag_lib.evaluation.answers import f1, score_answers
    from rag_lib.evaluation.statistics import bootstrap
    from rag_lib.indexing.documents import indexed_text
    from rag_lib.museum.collection import load_questions

    known = [q for q in load_questions("validation") if q.answers]
    questions = random.Random(0).sample(known, min(items, len(known)))
    asked, gold = [q.question for q in questions], [q.answers for q in questions]

    def quality(first: Sequence, own: Sequence) -> str:
        texts, memory = zip(*own, strict=True)
        return f"F1 {bootstrap(score_answers(texts, gold, f1))}; {max(memory):,.0f} MB"

    with tempfile.TemporaryDirectory() as folder:
        vectors = Path(folder, "vectors.npy")
        texts, encoder = published()
        np.save(vectors, encoder.encode([indexed_text(p) for p in texts], show_progress_bar=False))

        def peer(name: str, called: str, settings: str, package: str) -> Peer:
            return Peer(called, settings, lambda: started(name, vectors, asked), package)

        peers = [
            peer("plain", "plain program", "Sentence Transformers, FAISS, generate", "sentence_transformers"),
            peer("langchain", "LangChain", "InMemoryVectorStore, runnables, generate", "langchain_core"),
            peer("rag_lib", "rag_lib", "as `ask`", "rag_lib"),
        ]
        case = f"{len(asked)} questions to {len(texts)} passages, a process each"
        yield from side_by_side("pipeline", case, peers, rounds, len(asked), quality)


if __name__ == "__main__":
    answer_lines(sys.argv[1], Path(sys.argv[2]))
