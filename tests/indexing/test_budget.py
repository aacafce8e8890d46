"""Passages fit their readers, whatever they are made of, and nothing of a text is lost."""

import pytest
from fakes import HashEncoder
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_lib.generation.generators import Decoding
from rag_lib.generation.seq2seq import Seq2SeqGenerator
from rag_lib.indexing.budget import TITLE, Budget, fit, generator_budget
from rag_lib.indexing.documents import Document, Passage, Source, indexed_text
from rag_lib.indexing.knowledge_base import KnowledgeBase, build
from rag_lib.indexing.splitting import Splitting, split_document
from rag_lib.pipeline.rag import RAG
from rag_lib.retrieval.catalogue import make_retriever

READ = 254  # what all-MiniLM-L6-v2 reads beside its own two tokens
KINDS = {
    "csv": "\n".join(f"{i},Ada-{i},2021-03-{i % 28:02},{i * 37 % 991}.{i:02},tower;bridge,blue" for i in range(90)),
    "numbers": " ".join(f"{i * 7919 % 99991}.{i * 31 % 997}" for i in range(400)),
    "table": "\n".join(f"| tower {i} | {i * 3} m | 19{i:02} | [link](http://x.org/{i}) | `a_{i}` |" for i in range(60)),
    "log": "\n".join(f"10.0.{i}.7 - [04/May/1986:10:{i:02}] GET /t?id={i:032x} HTTP/1.1 200 {i}" for i in range(59)),
    "url": "https://example.org/" + "/".join(f"p{i}?q={i * 7919:x}&tower=blue" for i in range(200)),
    "code": "\n".join(f"    self._tower[{i}] = {{'x_{i}': lambda a, b={i}: a**b // 0x{i:04x}}}" for i in range(80)),
    "chemistry": " ".join(f"{i}-(2,6-dichlorophenyl)-{i}H-triazolo[3,4-a]phthalazine-{i},4-dione" for i in range(60)),
    "contents": "\n".join(f"{i}.{j} The blue tower {'.' * 90} {i * 10 + j}" for i in range(9) for j in range(5)),
    "hex": " ".join(f"{i * 2654435761 % 2**64:016x}" for i in range(300)),
    "chinese": "".join(chr(0x4E00 + i * 37 % 5000) for i in range(2900)),
    "chinese sentences": "".join("我们的塔是蓝色的，很高" + chr(0x4E00 + i) + "。" for i in range(260)),
    "japanese": "".join("とうのいろはあおでたかさは" + chr(0x30A2 + i % 80) for i in range(250)),
    "thai": "".join("หอคอยสีฟ้า" + chr(0x0E01 + i % 40) for i in range(250)),
    "letters": "x" * 20_000,
    "emoji": "🚀👩‍🚀" * 900,
    "base64": "".join(chr(33 + i * 7919 % 90) for i in range(6000)),
}  # fmt: skip


@pytest.fixture(scope="module")
def budget() -> Budget:
    return Budget(generator_budget().tokenizer, READ)


def tokens(budget: Budget, text: str) -> int:
    return len(budget.tokenizer(text, add_special_tokens=False)["input_ids"])


def fitted(budget: Budget, text: str, title: str = "") -> list[Passage]:
    return fit(split_document(Document("d", title, text), Splitting()), [budget]).passages


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_text_is_split_until_it_is_read_whole_and_nothing_is_lost(budget, kind):
    text = KINDS[kind].strip()
    passages = fitted(budget, text, "The Tower")
    assert len(passages) > 1 and [p.id for p in passages] == [f"d#{i}" for i in range(len(passages))]
    for p in passages:
        assert tokens(budget, indexed_text(p)) <= READ and text[p.start : p.end] == p.text and p.title == "The Tower"
    assert "".join("".join(p.text.split()) for p in passages) == "".join(text.split())


@pytest.mark.parametrize("kind", ["csv", "table", "log", "code", "contents"])
def test_a_row_stays_whole_and_rows_that_fit_stay_together(budget, kind):
    text = KINDS[kind].strip()
    rows = [row.strip() for row in text.splitlines()]
    passages = fit([Passage("d#0", "d", "", text, 0, len(text))], [budget]).passages
    assert [row.strip() for p in passages for row in p.text.splitlines()] == rows
    sizes = [tokens(budget, p.text) for p in passages]
    assert all(a + tokens(budget, p.text.splitlines()[0]) > READ for a, p in zip(sizes, passages[1:], strict=False))


