"""A judged collection in BEIR's layout: its figures are ir_measures', and a broken one is said in one line."""

import json

import bm25s
import ir_measures
import numpy as np
import pytest
from ir_measures import RR, R, nDCG

from rag_lib.__main__ import main
from rag_lib.evaluation.beir import (
    DocumentRetriever,
    JudgedCollection,
    collection_retriever,
    cut,
    evaluate,
    read_collection,
)
from rag_lib.hits import Hit
from rag_lib.indexing.analysis import Analyzer
from rag_lib.indexing.documents import Document, indexed_text
from rag_lib.museum.collection import load_articles, load_questions
from rag_lib.retrieval.catalogue import RETRIEVERS

METRICS = {"nDCG@10": nDCG @ 10, "recall@100": R @ 100, "MRR@10": RR @ 10}


def write_collection(folder, documents, queries, judgements, qrels="qrels/test.tsv"):
    """Writes documents (id → title, text), queries (id → text) and judgements (query, document, grade)."""
    rows = [{"_id": i, "title": title, "text": text, "metadata": {}} for i, (title, text) in documents.items()]
    (folder / "corpus.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    lines = [json.dumps({"_id": i, "text": text}) + "\n" for i, text in queries.items()]
    (folder / "queries.jsonl").write_text("".join(lines), encoding="utf-8")
    (folder / qrels).parent.mkdir(exist_ok=True)
    lines = ["query-id\tcorpus-id\tscore\n", *(f"{q}\t{d}\t{grade}\n" for q, d, grade in judgements)]
    (folder / qrels).write_text("".join(lines), encoding="utf-8")
    return folder


DOCUMENTS = {
    "d1": ("Moon", "The Moon raises the tides of the sea."),
    "d2": ("Tides", "Spring tides come at new moon and full moon."),
    "d3": ("Dogs", "Dogs bark at the moon."),
    "d4": ("", "Rockets burn fuel and an oxidiser."),
    "d5": ("Empty", ""),
}
QUERIES = {"q1": "What raises tides?", "q2": "rocket fuel", "q3": "never judged", "q4": "only judged irrelevant: moon"}
JUDGEMENTS = [("q1", "d1", 2), ("q1", "d2", 1), ("q1", "d3", 0), ("q2", "d4", 1), ("q2", "d1", 1), ("q4", "d3", 0)]


@pytest.fixture
def small(tmp_path):
    return write_collection(tmp_path, DOCUMENTS, QUERIES, JUDGEMENTS)


def measured(folder, name, encoder=None):
    """A collection's figures with a retriever by its name, and what there is to say."""
    collection = read_collection(folder)
    retriever, notes = collection_retriever(collection, name, encoder, progress=False)
    return evaluate(collection, retriever, progress=False), notes


@pytest.fixture(scope="module")
def museum(tmp_path_factory):
    """Sixty articles as documents: the right article has grade 2, one of the same hall grade 1."""
    articles = load_articles()[:60]
    documents = {a.id: (a.title, a.text) for a in articles}
    questions = [q for s in ("train", "validation") for q in load_questions(s)]
    questions = [q for q in questions if q.answers and q.evidence[0].article in documents]
    halls = {a.id: a.metadata["hall"] for a in articles}
    judgements = []
    for q in questions:
        right = q.evidence[0].article
        near = next(i for i in halls if i != right and (halls[i] == halls[right] or i == articles[-1].id))
        judgements += [(q.id, right, 2), (q.id, near, 1)]
    folder = tmp_path_factory.mktemp("museum")
    return write_collection(folder, documents, {q.id: q.question for q in questions}, judgements)


def test_figures_of_bm25_are_those_of_bm25s_and_ir_measures(museum):
    """The trusted ranking, judged by the trusted metrics."""
    collection = read_collection(museum)
    analyzer = Analyzer()
    ids = [d.id for d in collection.documents]
    index = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
    index.index([analyzer(f"{d.title} {d.text}") for d in collection.documents], show_progress=False)
    run = {}
    for query, text in collection.queries.items():
        scores = index.get_scores([t for t in analyzer(text) if t in index.vocab_dict])
        run[query] = {ids[i]: float(scores[i]) for i in np.flatnonzero(scores > 0)}
    expected = ir_measures.calc_aggregate(METRICS.values(), collection.judgements, run)
    retriever, notes = collection_retriever(collection, "bm25", progress=False)
    figures = evaluate(collection, retriever, progress=False)
    assert notes == [] and len(figures) == len(collection.queries) > 300
    for name, measure in METRICS.items():
        assert np.mean([row[name] for row in figures.values()]) == pytest.approx(expected[measure], abs=1e-3)


@pytest.mark.parametrize(
    "method", [name for name in RETRIEVERS if not name.startswith(("dpr", "cross-encoder", "ensemble"))]
)
def test_every_retriever_on_a_collection_whose_figures_are_known(small, method, encoder):
    figures = measured(small, method, encoder)[0]
    assert figures["q1"] == {"nDCG@10": 1.0, "recall@100": 1.0, "MRR@10": 1.0}
    assert figures["q2"]["MRR@10"] == 1.0 and figures["q2"]["recall@100"] == (0.5 if method == "bm25" else 1.0)
    assert figures.keys() == {"q1", "q2"}


def test_the_command_prints_intervals_counts_what_it_left_out_and_writes_each_querys_figures(small, tmp_path, capsys):
    path = tmp_path / "figures.jsonl"
    assert main(["evaluate", "retrieval", str(small), "--retriever", "bm25", "--figures", str(path)]) == 0
    out = capsys.readouterr().out
    assert "5 documents, 2 queries" in out and "2 queries left out" in out
    rows = {row.pop("query"): row for row in map(json.loads, path.read_text(encoding="utf-8").splitlines())}
    ideal = 1 + 1 / np.log2(3)
    assert rows["q1"] == {"nDCG@10": 1.0, "recall@100": 1.0, "MRR@10": 1.0}
    assert rows["q2"] == {"nDCG@10": pytest.approx(1 / ideal), "recall@100": 0.5, "MRR@10": 1.0}
    assert f"nDCG@10      {np.mean([1, 1 / ideal]):.3f} [" in out and "recall@100   0.750 [" in out and "(n = 2)" in out


def test_a_long_document_is_as_near_as_its_best_passage(tmp_path, encoder):
    filler = " ".join(f"Ticket number {i} was sold to a visitor of the museum." for i in range(60))
    documents = {
        "long": ("Tickets", f"{filler} Lakes of liquid methane lie on Titan."),
        "short": ("Tickets", filler[:300]),
    }
    write_collection(tmp_path, documents, {"q": "methane lakes on Titan"}, [("q", "long", 1)], "qrels.tsv")
    figures, notes = measured(tmp_path, "dense", encoder)
    assert figures["q"]["MRR@10"] == 1.0 and notes[0].startswith("1 longer than the encoder reads")
    texts = cut(Document("long", *documents["long"]), encoder)
    assert len(texts) > 2 and "methane" in texts[-1].text and all(p.title == "Tickets" for p in texts)
    assert encoder.truncated([indexed_text(p) for p in texts]) == 0
    assert [p.text for p in cut(Document("short", *documents["short"]), encoder)] == [filler[:300]]


def test_a_document_is_found_however_many_passages_another_one_has():
    class Passages:
        temperature = 1.0

        def retrieve(self, query, k):
            hits = [Hit(f"a#{i}", 99.0 - i) for i in range(60)] + [Hit("b#0", 1.0), Hit("c#0", 0.5)]
            return hits[:k]

    document_of = {f"a#{i}": "a" for i in range(60)} | {"b#0": "b", "c#0": "c"}
    retriever = DocumentRetriever(Passages(), document_of)
    assert retriever.retrieve("q", 2) == [Hit("a", 99.0), Hit("b", 1.0)]
    assert retriever.retrieve("q", 9) == [Hit("a", 99.0), Hit("b", 1.0), Hit("c", 0.5)]


def refused(capsys, folder, *options) -> str:
    """The one line that the command prints for a broken folder."""
    assert main(["evaluate", "retrieval", str(folder), *options]) == 1
    captured = capsys.readouterr()
    (line,) = captured.err.strip().splitlines()
    assert line.startswith("error: ") and captured.out == ""
    return line


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl", "qrels/test.tsv"])
def test_a_missing_file_is_named(small, capsys, name):
    (small / name).unlink()
    assert "there is no" in refused(capsys, small)


@pytest.mark.parametrize("name", ["corpus.jsonl", "queries.jsonl"])
@pytest.mark.parametrize(
    "line", [b"not json", b'{"_id": "x"}', b'["x"]', b'{"_id": "x", "text": 3}', b'{"_id": null, "text": ""}', b"\xff"]
)
def test_a_broken_line_is_named_by_its_number(small, capsys, name, line):
    rows = (small / name).read_bytes().splitlines()
    (small / name).write_bytes(b"\n".join([*rows[:2], line, *rows[2:]]))
    assert f"{name}, line 3: " in refused(capsys, small)


def test_an_id_that_occurs_twice_is_named(small, capsys):
    with open(small / "corpus.jsonl", "a") as file:
        file.write('{"_id": "d1", "text": "again"}\n')
    assert "line 6: the _id 'd1' occurs twice" in refused(capsys, small)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("q99\td1\t1", "the query 'q99' is not in queries.jsonl"),
        ("q1 d1 1", "not query-id, corpus-id and a whole number"),
        ("q1\td1\tyes", "not query-id, corpus-id and a whole number"),
    ],
)
def test_a_broken_judgement_is_named_by_its_line(small, capsys, line, message):
    with open(small / "qrels" / "test.tsv", "a") as file:
        file.write(line + "\n")
    assert f"test.tsv, line 8: {message}" in refused(capsys, small)


