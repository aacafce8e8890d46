"""Retrieval measured on a judged collection in the layout of BEIR (Thakur et al., 2021).

A folder holds `corpus.jsonl` (`_id`, `title`, `text`), `queries.jsonl` (`_id`, `text`) and judgements: `qrels.tsv` or
`qrels/<split>.tsv` with the columns query-id, corpus-id and score. Taught in notebooks/05_retrieval.ipynb.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from tqdm.auto import tqdm

from rag_lib.analysis import Analyzer
from rag_lib.bm25 import BM25
from rag_lib.documents import Document
from rag_lib.hits import Hit, best
from rag_lib.ranking import ndcg_at_k, recall_at_k, reciprocal_rank
from rag_lib.retrievers import min_max_fusion
from rag_lib.splitting import Splitting, passage_spans

if TYPE_CHECKING:  # so that BM25 alone loads no model
    from rag_lib.encoders import SentenceEncoder

METHODS = ("bm25", "dense", "hybrid")
DEPTH = 100  # documents ranked for a query
SPLITTING = Splitting(120)  # of documents that an encoder does not read to their end
QUERY_BATCH = 32


class BadCollection(ValueError):
    """A folder is no judged collection; the message names the file, and the line where there is one."""


@dataclass(frozen=True)
class JudgedCollection:
    """Documents, queries and which documents answer which query.

    Attributes:
        queries: text by id, only those with a relevant document.
        judgements: grade by document id by query id; above 0 is relevant.
        left_out: how many queries of the folder have no relevant document among the judgements.
    """

    documents: list[Document]
    queries: dict[str, str]
    judgements: dict[str, dict[str, int]]
    left_out: int


def json_lines(path: Path) -> Iterator[tuple[str, dict]]:
    """Rows of a file of JSON lines with the place of each, for messages.

    Raises:
        BadCollection: a line is no JSON object with texts under `_id` and `text`, or its id is taken.
    """
    ids: set[str] = set()
    with open(path, "rb") as file:
        for number, line in enumerate(file, start=1):
            if not line.strip():
                continue
            place = f"{path}, line {number}"
            try:
                row = json.loads(line)
            except ValueError as error:  # UnicodeDecodeError is one too
                raise BadCollection(f"{place}: not JSON ({error})") from error
            if not isinstance(row, dict) or not isinstance(row.get("text"), str) or "_id" not in row:
                raise BadCollection(f"{place}: not an object with _id and text")
            if not isinstance(row["_id"], (str, int)) or not str(row["_id"]):
                raise BadCollection(f"{place}: _id must be a text")
            row["_id"] = str(row["_id"])
            if row["_id"] in ids:
                raise BadCollection(f"{place}: the _id {row['_id']!r} occurs twice")
            ids.add(row["_id"])
            yield place, row


def read_documents(path: Path) -> list[Document]:
    """The documents of a corpus file; a missing title is an empty one."""
    documents = []
    for place, row in json_lines(path):
        title = row.get("title") or ""
        if not isinstance(title, str):
            raise BadCollection(f"{place}: title must be a text")
        documents.append(Document(row["_id"], title, row["text"]))
    return documents


def read_judgements(path: Path, queries: set[str], documents: set[str]) -> dict[str, dict[str, int]]:
    """Grade by document id by query id.

    Raises:
        BadCollection: a line has not three columns, its score is no whole number, or an id is unknown.
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
            if document not in documents:
                raise BadCollection(f"{place}: the document {document!r} is not in corpus.jsonl")
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
    queries = {row["_id"]: row["text"] for _, row in json_lines(folder / "queries.jsonl")}
    judged = read_judgements(path, set(queries), {d.id for d in documents})
    judged = {query: grades for query, grades in judged.items() if max(grades.values()) > 0}
    if not judged:
        raise BadCollection(f"{path} holds no relevant document")
    return JudgedCollection(documents, {q: queries[q] for q in judged}, judged, len(queries) - len(judged))


