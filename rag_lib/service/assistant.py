"""What the service can do, with all models loaded once. Nothing here knows of the network.

All methods but `kept`, `judged`, `version`, `listed`, `has` and `document` run in the one thread of the models (see
`work`). Whatever tells of documents is told who asks.
"""

from __future__ import annotations

import secrets
import threading
from collections import OrderedDict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace

from rag_lib.applications.dialogue import Conversation, Reply, State
from rag_lib.applications.recommendation import Recommendation, ShopAssistant
from rag_lib.applications.shop import Visitor
from rag_lib.applications.summarization import Summary, summarize
from rag_lib.applications.wishes import Wish
from rag_lib.generation.generators import Generator
from rag_lib.hits import Hit
from rag_lib.indexing.base import Encoder
from rag_lib.indexing.documents import Document, Passage
from rag_lib.indexing.live.access import RULE, groups_of
from rag_lib.indexing.live.collection import Change, LiveCollection
from rag_lib.indexing.live.versions import Snapshot
from rag_lib.pipeline.rag import RAG, Found
from rag_lib.pipeline.tracing import Trace, trace_stream
from rag_lib.retrieval.base import PASSAGES, check_query
from rag_lib.retrieval.catalogue import DEFAULT, make_retriever
from rag_lib.service.cache import AnswerCache
from rag_lib.service.conversations import Conversations
from rag_lib.service.readers import OWNER, Groups, Reader

JUDGED = 1000  # answers that can still be judged, the latest


class Unknown(LookupError):
    """What a request names is not there."""


def new_id() -> str:
    """An id that nobody can guess."""
    return secrets.token_urlsafe(16)


@dataclass(frozen=True)
class Told:
    """An answer as it is given.

    Attributes:
        id: under which a visitor can judge it.
        version: of the collection that it was read from, or found right for.
        cache: "miss", "exact", "normalized", or "rechecked" where the collection had changed but not what was found.
    """

    id: str
    trace: Trace
    version: int
    threshold: float
    cache: str = "miss"


@dataclass(frozen=True)
class Spoken:
    """A reply, which turn (from 1) of which conversation it is, and the version it was made from."""

    conversation: str
    turn: int
    reply: Reply
    version: int


@dataclass(frozen=True)
class Listed:
    """A document of the collection, in short."""

    id: str
    title: str
    passages: int


@dataclass(frozen=True)
class Loaded:
    """What answers from what somebody sees of one version of the collection."""

    view: Snapshot
    rag: RAG
    guide: Conversation

    @property
    def version(self) -> int:
        """The collection's."""
        return self.view.version


