import pytest
import torch
from transformers import BartConfig, BartForConditionalGeneration, T5Config, T5ForConditionalGeneration

from rag_lib.generators import Decoding, Place, Seq2SeqGenerator
from rag_lib.models import GENERATOR, ModelUnavailable, load_generator, load_minilm, load_perigee, save_perigee
from rag_lib.prompts import Source
from rag_lib.warm_start import bart_from_bert

SOURCES = [
    Source("Vostok 6", "Valentina Tereshkova took off on 16 June 1963. She came down in the Altai."),
    Source("Vostok 1", "Yuri Gagarin took off on 12 April 1961. He came down near the Volga."),
]
QUESTIONS = ["Who took off in 1963?", "Where did Gagarin come down?", "When?"]


@pytest.fixture(scope="module")
def bundled():
    return Seq2SeqGenerator.load()


@pytest.mark.parametrize("beams", [1, 3])
def test_an_answer_is_a_quotation_with_its_place_and_its_case(bundled, beams):
    generator = Seq2SeqGenerator(bundled.model, bundled.tokenizer, Decoding(beams=beams))
    for answer in generator.generate(QUESTIONS, [SOURCES] * 3):
        place = answer.place
        assert answer.text == SOURCES[place.source].text[place.start : place.end] != ""
        assert 0.0 < answer.score <= 1.0
        assert answer.used == (0, 1)


def test_a_batch_gives_what_single_questions_give(bundled):
    together = bundled.generate(QUESTIONS, [SOURCES, SOURCES[:1], SOURCES[1:]])
    alone = [bundled.generate([q], [s])[0] for q, s in zip(QUESTIONS, [SOURCES, SOURCES[:1], SOURCES[1:]], strict=True)]
    assert [g.text for g in together] == [g.text for g in alone]
    assert [g.score for g in together] == pytest.approx([g.score for g in alone], abs=1e-3)


def test_easy_questions_are_answered_right(bundled):
    answers = bundled.generate(QUESTIONS[:2], [SOURCES] * 2)
    assert [a.text for a in answers] == ["Valentina Tereshkova", "near the Volga"] or [a.text for a in answers] == [
        "Valentina Tereshkova",
        "Volga",
    ]


def test_the_score_is_the_probability_under_the_constraint(bundled):
    """Recomputed from the model's logits by hand, token by token."""
    (answer,) = bundled.generate(QUESTIONS[:1], [SOURCES[:1]])
    tokenizer, model = bundled.tokenizer, bundled.model
    text = f"question: {QUESTIONS[0]} title: {SOURCES[0].title} context: {SOURCES[0].text}"
    passage = tokenizer(SOURCES[0].text, add_special_tokens=False)["input_ids"]
    target = [*tokenizer(answer.text, add_special_tokens=False)["input_ids"], tokenizer.sep_token_id]
    inputs = torch.tensor([[tokenizer.cls_token_id, *target[:-1]]])
    with torch.inference_mode():
        logits = model(
            **{k: v for k, v in tokenizer(text, return_tensors="pt").items() if k != "token_type_ids"},
            decoder_input_ids=inputs,
        ).logits[0]
    from rag_lib.decoding import allowed_next

    probability = 1.0
    for step, token in enumerate(target):
        allowed = sorted(allowed_next(target[:step], [passage], tokenizer.sep_token_id, bundled.pieces, bundled.empty))
        probability *= float(logits[step, allowed].softmax(0)[allowed.index(token)])
    assert answer.score == pytest.approx(probability, rel=1e-3)


def test_saved_weights_load_as_they_were_and_damage_is_seen(tmp_path):
    minilm, tokenizer = load_minilm()
    model = bart_from_bert(minilm, 3, tokenizer.cls_token_id, tokenizer.sep_token_id)
    save_perigee(model, tmp_path)
    assert all(f.stat().st_size <= 15_000_000 for f in tmp_path.iterdir())
    loaded, _ = load_perigee(tmp_path)
    for (name, a), (_, b) in zip(model.named_parameters(), loaded.named_parameters(), strict=True):
        assert torch.equal(a if ".layers." not in name else a.half().float(), b), name
    shard = sorted(tmp_path.glob("*.safetensors"))[1]
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    with pytest.raises(ModelUnavailable, match="damaged"):
        load_generator(str(tmp_path))
    shard.unlink()
    with pytest.raises(ModelUnavailable, match="not complete"):
        load_generator(str(tmp_path))


def test_the_bundled_weights_leave_the_embeddings_of_minilm_as_they_are(bundled):
    minilm, _ = load_minilm()
    assert torch.equal(bundled.model.model.shared.weight, minilm.embeddings.word_embeddings.weight)
    assert sum(f.stat().st_size for f in GENERATOR.iterdir()) < 40_000_000


def test_of_several_places_the_one_that_fits_the_question_is_cited(bundled):
    text = "A monument to Laika stands in Moscow. The first dog in orbit was Laika. Laika died there."
    (answer,) = bundled.generate(
        ["Which dog was first in orbit?"], [[Source("Dogs", "A statue of Laika."), Source("D", text)]]
    )
    assert answer.text == "Laika" and answer.place.source == 1
    assert text[: answer.place.start].endswith("first dog in orbit was ")


def small(architecture: str, tokenizer, folder):
    vocabulary = len(tokenizer)
    if architecture == "bart":
        config = BartConfig(
            vocab_size=vocabulary, d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
            decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, pad_token_id=0, bos_token_id=101,
            eos_token_id=102, decoder_start_token_id=101, forced_eos_token_id=102,
        )  # fmt: skip
        model = BartForConditionalGeneration(config)
    else:
        config = T5Config(
            vocab_size=vocabulary, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, pad_token_id=0,
            eos_token_id=102, decoder_start_token_id=0,
        )  # fmt: skip
        model = T5ForConditionalGeneration(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


@pytest.mark.parametrize("architecture", ["bart", "t5"])
def test_other_models_load_from_a_folder(tmp_path, architecture):
    tokenizer = load_minilm()[1]
    small(architecture, tokenizer, tmp_path)
    generator = Seq2SeqGenerator.load(str(tmp_path))
    (answer,) = generator.generate(["Who?"], [SOURCES])
    assert isinstance(answer.place, Place)
    free = Seq2SeqGenerator(generator.model, tokenizer, Decoding(constrained=False, max_new_tokens=5))
    assert free.generate(["Who?"], [SOURCES])[0].used == (0, 1)


def test_a_model_that_is_not_there_is_one_clear_line():
    with pytest.raises(ModelUnavailable, match="no-such-model is not on this machine") as caught:
        Seq2SeqGenerator.load("nobody/no-such-model")
    assert "\n" not in str(caught.value)
