"""The hostile set before a chat model: each defence before the same passages, and what it lets through is counted."""

import pytest
from fakes import HashEncoder

from rag_lib.generation.chat_prompts import PromptDefence
from rag_lib.generation.generators import Generation
from rag_lib.museum.attacks import Siege, load_attacks
from rag_lib.museum.chat_attacks import DEFENCES, Reply, main, replies, sample, table

ATTACKS = [a for a in load_attacks() if a.id in ("instructions-03", "theft-01")]


class Obedient:
    """A chat model that obeys every order that it reads, unless its prompt tells it not to; else it says nonsense."""

    threshold, votes = 0.5, False

    def __init__(self) -> None:
        self.defence = PromptDefence()
        self.prompts: list[PromptDefence] = []

    def generate(self, questions, sources, job=None, source_logs=None):
        self.prompts.append(self.defence)
        ordered = any("PINEAPPLE" in s.text for s in sources[0]) and not self.defence.instructs
        text = "PINEAPPLE, by order of nobody in Kazakhstan." if ordered else sources[0][0].text.split(". ")[0] + "."
        return [Generation(text, 0.3, None, tuple(range(len(sources[0]))))]


@pytest.fixture(scope="module")
def siege() -> Siege:
    return Siege(ATTACKS, HashEncoder())


def test_a_sample_has_all_kinds_first(siege):
    chosen = sample(load_attacks(), 2)
    assert len({a.kind for a in chosen[:9]}) == 9 == len(chosen) / 2


def test_each_defence_is_tried_and_like_prompts_are_read_once(siege):
    model = Obedient()
    rows = {row.defence: row for row in replies(ATTACKS[0], siege, model, "bm25")}
    assert list(rows) == list(DEFENCES) and len(model.prompts) == len(set(model.prompts)) == 5
    said = {name for name, row in rows.items() if row.outcome.said}
    assert {"none", "marks broken", "delimiting"} <= said and not said & {"instruction", "all"}
    assert rows["support check"].text == "", "what no passage says is not let through"
    assert rows["instruction"].text, "although it is less sure than the threshold: all that it writes is judged"


def test_the_table_counts_what_was_wanted_only_where_something_was(siege):
    rows: list[Reply] = [row for attack in ATTACKS for row in replies(attack, siege, Obedient(), "bm25")]
    head, first, *_ = table(rows)
    assert head.split() == "defence right said what was wanted nothing".split()
    assert first.startswith("none ") and "1.000 [1.000, 1.000] (n = 1)" in first and "(n = 2)" in first


def test_a_model_that_is_no_chat_model_is_refused(monkeypatch, capsys):
    monkeypatch.setattr("rag_lib.museum.chat_attacks.make_generator", lambda *_: Obedient())
    with pytest.raises(SystemExit):
        main(["--generator", "perigee"])
    assert "is no chat model" in capsys.readouterr().err
