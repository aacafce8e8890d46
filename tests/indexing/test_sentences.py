import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

from rag_lib.indexing.sentences import sentence_spans


@pytest.mark.parametrize("given", [None, 5, b"Go.", ["Go."]])
def test_what_is_no_text_has_no_sentences(given):
    with pytest.raises(TypeError, match=f"^what has sentences is a text, not {type(given).__name__}$"):
        sentence_spans(given)


def sentences(text: str) -> list[str]:
    return [text[a:b] for a, b in sentence_spans(text)]


@pytest.mark.parametrize(
    "text",
    [
        "The probe left on Dec. 17, 1903.",
        "Okafor et al. (2019) agree.",
        "Mt. Erebus is high.",
        "It starts at 9 a.m. GMT on Monday.",
        "It starts at 5 p.m. EST today.",
        "She holds a Ph.D. in physics.",
        "Anna Okafor, Ph.D., led it.",
        "See Fig. 3 and Eq. (4) for details.",
        "As in Eq. (4) we see.",
        "J. R. R. Tolkien and J.R.R. Tolkien wrote it.",
        "Lt. Col. Anders and Maj. Gen. Smith came.",
        "Sen. Glenn flew, as did Rev. King.",
        "It cost approx. 5 million.",
        "No. 5 is alive.",
        "See pp. 5–9 of Vol. II.",
        "Washington, D.C. Mayor Smith spoke.",
        "The firm Acme Inc. was sold.",
        "The U.S. Navy ship sailed.",
        "He lived from c. 1500 to 1560.",
        "It happened in Sept. 1977.",
        "Yahoo! was founded in 1994.",
        "Das Auto ist rot, z. B. vorn.",
        "It flew... and fell.",
        "It is 3.5 km, or 1,000.5 m, away.",
        "Smith vs. Jones, cf. Brown, e.g. Apollo.",
    ],
)
def test_one_sentence(text):
    assert sentences(text) == [text]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("It was in Paris.", "Élodie flew it."),
        ("It was cold.", "Österreich schwieg."),
        ("Он полетел.", "Она осталась."),
        ("Ελένη πέταξε.", "Άννα έμεινε."),
        ("هل طار؟", "نعم طار."),
        ("यह एक किताब है।", "वह पढ़ता है।"),
        ("It ended in 1986.", "3 men survived."),
        ("She moved to the U.S.", "Then she left."),
        ("He came at 5 p.m.", "She left."),
        ("He lives on Main St.", "The house is red."),
        ("He said no.", "She went."),
        ("They found vitamin C.", "It was new."),
        ('He said "Go."', "Then he went."),
        ("(It flew.)", "Then it fell."),
        ("Really?!", "“Yes.”"),
        ("It failed…", "Then it flew."),
        ("Is it?", "¿Qué?"),
    ],
)
def test_two_sentences(first, second):
    assert sentences(f"{first} {second}") == [first, second]


