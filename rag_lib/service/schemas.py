"""What goes in and out over HTTP, as JSON; from these the OpenAPI description is made."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from rag_lib.applications.recommendation import Recommendation
from rag_lib.applications.summarization import Summary as Made
from rag_lib.hits import Hit
from rag_lib.indexing.documents import Passage
from rag_lib.pipeline.rag import Citation
from rag_lib.pipeline.tracing import Reading as Read
from rag_lib.service.assistant import Spoken, Told

LONGEST_TEXT = 200_000  # characters of a document
Question = Annotated[str, Field(min_length=1, max_length=2000, examples=["Who was the first woman in space?"])]
Text = Annotated[str, Field(min_length=1, max_length=LONGEST_TEXT)]
Group = Annotated[str, Field(pattern=r"^[\w.-]{1,50}$", examples=["staff"])]
DOCUMENT_ID = r"^[\w(][\w.()-]*([ /][\w(][\w.()-]*)*$"
DocumentId = Annotated[str, Field(min_length=1, max_length=200, pattern=DOCUMENT_ID, examples=["zog"])]


def example(**values: object) -> ConfigDict:
    """A request's example; unknown fields are refused, so that a misspelt one is noticed."""
    return ConfigDict(extra="forbid", json_schema_extra={"examples": [values]})


# What goes in


class Asked(BaseModel):
    """A question to the documents."""

    model_config = example(question="Who was the first woman in space?", stream=False)
    question: Question
    stream: bool = Field(False, description="server-sent events: passages, piece, answer (or error)")


class Said(BaseModel):
    """What a visitor says to the guide."""

    model_config = example(message="Who was the first woman in space?")
    message: Question
    conversation: str | None = Field(None, max_length=100, description="its id; none begins a new one")


class Searched(BaseModel):
    """Words to look for."""

    model_config = example(query="animals in orbit", k=5)
    query: Question
    k: int = Field(5, ge=1, le=50)


class ToSummarize(BaseModel):
    """A text, or the id of a document or dossier; and what the summary should be about, if not all of it."""

    model_config = example(text="Laika was a dog. She flew in Sputnik 2. It had no way back.", question="")
    document: str | None = Field(None, max_length=200)
    text: str | None = Field(None, max_length=LONGEST_TEXT)
    question: str = Field("", max_length=2000)


class Wished(BaseModel):
    """What a visitor of the shop wishes; filters stand in the words or in fields of their own."""

    model_config = example(wish="Something for a six-year-old who likes comets, under 20 euros", k=3)
    wish: str = Field("", max_length=1000)
    visitor: str | None = Field(None, max_length=50, description="whose purchases count too, such as v-001")
    age: int | None = Field(None, ge=0, le=120)
    price_max: float | None = Field(None, ge=0, le=1e6, allow_inf_nan=False)
    in_stock: bool = False
    k: int = Field(5, ge=1, le=20)


class Given(BaseModel):
    """A document's title and text, and who may read it."""

    model_config = example(title="King Zog", text="King Zog collected 412 umbrellas.")
    title: str = Field("", max_length=300)
    text: Text
    access: Literal["everybody"] | Annotated[list[Group], Field(max_length=100)] | None = Field(
        None, description="groups; without it everybody, or whoever might read what this replaces"
    )


class GivenWithId(Given):
    """A new document."""

    model_config = example(id="zog", title="King Zog", text="King Zog collected 412 umbrellas.")
    id: DocumentId


class Judged(BaseModel):
    """What a visitor thinks of an answer."""

    model_config = example(answer="the id of an answer", verdict="right", correction="")
    answer: str = Field(max_length=100, description="the id that came with it")
    verdict: Literal["right", "wrong", "not in the documents"]
    correction: str = Field("", max_length=500, description="the right answer, as it stands in a passage that was read")


# What comes out


class PassageRead(BaseModel):
    """A passage, where it stands in its document, and its score."""

    id: str
    document: str
    title: str
    text: str
    start: int
    end: int
    score: float

    @classmethod
    def of(cls, hit: Hit, passage: Passage) -> PassageRead:
        """From a hit."""
        p = passage
        return cls(
            id=p.id, document=p.document_id, title=p.title, text=p.text, start=p.start, end=p.end, score=hit.score
        )


class Cited(BaseModel):
    """What supports an answer: `text[start:end]` of the passage, and the sentence around it."""

    passage: str
    document: str
    title: str
    text: str
    start: int
    end: int
    sentence: str

    @classmethod
    def of(cls, citation: Citation) -> Cited:
        """With places in the passage instead of the document."""
        p = citation.passage
        start, end = citation.start - p.start, citation.end - p.start
        sentence = citation.sentence
        return cls(
            passage=p.id, document=p.document_id, title=p.title, text=p.text, start=start, end=end, sentence=sentence
        )


class Word(BaseModel):
    """A token that was written, and its probability."""

    text: str
    probability: float


