"""One rule says what kind of question a question is."""

import pytest

from rag_lib.museum.collection import SPLITS, STYLES, load_questions
from rag_lib.museum.kinds import KINDS, kind_of


@pytest.mark.parametrize(
    ("question", "kind"),
    [
        ("How long is the tunnel?", "how"),
        ("How long did the flight take?", "how"),
        ("How many moons has Mars?", "how many"),
        ("how much is a family ticket", "how many"),
        ("How long ago was that?", "when"),
        ("When did she fly?", "when"),
        ("In which year was it founded?", "when"),
        ("what time do you close", "when"),
        ("Where are the toilets?", "where"),
        ("In which city was he born?", "where"),
        ("Who was first?", "who"),
        ("Which astronaut took a sandwich?", "who"),
        ("Whose idea was the museum?", "who"),
        ("Which is the biggest planet?", "which"),
        ("What is a pulsar?", "what"),
        ("what's a quasar", "what"),
        ("Why did it explode?", "why"),
        ("how come venus is so hot", "why"),
        ("Can I bring my dog?", "yes or no"),
        ("hi, do you have lockers", "yes or no"),
        ("Isn't it dangerous?", "yes or no"),
        ("dogs allowed?", "yes or no"),
        ("opening times sunday", "other"),
    ],
)
def test_kinds_by_hand(question, kind):
    assert kind_of(question) == kind and kind in KINDS


@pytest.mark.parametrize("style", STYLES)
def test_the_files_have_the_kinds_of_the_rule_and_a_tenth_of_each_has_no_answer(style):
    questions = [q for split in SPLITS for q in load_questions(split, style=style)]
    assert all(q.kind == kind_of(q.question) for q in questions)
    for kind in {q.kind for q in questions} - {"other"}:
        of_kind = [q for q in questions if q.kind == kind]
        assert sum(not q.evidence for q in of_kind) >= 0.1 * len(of_kind), f"{kind}: {len(of_kind)}"
