"""Retrieval measured on a judged collection in the layout of BEIR (Thakur et al., 2021).

A folder holds `corpus.jsonl` (`_id`, `title`, `text`), `queries.jsonl` (`_id`, `text`) and judgements: `qrels.tsv` or
`qrels/<split>.tsv` with the columns query-id, corpus-id and score. Taught in notebooks/05_retrieval.ipynb.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from tqdm.auto import tqdm

from rag_lib.evaluation.ranking import Metric, ndcg_at_k, recall_at_k, reciprocal_rank
from rag_lib.files import BadLine, json_lines
from rag_lib.hits import Hit, best, check_k
from rag_lib.indexing.analysis import Analyzer
from rag_lib.indexing.bm25 import BM25
from rag_lib.indexing.documents import Document, Passage, indexed_text
from rag_lib.indexing.splitting import Splitting, passage_spans
from rag_lib.retrieval.base import Retriever

if TYPE_CHECKING:  # so that BM25 alone loads no model
    from rag_lib.indexing.encoders import SentenceEncoder

DEPTH = 100  # documents ranked for a query
SPLITTING = Splitting(120)  # of documents that an encoder does not read to their end
METRICS: dict[str, Metric] = {
    "nDCG@10": partial(ndcg_at_k, k=10),
    "recall@100": partial(recall_at_k, k=100),
    "MRR@10": partial(reciprocal_rank, k=10),
}


class BadCollection(ValueError):
    """A folder is no judged collection; the message names the file, and the line where there is one."""


@dataclass(frozen=True)
class JudgedCollection:
    """Documents, queries and which documents answer which query.

    Attributes:
        queries: text by id, only those with a relevant document.
        judgements: grade by document id by query id; above 0 is relevant.
        left_out: how many queries of the folder have no relevant document among the judgements.
        missing: how many documents are judged relevant, a query each, and not there; no ranking can hold them.
    """

    documents: list[Document]
    queries: dict[str, str]
    judgements: dict[str, dict[str, int]]
    left_out: int
    missing: int = 0


def rows_of(path: Path) -> Iterator[tuple[int, dict]]:
    """Rows of a file of JSON lines with the numbers of their lines.

    Raises:
        BadCollection: a line is no JSON object with texts under `_id` and `text`, or its id is taken.
    """
    ids: set[str] = set()
    try:
        for number, row in json_lines(path):
            if not isinstance(row, dict) or not isinstance(row.get("text"), str) or "_id" not in row:
                raise BadLine(path, number, "not an object with _id and text")
            if not isinstance(row["_id"], (str, int)) or not str(row["_id"]):
                raise BadLine(path, number, "_id must be a text")
            row["_id"] = str(row["_id"])
            if row["_id"] in ids:
                raise BadLine(path, number, f"the _id {row['_id']!r} occurs twice")
            ids.add(row["_id"])
            yield number, row
    except BadLine as error:
        raise BadCollection(str(error)) from error


def read_documents(path: Path) -> list[Document]:
    """The documents of a corpus file; a missing title is an empty one.

    Raises:
        BadCollection: a line is broken.
    """
    documents = []
    for number, row in rows_of(path):
        title = row.get("title") or ""
        if not isinstance(title, str):
            raise BadCollection(f"{path}, line {number}: title must be a text")
        documents.append(Document(row["_id"], title, row["text"]))
    return documents


def read_judgements(path: Path, queries: set[str]) -> dict[str, dict[str, int]]:
    """Grade by document id by query id.

    Raises:
        BadCollection: a line has not three columns, its score is no whole number, or the query is unknown.
    """
    judgements: dict[str, dict[str, int]] = {}
    with open(path, encoding="utf-8-sig", errors="replace") as file:
        for number, line in enumerate(file, start=1):
            columns = [column.strip() for column in line.split("\t")]
            if columns == [""] or (number == 1 and len(columns) == 3 and not columns[2].lstrip("-").isdigit()):
                continue  # an empty line, or the header
            place = f"{path}, line {number}"
            try:
                query, document, score = columns
                grade = int(score)
            except ValueError as error:
                raise BadCollection(f"{place}: not query-id, corpus-id and a whole number, apart by tabs") from error
            if query not in queries:
                raise BadCollection(f"{place}: the query {query!r} is not in queries.jsonl")
            judgements.setdefault(query, {})[document] = grade
    return judgements


def judgement_file(folder: Path, split: str | None) -> Path:
    """The file of judgements of a split; without a name `test`, or the only one there is.

    Raises:
        BadCollection: there is none, or one cannot be told.
    """
    files = {path.stem: path for path in sorted((folder / "qrels").glob("*.tsv"))}
    if not files and (folder / "qrels.tsv").is_file() and split is None:
        return folder / "qrels.tsv"
    name = split or ("test" if "test" in files or len(files) != 1 else next(iter(files)))
    if name not in files:
        there = f"there are {', '.join(files)}" if files else "nor a qrels.tsv"
        raise BadCollection(f"there is no {folder / 'qrels' / name}.tsv, {there}")
    return files[name]


def read_collection(folder: str | Path, split: str | None = None) -> JudgedCollection:
    """A judged collection from a folder; `split` names the file in `qrels` (default: test, or the only one).

    Raises:
        BadCollection: a file is missing or a line is broken.
    """
    folder = Path(folder)
    for name in ("corpus.jsonl", "queries.jsonl"):
        if not (folder / name).is_file():
            raise BadCollection(f"there is no {folder / name}")
    path = judgement_file(folder, split)
    documents = read_documents(folder / "corpus.jsonl")
    queries = {row["_id"]: row["text"] for _, row in rows_of(folder / "queries.jsonl")}
    judged = read_judgements(path, set(queries))
    judged = {query: grades for query, grades in judged.items() if max(grades.values()) > 0}
    if not judged:
        raise BadCollection(f"{path} holds no relevant document")
    there = {d.id for d in documents}
    missing = sum(grade > 0 and i not in there for grades in judged.values() for i, grade in grades.items())
    return JudgedCollection(documents, {q: queries[q] for q in judged}, judged, len(queries) - len(judged), missing)


def cut(document: Document, encoder: SentenceEncoder) -> list[Passage]:
    """A document as passages that the encoder reads to their end: one where it fits."""
    whole = Passage(f"{document.id}#0", document.id, document.title, document.text, 0, len(document.text))
    if not encoder.truncated([indexed_text(whole)]):
        return [whole]
    spans = passage_spans(document.text, SPLITTING) or [(0, 0)]
    return [
        Passage(f"{document.id}#{i}", document.id, document.title, document.text[a:b], a, b)
        for i, (a, b) in enumerate(spans)
    ]


class DocumentRetriever:
    """Documents by their passages: a document is as near as the nearest of them (Dai and Callan, 2019).

    Args:
        retriever: of passages.
        document_of: the document's id by the passage's id.
    """

    def __init__(self, retriever: Retriever, document_of: Mapping[str, str]) -> None:
        self.retriever = retriever
        self.document_of = document_of
        self.temperature = retriever.temperature

    def retrieve(self, query: str, k: int) -> list[Hit]:
        """The k best documents; as many passages are looked at as that takes."""
        depth = check_k(k)
        while True:
            hits = self.retriever.retrieve(query, depth)
            nearest: dict[str, float] = {}
            for hit in hits:
                nearest.setdefault(self.document_of[hit.id], hit.score)
            if len(nearest) >= k or len(hits) < depth:
                return best([Hit(i, score) for i, score in nearest.items()], k)
            depth *= 4


def collection_retriever(
    collection: JudgedCollection, name: str, encoder: SentenceEncoder | None = None, progress: bool = True
) -> tuple[Retriever, list[str]]:
    """A retriever of a collection's documents by its name, and what there is to say about documents that are too long.

    Args:
        name: as `make_retriever` takes it. BM25 alone ranks whole documents, the others passages.
        encoder: not needed for bm25.

    Raises:
        ValueError: another name, or no encoder for one that needs it.
    """
    if name == "bm25":
        from rag_lib.retrieval.retrievers import LexicalRetriever

        documents = tqdm(collection.documents, desc="indexing", disable=not progress)
        index = BM25([d.id for d in collection.documents], map(indexed_text, documents), Analyzer())
        return LexicalRetriever(index), []
    if encoder is None:
        raise ValueError(f"the retriever {name!r} needs an encoder")
    from rag_lib.indexing.knowledge_base import IndexSettings, KnowledgeBase
    from rag_lib.retrieval.catalogue import make_retriever

    passages = [p for d in tqdm(collection.documents, desc="cutting", disable=not progress) for p in cut(d, encoder)]
    texts = [indexed_text(p) for p in passages]
    vectors = encoder.encode_passages(texts, progress)
    knowledge = KnowledgeBase(passages, vectors, IndexSettings(), encoder.fingerprint())
    retriever = DocumentRetriever(make_retriever(name, knowledge, encoder), {p.id: p.document_id for p in passages})
    long = sum(p.id.endswith("#1") for p in passages)
    notes = [f"{long} longer than the encoder reads: the best of their passages counts"] if long else []
    if cropped := encoder.truncated(texts):
        notes.append(f"{cropped} passages still too long: their ends were not read")
    return retriever, notes


def evaluate(collection: JudgedCollection, retriever: Retriever, progress: bool = True) -> dict[str, dict[str, float]]:
    """nDCG@10, recall@100 and MRR@10 of each query by its id; the retriever's hits are documents of the collection.

    As in BEIR, a document with the query's own id is left out of its ranking: there the query is one of the documents.
    """
    documents = {d.id for d in collection.documents}
    figures = {}
    for query, grades in tqdm(collection.judgements.items(), desc="searching", disable=not progress):
        text, depth = collection.queries[query], DEPTH + (query in documents)
        hits = retriever.retrieve(text, depth) if text.strip() else []
        ranking = [hit.id for hit in hits if hit.id != query]
        figures[query] = {name: metric(ranking, grades) for name, metric in METRICS.items()}
    return figures
