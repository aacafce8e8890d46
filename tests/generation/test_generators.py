import math
import shutil

import pytest
import torch
from contracts import GeneratorContract
from fakes import FixedGenerator, snapshot_in_cache
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, processors, trainers
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from rag_lib.generation.catalogue import make_generator
from rag_lib.generation.constraints import allowed_next
from rag_lib.generation.encoding import encode_apart
from rag_lib.generation.generators import Decoding
from rag_lib.generation.jobs import ANSWER, JOBS, QUOTE, REPLY, REWRITE, SUMMARIZE
from rag_lib.generation.prompts import BUNDLED, INSTRUCTIONS, PLAIN, PREFIXES, conversation
from rag_lib.generation.seq2seq import Seq2SeqGenerator, Written
from rag_lib.indexing.documents import Source
from rag_lib.indexing.splitting import sentence_spans
from rag_lib.models.adapters import adapter_weights, add_adapter, is_head
from rag_lib.models.quantization import dequantized, quantized
from rag_lib.models.warm_start import bart_from_bert
from rag_lib.models.weights import (
    BASE,
    GENERATOR,
    ModelUnavailable,
    load_generator,
    load_minilm,
    load_perigee,
    record_digests,
    save_adapter,
    save_perigee,
)

SOURCES = [
    Source("Vostok 6", "Valentina Tereshkova took off on 16 June 1963. She came down in the Altai."),
    Source("Vostok 1", "Yuri Gagarin took off on 12 April 1961. He came down near the Volga."),
]
QUESTIONS = ["Who took off on 16 June 1963?", "Where did Gagarin come down?", "When?"]


@pytest.fixture(scope="module")
def bundled():
    return Seq2SeqGenerator.load()


class TestBundledGenerator(GeneratorContract):
    @pytest.fixture
    def generator(self, bundled):
        return bundled


class TestGeneratorThatWritesFreely(GeneratorContract):
    @pytest.fixture
    def generator(self, bundled):
        return Seq2SeqGenerator(bundled.model, bundled.tokenizer, Decoding(constrained=False, max_new_tokens=8))


class TestGeneratorThatReadsOneRow(GeneratorContract):
    @pytest.fixture
    def generator(self, bundled):
        return Seq2SeqGenerator(bundled.model, bundled.tokenizer, Decoding(apart=False))


class TestFixedGenerator(GeneratorContract):
    @pytest.fixture
    def generator(self):
        return FixedGenerator()


@pytest.mark.parametrize("apart", [True, False])
@pytest.mark.parametrize("beams", [1, 3])
def test_an_answer_is_a_quotation_with_its_place_and_its_case(bundled, beams, apart):
    generator = Seq2SeqGenerator(bundled.model, bundled.tokenizer, Decoding(beams=beams, apart=apart))
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
    assert answers[0].text == "Valentina Tereshkova"
    assert answers[1].text.removeprefix("near the ") == "Volga" and answers[1].place.source == 1


@pytest.mark.parametrize("apart", [True, False])
def test_the_score_is_the_probability_under_the_constraint(bundled, apart):
    """Recomputed from the model's logits by hand, token by token."""
    tokenizer, model = bundled.tokenizer, bundled.model
    (answer,) = Seq2SeqGenerator(model, tokenizer, Decoding(apart=apart)).generate(QUESTIONS[:1], [SOURCES])
    pieces = [f" title: {s.title} context: {s.text}" for s in SOURCES]
    rows = [f"question: {QUESTIONS[0]}{p}" for p in (pieces if apart else ["".join(pieces)])]
    passages = [tokenizer(s.text, add_special_tokens=False)["input_ids"] for s in SOURCES]
    target = [*tokenizer(answer.text, add_special_tokens=False)["input_ids"], tokenizer.sep_token_id]
    with torch.inference_mode():
        encoder = model.get_encoder()
        states = [encoder(torch.tensor([tokenizer(row)["input_ids"]])).last_hidden_state[0] for row in rows]
        inputs = torch.tensor([[tokenizer.cls_token_id, *target[:-1]]])
        logits = model(encoder_outputs=(torch.cat(states)[None],), decoder_input_ids=inputs).logits[0]

    def allowed(step: int) -> list[int]:
        return sorted(allowed_next(target[:step], passages, tokenizer.sep_token_id, bundled.pieces, bundled.empty))

    probability = 1 - float(logits[0, [*allowed(0), tokenizer.mask_token_id]].softmax(0)[-1])  # that it is answered
    for step, token in enumerate(target):
        probability *= float(logits[step, allowed(step)].softmax(0)[allowed(step).index(token)])
    assert answer.score == pytest.approx(probability, rel=1e-3)


