"""What a generator reads: the question and the passages, laid out as the model was trained, within a token budget.

Taught in notebooks/06_generation.ipynb. The bundled generator's order "question, then title and text of each passage"
is that of Fusion-in-Decoder (Izacard and Grave, 2021).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from transformers import PreTrainedTokenizerBase

from rag_lib.generation.jobs import ANSWER, JOBS, QUOTE, REPLY, REWRITE, SUMMARIZE, Job
from rag_lib.indexing.budget import TITLE
from rag_lib.indexing.documents import Source
from rag_lib.retrieval.base import QuestionTooLong

LEAST = 16  # tokens of a source's text without which it is not worth reading


@dataclass(frozen=True)
class PromptFormat:
    """The input of a family of models.

    Attributes:
        jobs: the whole input of each job, with `{question}` and `{sources}` where they belong.
        source: one passage, with `{title}` and `{text}`.
        no_answer: what the model writes where the passages do not hold the answer.
        apart: whether the model was trained to read passages apart (Fusion-in-Decoder).
        copies: whether it was trained to copy only: replies and summaries are whole sentences of the passages, and a
            rewriting is the turn with names from the conversation.
    """

    jobs: Mapping[Job, str]
    source: str
    no_answer: str = ""
    apart: bool = False
    copies: bool = False

    def render(self, job: Job, question: str, sources: Sequence[Source]) -> str:
        """The input as text."""
        said = "".join(self.source.format(title=s.title, text=s.text) for s in sources)
        return self.jobs[job].format(question=question.strip(), sources=said)


BUNDLED = PromptFormat(
    jobs={job: job.name + ": {question}{sources}" for job in JOBS},
    source=" title: {title} context: {text}",
    no_answer="[MASK]",
    apart=True,
    copies=True,
)
# Models that follow instructions (FLAN-T5)
INSTRUCTIONS = PromptFormat(
    jobs={
        ANSWER: "Answer the question with a few words from the context. If the context does not hold the answer, say "
        "unanswerable.\n\nContext:{sources}\n\nQuestion: {question}\nAnswer:",
        QUOTE: "Quote the sentence that answers the question.\n\nContext:{sources}\n\nQuestion: {question}\nSentence:",
        REPLY: "Answer the visitor in one sentence, from the context.\n\nContext:{sources}\n\nVisitor: {question}\n"
        "Guide:",
        REWRITE: "Rewrite the question so that it can be understood without the conversation.\n{sources}\n\n"
        "Question: {question}\nRewritten question:",
        SUMMARIZE: "Summarize the text in a few sentences. {question}\n\nText:{sources}\n\nSummary:",
    },
    source="\n{title}: {text}",
    no_answer="unanswerable",
)
# T5 as first published, trained on tasks with prefixes (Raffel et al., 2020, appendix D)
PREFIXES = PromptFormat(
    jobs=dict.fromkeys(JOBS, "question: {question} context:{sources}") | {SUMMARIZE: "summarize:{sources}"},
    source=" {text}",
)
# Models of one task, such as a BART trained to summarise: the text itself
PLAIN = PromptFormat(jobs=dict.fromkeys(JOBS, "{question}{sources}") | {SUMMARIZE: "{sources}"}, source=" {text}")


def format_for(name: str, model_type: str) -> PromptFormat:
    """The format of a model from the hub, by its name and the type in its configuration."""
    if model_type in ("t5", "mt5"):
        return INSTRUCTIONS if "flan" in name.lower() else PREFIXES
    return PLAIN


@dataclass(frozen=True)
class Prompt:
    """The generator's input and the sources that are in it, as positions in the list that was given."""

    question: str
    text: str
    used: tuple[int, ...]
    tokens: int


def conversation(history: Sequence[tuple[str, str]]) -> Source:
    """The earlier turns (visitor, guide) of a conversation, oldest first, as what a rewriting is made from."""
    return Source("conversation", " ".join(f"visitor: {visitor} guide: {guide}" for visitor, guide in history))


def fit(lay_out: Callable[[Sequence[int]], Prompt], sources: int, budget: int) -> Prompt:
    """The prompt that `lay_out` makes of the sources that fit, by their positions; one that does not is left out whole.

    Raises:
        QuestionTooLong: there are sources, but none fits beside the question; or the question alone does not fit.
    """
    prompt = lay_out([])
    for i in range(sources):
        longer = lay_out([*prompt.used, i])
        if longer.tokens <= budget:
            prompt = longer
    if prompt.tokens > budget or (sources and not prompt.used):
        raise QuestionTooLong(
            f"the question takes {prompt.tokens} of the {budget} tokens that the generator reads: "
            "no passage fits beside it; ask it in fewer words"
        )
    return prompt


def build_prompt(
    question: str,
    sources: Sequence[Source],
    tokenizer: PreTrainedTokenizerBase,
    budget: int,
    job: Job = ANSWER,
    form: PromptFormat = BUNDLED,
) -> Prompt:
    """The question with the sources that fit, best first; a source that does not fit is left out whole.

    Args:
        budget: the most tokens that the generator reads, special ones included.

    Raises:
        QuestionTooLong: there are sources, but none fits beside the question; or the question alone does not fit.
    """

    def lay_out(used: Sequence[int]) -> Prompt:
        text = form.render(job, question, [sources[i] for i in used])
        return Prompt(question, text, tuple(used), len(tokenizer(text, verbose=False)["input_ids"]))

    return fit(lay_out, len(sources), budget)


def cut_to_fit(
    question: str,
    source: Source,
    tokenizer: PreTrainedTokenizerBase,
    budget: int,
    job: Job = ANSWER,
    form: PromptFormat = BUNDLED,
) -> Source | None:
    """A source as far as it fits beside the question: whole, or without the ends of its title and its text.

    None where the question leaves less than LEAST tokens for the text.

    Raises:
        QuestionTooLong: the source is a conversation, whose end says most.
    """

    def excess(source: Source) -> int:
        return len(tokenizer(form.render(job, question, [source]), verbose=False)["input_ids"]) - budget

    too_many = excess(source)
    if too_many <= 0:
        return source
    if job == REWRITE:
        raise QuestionTooLong(f"the conversation is {too_many} tokens too long to be read: leave out its oldest turns")
    source = source._replace(title=first_tokens(source.title, TITLE, tokenizer))
    while (too_many := excess(source)) > 0:
        left = len(tokenizer(source.text, add_special_tokens=False, verbose=False)["input_ids"]) - too_many
        if left < LEAST:
            return None
        source = source._replace(text=first_tokens(source.text, left, tokenizer))
    return source


def first_tokens(text: str, count: int, tokenizer: PreTrainedTokenizerBase) -> str:
    """The beginning of a text, of at most `count` tokens; it ends with a whole word, unless that is a long one."""
    places = tokenizer(text, add_special_tokens=False, return_offsets_mapping=True, verbose=False)["offset_mapping"]
    if len(places) <= count:
        return text
    end = places[count - 1][1]
    before, _, last = text[:end].rpartition(" ")
    return before if before and len(last) <= 40 and not text[end].isspace() else text[:end]
