"""Outcomes of questions for tests: a good one, and any."""

from dataclasses import replace

from hypothesis import strategies as st

from rag_lib.applications.open_domain import Outcome, Reading, ReadPassage

WELL = Outcome(
    id="q", part="p", article="a", answerable=True, score=0.9, rank=1, passages=(ReadPassage("a", 0, 9, 0.5),),
    place=("a", 2, 4), counted=True, f1=1.0, told=True, cited=True, nearly=True, named=True, nearest=False,
)  # fmt: skip
WRONG = replace(WELL, counted=False, nearly=False, cited=False, told=False, f1=0.0)
SCORES = st.floats(0, 1)
READINGS = st.none() | st.builds(Reading, st.booleans(), SCORES)
OUTCOMES = st.builds(
    replace, st.just(WELL), answerable=st.booleans(), score=SCORES, rank=st.integers(0, 5), counted=st.booleans(),
    nearly=st.booleans(), cited=st.booleans(), place=st.sampled_from([None, ("a", 2, 4)]),
    with_passage=READINGS, with_sentence=READINGS, second_rank=st.none() | st.integers(0, 5),
)  # fmt: skip