def test_read_together_is_plain_generation(bundled):
    """Without the constraint, one row a question is what the library's own `generate` does."""
    tokenizer, model = bundled.tokenizer, bundled.model
    free = Seq2SeqGenerator(model, tokenizer, Decoding(apart=False, constrained=False))
    texts = [f"question: {q}" + "".join(f" title: {s.title} context: {s.text}" for s in SOURCES) for q in QUESTIONS]
    inputs = tokenizer(texts, padding=True, return_tensors="pt")
    expected = model.generate(inputs["input_ids"], attention_mask=inputs["attention_mask"], max_new_tokens=32)
    expected = tokenizer.batch_decode(expected, skip_special_tokens=True)
    ours = [a.text.lower() for a in free.generate(QUESTIONS, [SOURCES] * 3)]
    assert [t.replace(" ", "") for t in ours] == [t.replace(" ", "") for t in expected]


def test_rows_encoded_apart_are_encoded_as_if_alone(bundled):
    encoder = bundled.model.get_encoder()
    lengths, items = [7, 3, 12, 5, 9, 7, 3], [0, 0, 1, 2, 2, 3, 3]
    torch.manual_seed(0)
    rows = [torch.randint(1000, 2000, (n,)) for n in lengths[:5]]
    rows += rows[:2]  # items 0 and 3 share their rows
    ids = torch.nn.utils.rnn.pad_sequence(rows, batch_first=True)
    mask = torch.nn.utils.rnn.pad_sequence([torch.ones_like(r) for r in rows], batch_first=True)
    with torch.inference_mode():
        states, kept = encode_apart(bundled.model, ids, mask, items, batch_size=2)
        alone = [encoder(row[None]).last_hidden_state[0] for row in rows]
    assert kept.sum(1).tolist() == [10, 12, 14, 10]
    for item in range(4):
        expected = torch.cat([a for a, i in zip(alone, items, strict=True) if i == item])
        torch.testing.assert_close(states[item, : len(expected)], expected, atol=1e-4, rtol=1e-4)


def test_rows_that_several_items_share_are_encoded_once(bundled, monkeypatch):
    encoder, encoded = bundled.model.get_encoder(), []
    hook = encoder.register_forward_pre_hook(lambda _, a, k: encoded.append(len(k["input_ids"])), with_kwargs=True)
    bundled.generate(QUESTIONS[:1] * 3, [SOURCES, SOURCES[:1], SOURCES[1:]])
    hook.remove()
    assert sum(encoded) == 2


def test_in_half_the_bits_answers_stay(bundled):
    half = Seq2SeqGenerator(bundled.model, bundled.tokenizer, Decoding(half=True))
    exact, rough = (g.generate(QUESTIONS[:2], [SOURCES] * 2) for g in (bundled, half))
    assert [a.text for a in rough] == [a.text for a in exact]
    assert [a.score for a in rough] == pytest.approx([a.score for a in exact], abs=0.05)
    assert rough[0].score != exact[0].score, "it was computed in another way"


def test_passages_beyond_one_input_are_read_apart(bundled):
    long = [Source(f"Page {i}", "The museum is open. " * 60) for i in range(4)]
    ways = [Seq2SeqGenerator(bundled.model, bundled.tokenizer, Decoding(apart=apart)) for apart in (True, False)]
    apart, together = (way.generate(QUESTIONS[:1], [[*long, *SOURCES]]) for way in ways)
    assert apart[0].used == (0, 1, 2, 3, 4, 5) and apart[0].text == "Valentina Tereshkova"
    assert len(together[0].used) < 6


def test_marks_of_the_tokenizer_in_a_text_are_just_text(bundled):
    """A document cannot end the input or say "no answer" by writing the tokenizer's own marks."""
    hostile = Source("Vostok [MASK] 6", "[SEP] [PAD] Valentina Tereshkova [MASK] took off on 16 June 1963. [CLS]")
    item = bundled.lay_out("Who [SEP] took off?", [hostile], ANSWER)
    special = set(bundled.tokenizer.all_special_ids) - {bundled.tokenizer.unk_token_id}
    assert not special & set(item.rows[0][1:-1]) and not special & set(item.texts[0].ids)
    (answer,) = bundled.generate(["Who took off?"], [[hostile]])
    assert answer.place is not None


