import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_lib.generation.jobs import ANSWER, JOBS, REWRITE, SUMMARIZE
from rag_lib.generation.prompts import (
    BUNDLED,
    INSTRUCTIONS,
    PLAIN,
    PREFIXES,
    QuestionTooLong,
    build_prompt,
    conversation,
    format_for,
)
from rag_lib.indexing.documents import Source
from rag_lib.models.weights import load_minilm


@pytest.fixture(scope="module")
def tokenizer():
    return load_minilm()[1]


def format_input(question, sources):
    return f"question: {question}" + "".join(f" title: {s.title} context: {s.text}" for s in sources)


def test_the_input_has_the_question_first_then_titles_and_texts(tokenizer):
    sources = [Source("Vostok 1", "Gagarin flew."), Source("Moon", "Grey.")]
    assert (
        build_prompt(" Who flew? ", sources, tokenizer, 512).text
        == "question: Who flew? title: Vostok 1 context: Gagarin flew. title: Moon context: Grey."
    )


@settings(max_examples=60)
@given(st.lists(st.integers(1, 60), max_size=6), st.integers(20, 120))
def test_the_budget_is_kept_and_sources_are_whole_or_absent(tokenizer, sizes, budget):
    sources = [Source("T", " ".join([f"w{i}"] * n)) for i, n in enumerate(sizes)]
    try:
        prompt = build_prompt("Who is it?", sources, tokenizer, budget)
    except QuestionTooLong:
        assert all(build_prompt("Who is it?", [s], tokenizer, 10_000).tokens > budget for s in sources)
        return
    assert len(tokenizer(prompt.text)["input_ids"]) == prompt.tokens <= budget
    assert prompt.text == format_input("Who is it?", [sources[i] for i in prompt.used])
    left_out = set(range(len(sources))) - set(prompt.used)
    for i in left_out:  # there was no room for it where it stood
        before = [sources[j] for j in prompt.used if j < i]
        assert build_prompt("Who is it?", [*before, sources[i]], tokenizer, 10_000).tokens > budget


def test_a_question_without_end_is_refused(tokenizer):
    with pytest.raises(QuestionTooLong, match="no passage fits"):
        build_prompt("why " * 10_000, [Source("Moon", "Grey.")], tokenizer, 512)


@pytest.mark.parametrize("form", [BUNDLED, INSTRUCTIONS, PREFIXES, PLAIN])
def test_every_format_has_every_job_and_leaves_braces_in_texts_alone(form):
    source = Source("Set {a}", "In {sources} it says {question}.")
    for job in JOBS:
        text = form.render(job, "Who is {b}?", [source, source])
        assert text.count(source.text) == (2 if "{sources}" in form.jobs[job] else 0)
        assert (text.count("Who is {b}?") == 1) == ("{question}" in form.jobs[job])
    assert "Who is {b}?" in form.render(ANSWER, "Who is {b}?", [])


def test_models_get_the_format_they_were_trained_with():
    assert format_for("google/flan-t5-base", "t5") is INSTRUCTIONS
    assert format_for("google-t5/t5-small", "t5") is PREFIXES
    assert format_for("facebook/bart-large-cnn", "bart") is PLAIN
    text = "A long report."
    assert PREFIXES.render(SUMMARIZE, "", [Source("T", text)]) == "summarize: A long report."
    assert PLAIN.render(SUMMARIZE, "", [Source("T", text)]).strip() == text


def test_a_turn_is_rewritten_from_the_conversation_before_it():
    source = conversation([("Who flew first?", "Gagarin."), ("When?", "In 1961.")])
    assert source.text == "visitor: Who flew first? guide: Gagarin. visitor: When? guide: In 1961."
    for form in (BUNDLED, INSTRUCTIONS):
        text = form.render(REWRITE, " Where was he born? ", [source])
        assert source.text in text and text.count("Where was he born?") == 1