@pytest.mark.parametrize(
    "text",
    [
        "on Tue. Oct. 5 it left.",
        "It left on Tue. Oct. 5, 1957.",
        "It opens Thurs. 6 May.",
        "They met on Sun. 6 May.",
        "It flies Wed. 12 June 1963 at noon.",
        "Open Mon. Wed. Fri. and Sat. 10–5.",
        "Come on Fri. 9 a.m. to the gate.",
        "On Tue. NASA launched it.",
        "It was mid-Oct. 1957.",
        "It ran in Jan./Feb. 1986.",
        "The Hon. Member spoke.",
        "The Rt. Hon. Member spoke.",
        "Cpl. Dee and Pvt. Ryan came.",
        "Sgt. Maj. Plumley, Pfc. Gomer and Spc. Hall came.",
        "Mme. Curie met Mlle. Dupont.",
        "La Sra. López y la Srta. Ruiz llegaron.",
        "Dr. med. Hans Meyer spoke.",
        "Dr. rer. nat. Karl Meyer spoke.",
        "Dipl.-Ing. Karl Meyer spoke.",
        "Lt.-Col. Anders and Vice-Adm. Smith came.",
        "Supt. Lee, Insp. Morse and Det. Kay came.",
        "Brig. Gen. Yeager met Cdr. Young.",
        "Amb. Stone and Atty. Gen. Reno spoke.",
        "Fr. Brown and Bp. Tutu prayed.",
        "See Art. 5 of the treaty.",
        "See art. 5 of the treaty.",
        "See Art. IX and Art. I of the treaty.",
        "As Para. 6 says, it is over.",
        "As para. 6 says, it is over.",
        "Tab. 7 shows it.",
        "It is shown in tab. 7 and ref. 8.",
        "Compare Ref. 8 with Ex. 3 and App. B.",
        "It stands in Bldg. 7, Rm. 12.",
        "It stands in Bldg. A of the park.",
        "He lives on Ave. B in New York.",
        "He lives on Ave. Foch in Paris.",
        "They drove on Hwy. 61 and Rte. 66.",
        "It is in Apt. 4B, Ste. 200, Fl. 3.",
        "They saw Pt. Reyes and Ste. Anne.",
        "They saw Sta. Maria, Sto. Domingo and Gt. Yarmouth.",
        "See Pt. II of Bk. 3.",
        "See Vol. I of the series.",
        "Yahoo! Inc. said so.",
        "He left Guess? Inc. in May.",
        "Yum! Brands said so.",
        "Yahoo! Japan Corp. said so.",
        "Dr. No was a film.",
        "Siehe Abb. 3 und Kap. 4, Bd. 2, Nr. 5.",
        "Cl. 4 and subsec. 2 apply.",
        "It opens Mon., Oct. 7.",
        "He came on Weds. 5th of May.",
        "They meet on Sat. 17:00 sharp.",
        "Each Sun. Jan. 5 is free.",
        "In Oct. NASA launched it.",
        "Capt. Kirk and 1st Lt. Ripley flew.",
        "Lt. Gov. Dale and Ald. Moore spoke.",
        "Prof. Dr. med. dent. Anna Klein spoke.",
        "Dr.-Ing. Anna Klein spoke.",
        "Priv.-Doz. Anna Klein spoke.",
        "Hr. Meyer und Fr. Klein kamen.",
        "Sres. Gómez y Ruiz; Dra. Vega habló.",
        "Asst. Prof. Jones and Assoc. Prof. Lee came.",
        "Sgt.-Maj. Bell saw Supt. Lee.",
        "According to Arts. 5 and 6, no.",
        "Under Sec. 3, Para. 2, Cl. 4 it holds.",
        "See Refs. 8–10 and Tabs. 2–3.",
        "See Exs. 3 and 4 in Bk. II.",
        "Flt. 93 left from Stn. 5.",
        "The case (art. 5) is closed.",
        "It says (Art. 5) so.",
        "It is on Rd. 7 near Blvd. K.",
        "He met St. Anne at Mt. Doom, Ft. Knox.",
        "Lake Mtn. View is near.",
        "He joined Yahoo! Ltd. in May.",
        "Jeopardy! Productions, Inc. said so.",
        "Yahoo! Co. said so.",
        "“Yahoo! Inc. said so.”",
        "See App. A.",
        "The Lt.-Col. of it, Ser. No. 5, came.",
        "Ref. No. 7 and Cat. No. 3 fit.",
        "The Mk. II flew.",
        "On TUE. OCT. 5 it left.",
    ],
)
def test_an_abbreviation_does_not_end_a_sentence(text):
    assert sentences(text) == [text]