ARGUMENTS = {
    "a1": ("", "Zoos should be closed because animals suffer in small cages."),
    "a2": ("", "Zoos protect endangered animals."),
    "a3": ("", "Space probes are expensive but useful."),
}


def test_a_document_that_is_judged_and_not_there_counts_as_missed(tmp_path, capsys):
    """As in BEIR: the figures are trec_eval's for a ranking that cannot hold it."""
    judgements = [("q", "a2", 1), ("q", "a9", 2), ("q", "a8", 0)]
    folder = write_collection(tmp_path, ARGUMENTS, {"q": "endangered animals"}, judgements)
    figures, _ = measured(folder, "bm25")
    run = {"q": {"a2": 2.0, "a1": 1.0}}
    expected = ir_measures.calc_aggregate(METRICS.values(), {"q": {"a2": 1, "a9": 2, "a8": 0}}, run)
    assert figures["q"] == {name: pytest.approx(expected[measure]) for name, measure in METRICS.items()}
    assert figures["q"]["recall@100"] == 0.5
    assert main(["evaluate", "retrieval", str(folder)]) == 0
    assert "1 documents that are judged relevant are not in corpus.jsonl" in capsys.readouterr().out


@pytest.mark.parametrize("method", ["bm25", "dense", "hybrid"])
def test_a_query_that_is_a_document_does_not_find_itself(tmp_path, method, encoder):
    """As in BEIR, whose arguments are queries and documents at once: the document of the query's id is left out."""
    queries = {"a1": ARGUMENTS["a1"][1], "q": ARGUMENTS["a1"][1]}
    folder = write_collection(tmp_path, ARGUMENTS, queries, [("a1", "a2", 1), ("q", "a2", 1)])
    figures, _ = measured(folder, method, encoder)
    assert figures["a1"]["MRR@10"] == figures["a1"]["nDCG@10"] == 1.0
    assert figures["q"]["MRR@10"] == 0.5, "for another query it is a document like the others"