class Reading(BaseModel):
    """What the generator read and wrote."""

    passages: int
    tokens: int
    seconds: float
    score: float
    words: list[Word]
    features: dict[str, float]

    @classmethod
    def of(cls, reading: Read) -> Reading:
        """Without the inputs, which repeat the passages."""
        g = reading.generation
        words = [Word(text=t.text, probability=t.probability) for t in g.tokens]
        return cls(
            passages=len(g.used), tokens=sum(p.tokens for p in g.prompts), seconds=reading.seconds, score=g.score,
            words=words, features=dict(g.features),
        )  # fmt: skip


class Answer(BaseModel):
    """An answer with its sources and how it came about.

    `answer` is empty where the documents do not say, as far as the service can tell; `guess` is then what it would have
    said. `sure` is the probability, from 0 to 1, that it is right.
    """

    id: str
    question: str
    answer: str
    guess: str
    sure: float
    threshold: float
    citations: list[Cited]
    passages: list[PassageRead]
    readings: list[Reading]
    seconds: dict[str, float]
    cache: Literal["miss", "exact", "normalized", "rechecked"]
    version: int

    @classmethod
    def of(cls, told: Told) -> Answer:
        """An answer that was told."""
        trace, answer = told.trace, told.trace.answer
        cited = answer.citations or ((answer.nearest,) if answer.nearest else ())
        return cls(
            id=told.id, question=trace.question, answer=answer.text, guess=answer.guess, sure=answer.score,
            threshold=told.threshold, citations=[Cited.of(c) for c in cited], passages=passages_of(trace),
            readings=[Reading.of(r) for r in trace.readings], seconds=answer.seconds, cache=told.cache,
            version=told.version,
        )  # fmt: skip


def passages_of(found: object) -> list[PassageRead]:
    """The passages of a Found or a Trace."""
    return [PassageRead.of(h, p) for h, p in zip(found.hits, found.passages, strict=True)]


class Replied(BaseModel):
    """The guide's reply; marks such as [1] name a citation, `question` is what was said so that it stands alone.

    `silent` says that the documents do not say; the citation is then what comes nearest.
    """

    conversation: str
    turn: int
    reply: str
    question: str
    silent: bool
    citations: list[Cited]
    version: int

    @classmethod
    def of(cls, spoken: Spoken) -> Replied:
        """A reply that was made."""
        reply = spoken.reply
        cited = [Cited.of(c) for c in reply.citations]
        return cls(
            conversation=spoken.conversation, turn=spoken.turn, reply=reply.text, question=reply.question,
            silent=reply.silent, citations=cited, version=spoken.version,
        )  # fmt: skip


class Summary(BaseModel):
    """A summary, sentence by sentence, each with the sentence of the text that supports it."""

    title: str
    words: int
    summary: str
    sentences: list[dict[str, str]]
    left_out: list[dict[str, str]]

    @classmethod
    def of(cls, title: str, words: int, made: Made) -> Summary:
        """A summary that was made."""
        kept = [{"sentence": c.sentence, "evidence": c.evidence} for c in made.claims]
        left = [{"sentence": c.sentence, "why": "; ".join(c.faults)} for c in made.left_out]
        return cls(title=title, words=words, summary=made.text, sentences=kept, left_out=left)


class Product(BaseModel):
    """A product of the shop, and why it is recommended."""

    id: str
    title: str
    category: str
    price: float
    age_min: int
    age_max: int
    in_stock: bool
    score: float
    reason: str

    @classmethod
    def of(cls, recommended: Recommendation) -> Product:
        """A product that was recommended."""
        p = recommended.product
        return cls(
            id=p.id, title=p.title, category=p.category, price=p.price, age_min=p.age_min, age_max=p.age_max,
            in_stock=p.in_stock, score=recommended.score, reason=recommended.reason,
        )  # fmt: skip


class Recommended(BaseModel):
    """What was understood of a wish, and products."""

    understood: str
    products: list[Product]


class DocumentListed(BaseModel):
    """A document in short."""

    id: str
    title: str
    passages: int


class Documents(BaseModel):
    """The collection's documents by id, from `offset` on, and the dossiers that can be summarized.

    `changeable` says whether whoever asks may add, replace and delete documents.
    """

    version: int
    total: int
    documents: list[DocumentListed]
    dossiers: list[DocumentListed]
    changeable: bool


class Changed(BaseModel):
    """What became of a document."""

    id: str
    change: Literal["added", "replaced", "unchanged", "removed"]
    version: int
    passages: int


class Thanks(BaseModel):
    """What was kept of a judgement: whether it became a row to evaluate and train on."""

    kept: bool
    row: bool


class State(BaseModel):
    """How the service is."""

    status: Literal["alive", "loading", "ready", "not ready"]
    version: int | None = None
    shop: bool = False


class Problem(BaseModel):
    """Why something was not done, in one line."""

    reason: str
    message: str