@pytest.mark.parametrize(
    ("first", "second"),
    [
        ("He lived in the Art Dept.", "It was cold."),
        ("We met on Tue.", "It rained."),
        ("We met on Tue.", "Maria left."),
        ("We met on Tue.", "5 men came."),
        ("See para.", "Then go."),
        ("See tab.", "A new one opens."),
        ("She studied art.", "Anna did too."),
        ("She studied art.", "20 pupils came."),
        ("She studied Art.", "5 years later she left."),
        ("He sat.", "Maria stood."),
        ("They wed.", "Maria cried."),
        ("Earth orbits the Sun.", "Venus does too."),
        ("Earth orbits the Sun.", "8 planets do."),
        ("Close the tab.", "Click Save."),
        ("He asked the ref.", "Maria laughed."),
        ("He asked the ref.", "5 minutes later he was off."),
        ("He lives on Fifth Ave.", "Maria left."),
        ("He lives on Fifth Ave.", "12 men came."),
        ("He lives on Park Ave.", "The house is red."),
        ("He did one more rep.", "Maria laughed."),
        ("Sure, hon.", "Maria did."),
        ("He was promoted to Sgt.", "He left."),
        ("It is set in 12 pt.", "Maria likes it."),
        ("She chose the red pt.", "It was new."),
        ("He left the bldg.", "A man came."),
        ("He works at Yahoo!", "Maria does not."),
        ("What a success!", "Company shares rose."),
        ("Who bought it?", "Acme Inc. did."),
        ("They took the med.", "Hans slept."),
        ("He likes Art.", "I do too."),
        ("It was in the app.", "Nobody saw it."),
        ("He met the Hon.", "She was late."),
        ("They went to Pt.", "Then they left."),
        ("It was sold in Oct.", "Nobody bought it."),
        ("He paints in the Sun.", "May he rest."),
        ("It happened on Fri.", "Then it rained."),
        ("Come on Sat.", "We will see."),
        ("It began in Jan.", "It ended soon."),
        ("She became a Cpl.", "She was proud."),
        ("They elected a Sen.", "He spoke."),
        ("See App. A.", "Then go."),
        ("Read the ref.", "It helps."),
        ("Open a new tab.", "It works."),
        ("He works in the bldg.", "Nobody knows."),
        ("He got lost in art.", "Maria helped."),
        ("The state of the art.", "Later it fell."),
        ("He is on 5th Ave.", "She is not."),
        ("Go down Sunset Blvd.", "Turn left."),
        ("They bought a new rm.", "Maria paid."),
        ("She said hi!", "Inc. magazine wrote it."),
        ("He bought Yahoo!", "It was cheap."),
        ("Really?", "Corporate rules apply."),
        ("He ran the app.", "5 users came."),
        ("He saw his ex.", "Anna did not."),
        ("Look at the pts.", "Maria scored."),
        ("They hit the bk.", "And so on."),
        ("He lifted it for one rep.", "12 more followed."),
        ("In the Sales Dept.", "They sang."),
        ("He was the ref.", "Then he left."),
        ("The Moon orbits, as does the Sun.", "March 1986 came."),
    ],
)
def test_a_word_that_may_be_an_abbreviation_ends_a_sentence(first, second):
    assert sentences(f"{first} {second}") == [first, second]


@pytest.mark.parametrize(
    ("text", "parts"),
    [
        ("1. Open the valve.\n2. Close it.", ["1. Open the valve.", "2. Close it."]),
        ("Steps:\n1) Open it\n2) Close it", ["Steps:", "1) Open it", "2) Close it"]),
        ("- red\n- green\n* blue", ["- red", "- green", "* blue"]),
        ("a. Open it.\nb. Close it.", ["a. Open it.", "b. Close it."]),
        ("他飞了。她没飞！真的？是", ["他飞了。", "她没飞！", "真的？", "是"]),
        ("Head\n \nText", ["Head", "Text"]),
        ("on one\nline", ["on one\nline"]),
    ],
)
def test_lists_lines_and_scripts_without_spaces(text, parts):
    assert sentences(text) == parts


@given(st.text(st.sampled_from("aB1.!?。 \n\t\"'“”()-éЖ故क")))
def test_every_letter_is_in_one_sentence(text):
    spans = sentence_spans(text)
    inside = [i for a, b in spans for i in range(a, b)]
    assert inside == sorted(set(inside)) and {i for i, c in enumerate(text) if not c.isspace()} <= set(inside)
    assert all(text[a:b] == text[a:b].strip() != "" for a, b in spans)


@pytest.mark.parametrize("piece", [".", ". ", "J. ", "\n", "\n ", '."', "。", "“a ", "(a ", "- a\n", "! ", "é. "])
def test_time_grows_with_the_length_only(piece):
    started = time.process_time()
    sentence_spans(piece * (200_000 // len(piece)))
    assert time.process_time() - started < 10