def test_no_place_is_lost_to_the_query_itself():
    class All:
        temperature = 1.0

        def retrieve(self, query, k):
            return [Hit(f"d{i}", -float(i)) for i in range(500)][:k]

    collection = JudgedCollection([Document(f"d{i}", "", "x") for i in range(500)], {"d0": "x"}, {"d0": {"d100": 1}}, 0)
    assert evaluate(collection, All(), progress=False)["d0"]["recall@100"] == 1.0


def test_judgements_without_anything_relevant_are_refused(small, capsys):
    (small / "qrels" / "test.tsv").write_text("q1\td1\t0\n")
    assert "holds no relevant document" in refused(capsys, small)


def test_a_split_is_chosen_by_name_and_test_is_the_default(small, capsys):
    (small / "qrels" / "train.tsv").write_text("q2\td4\t1\n")
    assert read_collection(small).queries.keys() == {"q1", "q2"}
    assert read_collection(small, "train").judgements == {"q2": {"d4": 1}}, "a header is not needed"
    (small / "qrels" / "test.tsv").rename(small / "qrels" / "dev.tsv")
    assert "there are dev, train" in refused(capsys, small)
    (small / "qrels" / "train.tsv").unlink()
    assert len(read_collection(small).queries) == 2, "the only one there is"


def test_a_title_may_be_missing_and_an_id_a_number(tmp_path):
    (tmp_path / "corpus.jsonl").write_text('{"_id": 7, "text": "moon"}\n\n{"_id": "8", "title": null, "text": "sun"}\n')
    (tmp_path / "queries.jsonl").write_text('{"_id": 1, "text": "moon"}\n')
    (tmp_path / "qrels.tsv").write_text("query-id\tcorpus-id\tscore\r\n1\t7\t1\r\n")
    figures, _ = measured(tmp_path, "bm25")
    assert figures["1"]["MRR@10"] == 1.0