def test_prose_stays_as_the_splitting_made_it(budget):
    text = " ".join(f"Ticket number {i} was sold to a visitor of the museum." for i in range(60))
    whole = split_document(Document("d", "Tickets", text), Splitting())
    assert fit(whole, [budget, generator_budget()]) == (whole, 0)


@settings(max_examples=60)
@given(st.text(alphabet="ab é月. \n-9́", max_size=400), st.integers(12, 60))
def test_any_text_fits_any_budget(budget, text, read):
    small = Budget(budget.tokenizer, read)
    passages = fitted(small, text)
    assert all(tokens(small, p.text) <= read and text[p.start : p.end] == p.text != "" for p in passages)
    assert "".join("".join(p.text.split()) for p in passages) == "".join(text.split())


def test_an_accent_is_never_cut_off_its_letter(budget):
    small = Budget(budget.tokenizer, 20)
    passages = fitted(small, "e\u0301" * 400)
    assert len(passages) > 1 and all(p.text[0] == "e" and p.text[-1] == "\u0301" for p in passages)
    assert fit(split_document(Document("d", "", "e" + "\u0301" * 4000), Splitting()), [small]).cut == 0, "one token"


def test_a_title_without_end_is_cut_and_counted(budget):
    text = " ".join(f"Ticket number {i} was sold to a visitor of the museum." for i in range(60))
    passages, cut = fit(split_document(Document("d", "Tower of Quill " * 300, text), Splitting()), [budget])
    assert cut == len(passages) > 1
    for p in passages:
        assert tokens(budget, p.title) <= TITLE and p.title.startswith("Tower of Quill Tower") and p.title[-1] == "…"
        assert tokens(budget, indexed_text(p)) <= READ
    assert " ".join(p.text for p in passages) == text
    assert build([Document("d", "Tower of Quill " * 300, text)], HashEncoder()).cut == len(passages)


def test_a_knowledge_base_is_built_within_the_budgets_of_encoder_and_generator():
    encoder = HashEncoder()
    only_generator = build([Document("d", "", KINDS["chinese"])], encoder)
    assert len(only_generator) > 2900 / generator_budget().tokens
    encoder.budget = Budget(generator_budget().tokenizer, 100)
    both = build([Document("d", "", KINDS["chinese"])], encoder)
    assert len(both) >= 29 and all(tokens(encoder.budget, p.text) <= 100 for p in both.passages.values())


QUESTION, ANSWER = "Who painted the tower of Quill blue?", "Ada Finch"
FACT = Document("fact", "The Tower of Quill", "The tower of Quill has 99 steps. Ada Finch painted it blue in 1911.")


@pytest.fixture(scope="module")
def generator() -> Seq2SeqGenerator:
    return Seq2SeqGenerator.load()


@pytest.mark.parametrize("apart", [True, False])
def test_no_kind_of_text_among_the_hits_keeps_an_answer_back(budget, generator, apart):
    """Not even from a knowledge base whose passages were made without a budget."""
    documents = [Document(kind, "The blue tower of Quill", text[:6000]) for kind, text in KINDS.items()]
    encoder = HashEncoder()
    encoder.budget = budget
    built = build([*documents, FACT], encoder)
    whole = [p for d in [*documents, FACT] for p in split_document(d, Splitting())]
    unsplit = KnowledgeBase(whole, encoder.encode_passages([p.text for p in whole]), built.settings, "")
    reader = Seq2SeqGenerator(generator.model, generator.tokenizer, Decoding(apart=apart), generator.form)
    for knowledge in (built, unsplit):
        rag = RAG(knowledge, make_retriever("bm25", knowledge, encoder), reader, 5, threshold=0.0)
        answer = rag.ask(QUESTION)
        assert len(answer.hits) == 5 and answer.text == ANSWER
        assert answer.cut == 0 or knowledge is unsplit


def test_a_source_that_is_too_long_is_cut_counted_and_quoted_where_it_stands(generator):
    long = Source("Tower " * 500, f"Ada Finch painted the tower blue. {KINDS['csv']}")
    short = Source("Bridge", "The bridge is red.")
    (generation,) = generator.generate(["Who painted the tower blue?"], [[short, long]])
    assert generation.text == ANSWER and generation.used == (0, 1) and generation.cut == (1,)
    place = generation.place
    assert place.source == 1 and long.text[place.start : place.end] == ANSWER
    assert all(prompt.tokens <= generator.budget for prompt in generation.prompts)
    (generation,) = generator.generate(["Who painted the tower blue?"], [[short]])
    assert generation.cut == ()