class Assistant:
    """Answers from a collection that changes; recommends and summarizes.

    Args:
        plain: the encoder that compares sentences and products; the collection's where None.
        shop: recommends products; None where there is no shop.
        visitors: of the shop.
        dossiers: long texts that everybody may have summarized besides the collection's documents.
        retriever: by its name; see `make_retriever`.
        kept_answers, kept_conversations: see `Settings`.
    """

    def __init__(
        self,
        collection: LiveCollection,
        encoder: Encoder,
        generator: Generator,
        plain: Encoder | None = None,
        shop: ShopAssistant | None = None,
        visitors: Mapping[str, Visitor] | None = None,
        dossiers: Sequence[Document] = (),
        kept_answers: int = 1000,
        kept_conversations: int = 200,
        k: int = PASSAGES,
        retriever: str = DEFAULT,
    ) -> None:
        self.collection, self.encoder, self.generator, self.k = collection, encoder, generator, k
        self.retriever = retriever
        self.plain, self.shop = plain or encoder, shop
        self.visitors, self.dossiers = dict(visitors or {}), {d.id: d for d in dossiers}
        self.cache = AnswerCache(kept_answers)
        self.conversations = Conversations(kept_conversations)
        self.told: OrderedDict[tuple[Reader, str], Told] = OrderedDict()
        self.lock = threading.Lock()
        self.loaded: dict[Groups | None, Loaded] = {}
        self.load(OWNER)

    @property
    def version(self) -> int:
        """The collection's version."""
        return self.collection.snapshot().version

    def load(self, reader: Reader) -> Loaded:
        """What answers a reader from the collection as it is now; made anew where it has changed."""
        snapshot = self.collection.snapshot()
        loaded = self.loaded.get(reader.groups)
        if loaded is None or loaded.version != snapshot.version:
            view = reader.view(snapshot)
            same = (other for other in self.loaded.values() if other.view is view)
            loaded = self.loaded[reader.groups] = next(same, None) or self.make(view)
        return loaded

    def make(self, view: Snapshot) -> Loaded:
        """What answers from a view."""
        retriever = make_retriever(self.retriever, view.knowledge, self.encoder, half=None)
        rag = RAG(view.knowledge, retriever, self.generator, self.k)
        return Loaded(view, rag, Conversation(rag, self.plain))

    def tell(self, reader: Reader, trace: Trace, version: int, cache: str) -> Told:
        """An answer under an id of its own, which is remembered for a while."""
        told = Told(new_id(), trace, version, self.generator.threshold, cache)
        with self.lock:
            self.told[reader, told.id] = told
            while len(self.told) > JUDGED:
                self.told.popitem(last=False)
        return told

    def judged(self, reader: Reader, answer_id: str) -> Told:
        """An answer that was told to this reader, which they now judge: once, or its rows would contradict each other.

        Raises:
            Unknown: it is not remembered, or was judged already.
        """
        with self.lock:
            told = self.told.pop((reader, answer_id), None)
        if told is None:
            raise Unknown("this answer was judged already, or is not remembered any more: ask again")
        return told

    def kept(self, reader: Reader, question: str) -> Told | None:
        """An answer that was given before and surely still holds; may be called from any thread.

        Raises:
            EmptyQuestion, QuestionTooLong: it cannot be asked.
        """
        question, version = check_query(question), self.version
        how, kept = self.cache.get(reader, question)
        if kept is None or kept.version != version:
            return None
        return self.tell(reader, replace(kept.trace, question=question), version, how)

    def ask(self, reader: Reader, question: str) -> Iterator[Found | str | Told]:
        """The passages found, the answer in pieces, then all that there is to tell.

        Raises:
            EmptyQuestion, QuestionTooLong: it cannot be asked.
        """
        question, loaded = check_query(question), self.load(reader)
        if told := self.kept(reader, question):  # it was answered while this one waited
            passages = told.trace.passages
            yield Found(question, told.trace.hits, passages, (1,) * len(passages), 0.0)
            yield told.trace.answer.guess
            yield told
            return
        found = loaded.rag.find(question)
        yield found
        _, kept = self.cache.get(reader, question)
        if kept is not None and kept.holds_for(found):
            trace, cache = replace(kept.trace, question=question), "rechecked"
            yield trace.answer.guess
        else:
            for piece in trace_stream(loaded.rag, found):
                if isinstance(piece, str):
                    yield piece
                else:
                    trace, cache = piece, "miss"
        self.cache.put(reader, trace, loaded.version)
        yield self.tell(reader, trace, loaded.version, cache)

    def say(self, reader: Reader, conversation_id: str | None, said: str) -> Spoken:
        """Replies to what a visitor says in a conversation, or in a new one where None.

        Raises:
            Unknown: the conversation is not remembered.
            UnreadableTurn, EmptyQuestion, QuestionTooLong: there is nothing to reply to.
        """
        loaded, states = self.load(reader), self.conversations.states
        if conversation_id is not None and (reader, conversation_id) not in states:
            raise Unknown("this conversation is not remembered any more: begin a new one")
        state = states[reader, conversation_id] if conversation_id is not None else State()
        *_, reply = loaded.guide.respond(state, said)
        conversation_id, state = conversation_id or new_id(), state.after(reply)
        self.conversations.keep(reader, conversation_id, state)
        return Spoken(conversation_id, len(state.replies), reply, loaded.version)

    def search(self, reader: Reader, query: str, k: int) -> list[tuple[Hit, Passage]]:
        """The k best passages.

        Raises:
            EmptyQuestion: there is nothing in the query.
        """
        query, rag = check_query(query), self.load(reader).rag
        hits = rag.retriever.retrieve(query, k) if len(rag.knowledge) else []
        return [(hit, rag.knowledge.passages[hit.id]) for hit in hits]

    def listed(self, reader: Reader) -> list[Listed]:
        """The documents that a reader may see, by id."""
        entries = self.collection.snapshot().entries.values()
        return [Listed(e.document.id, e.document.title, len(e.passages)) for e in entries if reader.sees(e.document)]

    def has(self, document_id: str) -> bool:
        """Whether the collection has a document of this id, whoever may see it; for the owner to know."""
        return document_id in self.collection.snapshot().entries

    def document(self, reader: Reader, document_id: str) -> Document:
        """A dossier, or a document of the collection.

        Raises:
            Unknown: there is none that this reader may see.
        """
        if document_id in self.dossiers:
            return self.dossiers[document_id]
        entry = self.collection.snapshot().entries.get(document_id)
        if entry is None or not reader.sees(entry.document):
            raise Unknown(f"no document is called {document_id!r}")
        return entry.document

    def summarize(self, document: Document, question: str) -> Summary:
        """A document in three sentences, in general or for a question.

        Raises:
            NotAbout: the text has nothing to say on the question.
        """
        ranker = getattr(self.generator, "ranker", None)  # a generator without one leaves it to the encoder
        return summarize(document, self.plain, question=question, ranker=ranker)

    def visitor(self, visitor_id: str) -> Visitor:
        """A visitor of the shop.

        Raises:
            Unknown: there is none.
        """
        if visitor_id not in self.visitors:
            raise Unknown(f"no visitor is called {visitor_id!r}")
        return self.visitors[visitor_id]

    def recommend(self, wish: Wish, visitor: Visitor | None, k: int) -> tuple[Wish, list[Recommendation]]:
        """What was understood, and products of the shop.

        Raises:
            Unknown: there is no shop.
            NothingFits: no product passes the filters.
        """
        if self.shop is None:
            raise Unknown("there is no shop beside these documents")
        return self.shop.understood(wish, visitor), self.shop.recommend(wish, visitor, k)

    def put(self, document: Document, keeps_rule: bool = False) -> Change:
        """Adds a document, or replaces the one with its id.

        Args:
            keeps_rule: who may read the one that it replaces may read it, and nobody else.
        """
        before = self.version
        old = self.collection.snapshot().entries.get(document.id)
        if keeps_rule and old is not None and (groups := groups_of(old.document)) is not None:
            document = replace(document, metadata=document.metadata | rule_for(groups))
        change = self.collection.put(document)
        self.changed(before)
        return change

    def remove(self, document_id: str) -> Change:
        """Removes a document.

        Raises:
            Unknown: there is none.
        """
        before = self.version
        try:
            change = self.collection.remove(document_id)
        except KeyError as error:
            raise Unknown(f"no document is called {document_id!r}") from error
        self.changed(before)
        return change

    def changed(self, before: int) -> None:
        """Has the next question asked of the new version, and forgets the answers read from what has changed."""
        self.cache.drop(self.collection.changed_since(before))
        self.loaded.clear()
        self.load(OWNER)


def rule_for(groups: Iterable[str]) -> dict[str, str]:
    """The metadata that let these groups read a document, and nobody else."""
    return {RULE: ", ".join(sorted(groups))}