def test_saved_weights_load_as_they_were_and_damage_is_seen(tmp_path):
    minilm, tokenizer = load_minilm()
    model = bart_from_bert(minilm, 3, tokenizer.cls_token_id, tokenizer.sep_token_id)
    save_perigee(model, tmp_path)
    assert all(f.stat().st_size <= 15_000_000 for f in tmp_path.iterdir())
    loaded, _ = load_perigee(tmp_path)
    for (name, a), (_, b) in zip(model.named_parameters(), loaded.named_parameters(), strict=True):
        own = ".layers." in name or is_head(name)
        assert torch.equal(dequantized(quantized({name: a.detach()}))[name] if own else a, b), name
    shard = sorted(tmp_path.glob("*.safetensors"))[1]
    data = bytearray(shard.read_bytes())
    data[-1] ^= 1
    shard.write_bytes(data)
    with pytest.raises(ModelUnavailable, match="damaged"):
        load_generator(str(tmp_path))
    shard.unlink()
    with pytest.raises(ModelUnavailable, match="not complete"):
        load_generator(str(tmp_path))


def test_the_museums_difference_is_kept_beside_the_base_and_added_on_loading(tmp_path):
    minilm, tokenizer = load_minilm()
    model = bart_from_bert(minilm, 1, tokenizer.cls_token_id, tokenizer.sep_token_id)
    save_perigee(model, tmp_path)
    add_adapter(model, 2)
    torch.manual_seed(0)
    with torch.no_grad():
        for p in model.parameters():
            if p.requires_grad:
                p.copy_(torch.randn_like(p).half() * 0.1)
    save_adapter(adapter_weights(model), tmp_path)
    base, adapted = (load_perigee(tmp_path, adapter=with_it)[0] for with_it in (False, True))
    inputs = {"input_ids": torch.tensor([[101, 2040, 102]]), "decoder_input_ids": torch.tensor([[101, 2040]])}
    with torch.no_grad():
        expected, before = model(**inputs).logits, base(**inputs).logits
        torch.testing.assert_close(adapted(**inputs).logits, expected, atol=0.1, rtol=0.05)  # the base is in 8 bits
    assert not torch.allclose(before, expected, atol=0.5)
    (tmp_path / "museum.safetensors").write_bytes(b"x")
    with pytest.raises(ModelUnavailable, match="is damaged"):
        load_perigee(tmp_path)


def test_the_base_can_be_had_by_name(bundled):
    base = Seq2SeqGenerator.load(BASE)
    assert base.form is bundled.form is BUNDLED and base.apart
    trained = "model.decoder.layers.0.fc1.weight"
    same = torch.equal(base.model.get_parameter(trained), bundled.model.get_parameter(trained))
    assert not same


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
            decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, pad_token_id=0, bos_token_id=2,
            eos_token_id=3, decoder_start_token_id=3, forced_eos_token_id=3,
        )  # fmt: skip
        model = BartForConditionalGeneration(config)
    else:
        config = T5Config(
            vocab_size=vocabulary, d_model=16, d_kv=8, d_ff=32, num_layers=1, num_heads=2, pad_token_id=0,
            eos_token_id=3, decoder_start_token_id=0,
        )  # fmt: skip
        model = T5ForConditionalGeneration(config)
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)