def whole_text(document: Document) -> str:
    """Title and text as one."""
    return f"{document.title} {document.text}".strip()


def search_bm25(collection: JudgedCollection, progress: bool = True) -> dict[str, list[Hit]]:
    """The DEPTH best documents for each query by BM25 over title and text."""
    documents = tqdm(collection.documents, desc="indexing", disable=not progress)
    index = BM25([d.id for d in collection.documents], (whole_text(d) for d in documents), Analyzer())
    queries = tqdm(collection.queries.items(), desc="searching", disable=not progress)
    return {query: index.search(text, DEPTH) for query, text in queries}


def cut(document: Document, encoder: SentenceEncoder) -> list[str]:
    """A document as texts that the encoder reads: itself where it fits, else its passages, each with the title."""
    if not encoder.truncated([whole_text(document)]):
        return [whole_text(document)]
    spans = passage_spans(document.text, SPLITTING) or [(0, 0)]
    return [f"{document.title} {document.text[a:b]}".strip() for a, b in spans]


def search_dense(
    collection: JudgedCollection, encoder: SentenceEncoder, progress: bool = True
) -> tuple[dict[str, list[Hit]], list[str]]:
    """The DEPTH documents nearest to each query, and what there is to say about documents that were too long.

    A document is as near as the nearest of the texts it is cut into (Dai and Callan, 2019).
    """
    texts = [cut(d, encoder) for d in tqdm(collection.documents, desc="cutting", disable=not progress)]
    flat = [text for document in texts for text in document]
    starts = [0, *accumulate(len(document) for document in texts)][:-1]
    vectors = encoder.encode_passages(flat, progress)
    questions = encoder.encode_queries(list(collection.queries.values()))
    ids = [d.id for d in collection.documents]
    found = []
    for i in tqdm(range(0, len(questions), QUERY_BATCH), desc="searching", disable=not progress):
        scores = np.maximum.reduceat(questions[i : i + QUERY_BATCH] @ vectors.T, starts, axis=1)
        found += [highest(ids, row, DEPTH) for row in scores]
    long = sum(len(document) > 1 for document in texts)
    notes = [f"{long} longer than the encoder reads: the best of their passages counts"] if long else []
    if cropped := encoder.truncated(flat):
        notes.append(f"{cropped} passages still too long: their ends were not read")
    return dict(zip(collection.queries, found, strict=True)), notes


def highest(ids: Sequence[str], scores: np.ndarray, k: int) -> list[Hit]:
    """The k ids with the highest scores, ties in the order of their ids."""
    threshold = np.partition(scores, -k)[-k] if len(scores) > k else -np.inf
    return best([Hit(ids[i], float(scores[i])) for i in np.flatnonzero(scores >= threshold)], k)


def evaluate(
    collection: JudgedCollection, method: str, encoder: SentenceEncoder | None = None, progress: bool = True
) -> tuple[dict[str, dict[str, float]], list[str]]:
    """nDCG@10, recall@100 and MRR@10 of each query by its id, and what there is to say about them.

    Args:
        method: one of METHODS; the hybrid is the min-max fusion of the other two.
        encoder: not needed for bm25.

    Raises:
        ValueError: another method, or no encoder for one that needs it.
    """
    if method not in METHODS or (encoder is None and method != "bm25"):
        raise ValueError(
            f"the method must be one of {', '.join(METHODS)}, the last two with an encoder; not {method!r}"
        )
    lexical = search_bm25(collection, progress) if method != "dense" else {}
    dense, notes = search_dense(collection, encoder, progress) if method != "bm25" else ({}, [])
    figures = {}
    for query, grades in collection.judgements.items():
        hits = min_max_fusion([run[query] for run in (lexical, dense) if run], DEPTH)
        ranking = [hit.id for hit in hits]
        figures[query] = {
            "nDCG@10": ndcg_at_k(ranking, grades, 10),
            "recall@100": recall_at_k(ranking, grades, 100),
            "MRR@10": reciprocal_rank(ranking, grades, 10),
        }
    return figures, notes
