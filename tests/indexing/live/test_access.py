"""What a reader may not see is not found, and changes nothing of what is."""

import tempfile

import pytest
from anew import built_anew, found_in
from fakes import HashEncoder
from hypothesis import given, settings
from hypothesis import strategies as st

from rag_lib.indexing import LiveCollection, readable
from rag_lib.indexing.documents import Document
from rag_lib.indexing.live.access import groups_of
from rag_lib.indexing.reading import parse_front_matter

PUBLIC = [Document("a", "", "The moon and the sun."), Document("b", "", "A dog below the moon. A star.")]
STAFF = Document("s", "", "The moon again: its orbit, and a dog, a dog.", {"access": "staff"})
BOARD = Document("t", "", "The orbit of a star; xylophone, moon.", {"access": "board, staff"})
NOBODY = Document("n", "", "Moon.", {"access": " , "})


@pytest.fixture
def snapshot(tmp_path):
    with LiveCollection.open(tmp_path, HashEncoder(), [*PUBLIC, STAFF, BOARD, NOBODY]) as collection:
        yield collection.snapshot()


@pytest.mark.parametrize(
    ("groups", "seen"),
    [([], PUBLIC), (["visitors"], PUBLIC), (["board"], [*PUBLIC, BOARD]), (["x", "staff"], [*PUBLIC, STAFF, BOARD])],
)
def test_a_reader_finds_what_would_be_found_if_there_were_nothing_else(snapshot, groups, seen):
    view = readable(snapshot, groups)
    assert list(view.entries) == sorted(d.id for d in seen) and view.version == snapshot.version
    assert view.knowledge.passages == built_anew(sorted(seen, key=lambda d: d.id)).passages
    assert found_in(view.knowledge) == found_in(built_anew(seen))


def test_to_strike_out_afterwards_would_show_what_is_hidden(snapshot):
    """The reason why access is decided before the search."""
    view, whole = readable(snapshot, []).knowledge, snapshot.knowledge
    for query in ("moon", "sun star"):
        found = [h for h in whole.bm25.search(query, 9) if h.id in view.passages]
        assert found != view.bm25.search(query, 9), "the hidden passages are in the scores"
    assert whole.knows("xylophone") and not view.knows("xylophone")


WORD = st.lists(st.sampled_from("moon sun star dog cat orbit".split()), min_size=1, max_size=5).map(" ".join)
RULES = st.dictionaries(st.just("access"), st.sampled_from(["staff", "board", "staff,board", ""]))
DOCUMENTS = st.lists(st.builds(Document, st.sampled_from("abcdef"), st.just(""), WORD, RULES), unique_by=lambda d: d.id)


@settings(max_examples=30)
@given(documents=DOCUMENTS, groups=st.sets(st.sampled_from(["staff", "board", "visitors"])))
def test_every_view_is_the_index_of_what_it_shows(documents, groups):
    allowed = [d for d in documents if "access" not in d.metadata or groups & set(d.metadata["access"].split(","))]
    with tempfile.TemporaryDirectory() as folder, LiveCollection.open(folder, HashEncoder(), documents) as collection:
        assert found_in(readable(collection.snapshot(), groups).knowledge) == found_in(built_anew(allowed))


def test_a_view_is_made_once_for_all_who_have_the_same_rights(snapshot):
    assert readable(snapshot, ["board", "x"]) is readable(snapshot, ["y", "board"])
    public = readable(snapshot, [])
    assert readable(public, ["staff"]) is public, "what all may see needs no copy, and rights do not come back"


def test_rules_follow_their_document(tmp_path):
    with LiveCollection.open(tmp_path, HashEncoder(), [*PUBLIC, STAFF]) as collection:
        collection.put(Document("s", "", STAFF.text))
        assert "s" in readable(collection.snapshot(), []).entries
        collection.put(STAFF)
    with LiveCollection.open(tmp_path, HashEncoder()) as collection:
        assert "s" not in readable(collection.snapshot(), []).entries


def test_a_rule_stands_in_the_head_of_a_file_however_it_is_written():
    for head in ("access: staff, board", "access: [staff, board]", "Access:\n- staff\n- board"):
        metadata, _ = parse_front_matter(f"---\n{head}\n---\nText.")
        assert groups_of(Document("a", "", "Text.", metadata)) == {"staff", "board"}
    assert groups_of(Document("a", "", "Text.", {"access": "staff, board", "Access": "board"})) == {"board"}
    assert groups_of(Document("a", "", "Text.")) is None and groups_of(NOBODY) == frozenset()


def test_one_text_is_no_list_of_groups(snapshot):
    with pytest.raises(TypeError, match="takes a list of texts"):
        readable(snapshot, "staff")