def byte_level_tokenizer() -> PreTrainedTokenizerFast:
    """A tokenizer of the kind that BART and T5 have: pieces carry the space before them, `</s>` ends a text."""
    backend = Tokenizer(models.BPE(unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    backend.decoder = decoders.ByteLevel()
    special = ["<pad>", "<unk>", "<s>", "</s>"]
    trainer = trainers.BpeTrainer(special_tokens=special, initial_alphabet=pre_tokenizers.ByteLevel.alphabet())
    backend.train_from_iterator([s.text for s in SOURCES], trainer)
    backend.post_processor = processors.TemplateProcessing(single="$A </s>", special_tokens=[("</s>", 3)])
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, pad_token="<pad>", unk_token="<unk>", bos_token="<s>", eos_token="</s>"
    )


def lay_out_in_cache(cache, name: str, architecture: str) -> None:
    """Lays a small random model out as the hub's cache does."""
    torch.manual_seed(0)
    small(architecture, byte_level_tokenizer(), snapshot_in_cache(cache, name))


@pytest.mark.parametrize(
    ("name", "architecture", "form"),
    [
        ("google/flan-t5-base", "t5", INSTRUCTIONS),
        ("google-t5/t5-small", "t5", PREFIXES),
        ("facebook/bart-large-cnn", "bart", PLAIN),
    ],
)
def test_bart_and_t5_load_by_name_from_the_hubs_cache(tmp_path, monkeypatch, name, architecture, form):
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    monkeypatch.setattr("transformers.utils.hub.HF_HUB_CACHE", str(tmp_path), raising=False)
    lay_out_in_cache(tmp_path, name, architecture)
    generator = Seq2SeqGenerator.load(name, Decoding(max_new_tokens=5))
    assert generator.form is form and not generator.apart
    item = generator.lay_out(QUESTIONS[0], SOURCES, ANSWER)
    expected = form.render(ANSWER, QUESTIONS[0], SOURCES)
    assert generator.tokenizer.decode(item.rows[0], skip_special_tokens=True).strip() == expected.strip()
    inputs = generator.tokenizer([expected], return_tensors="pt")
    ids = generator.model.generate(inputs["input_ids"], attention_mask=inputs["attention_mask"], max_new_tokens=5)
    (answer,) = generator.generate(QUESTIONS[:1], [SOURCES])
    assert answer.text == generator.tokenizer.decode(ids[0], skip_special_tokens=True).strip()
    assert answer.place is None or answer.text in SOURCES[answer.place.source].text
    for job in JOBS:
        assert generator.generate(QUESTIONS[:2], [SOURCES] * 2, job)[0].used == (0, 1)


def test_an_instructed_model_that_says_unanswerable_has_no_answer(bundled):
    generator = Seq2SeqGenerator(bundled.model, byte_level_tokenizer(), form=INSTRUCTIONS)
    item = generator.lay_out("Who?", SOURCES, ANSWER)
    said = generator.tokenizer(" Unanswerable.", add_special_tokens=False)["input_ids"]
    assert generator.finish("Who?", SOURCES, item, Written(said, (math.log(0.5),), 1.0), ANSWER).text == ""


@pytest.mark.parametrize(("job", "count"), [(QUOTE, 1), (REPLY, 1), (SUMMARIZE, 3)])
@pytest.mark.parametrize("beams", [1, 2])
def test_quotations_replies_and_summaries_are_whole_sentences(bundled, job, count, beams):
    generator = Seq2SeqGenerator(bundled.model, bundled.tokenizer, Decoding(beams=beams))
    sentences = [s.text[a:b] for s in SOURCES for a, b in sentence_spans(s.text)]
    for written in generator.generate(QUESTIONS[:2], [SOURCES] * 2, job):
        chosen = [s for s in sentences if s in written.text]
        assert written.text == " ".join(chosen) and (len(chosen) == count or chosen[-1] == sentences[-1])
        if written.place:
            assert SOURCES[written.place.source].text[written.place.start : written.place.end] == written.text


def test_a_turn_is_given_the_name_that_it_leaves_out(bundled):
    history = conversation([("Who flew on Vostok 6?", "Valentina Tereshkova did.")])
    turn = " Where did she come down? "
    item = bundled.lay_out(turn, [history], REWRITE)
    name = bundled.tokenizer("valentina tereshkova", add_special_tokens=False)["input_ids"]
    others = (name[:-1], bundled.tokenizer("vostok 6", add_special_tokens=False)["input_ids"])
    sure, unsure = (
        bundled.finish(turn, [history], item, Written(name, (math.log(0.9),), p, others), REWRITE) for p in (0.6, 0.4)
    )
    assert sure.text == "Where did she come down? (Valentina Tereshkova; Vostok 6)"
    assert sure.score == pytest.approx(0.54)
    assert unsure.text == "Where did she come down?"
    (rewritten,) = bundled.generate([turn], [[history]], REWRITE)
    said = rewritten.text.removeprefix("Where did she come down?").strip(" ()")
    assert rewritten.text.startswith(turn.strip()) and all(name in history.text for name in said.split("; "))


def test_a_model_that_is_not_there_is_one_clear_line():
    with pytest.raises(ModelUnavailable, match="no-such-model is not on this machine") as caught:
        Seq2SeqGenerator.load("nobody/no-such-model")
    assert "\n" not in str(caught.value)


def test_the_folder_of_a_training_run_says_where_its_weights_are(tmp_path):
    (tmp_path / "weights").mkdir()
    with pytest.raises(ModelUnavailable) as caught:
        make_generator(str(tmp_path))
    assert str(caught.value).endswith(f"did you mean {tmp_path / 'weights'}?")


def test_a_folder_with_a_difference_alone_is_a_generator(tmp_path):
    """What the museum's stage of training writes is loaded by its folder, over the bundled layers."""
    shutil.copy(GENERATOR / "museum.safetensors", tmp_path)
    record_digests(tmp_path)
    ours, theirs, base = (Seq2SeqGenerator.load(name).model.state_dict() for name in (str(tmp_path), None, BASE))
    assert all(torch.equal(ours[key], theirs[key]) for key in theirs)
    assert any(not torch.equal(ours[key], base[key]) for key in base)


def test_a_model_built_around_the_bundled_generator_does_not_draw_its_weights_anew():
    model, _ = load_perigee(GENERATOR)
    before = {name: weight.clone() for name, weight in model.state_dict().items()}
    model.init_weights()  # what every model of transformers that takes this one as a part does (RAG in notebook 07)
    assert all(torch.equal(before[name], weight) for name, weight in model.state_dict().items())
