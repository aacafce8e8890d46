"""What stands in for the real things in tests: encoders, generators and models that are tiny, quick and known."""

import functools
import random
import re
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers
from transformers import (
    BartConfig,
    BartForConditionalGeneration,
    BertConfig,
    BertModel,
    LlamaConfig,
    LlamaForCausalLM,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    PreTrainedTokenizerFast,
    T5Config,
    T5ForConditionalGeneration,
)

from rag_lib.generation.generators import Generation, Place, Token
from rag_lib.generation.jobs import ANSWER, REWRITE
from rag_lib.indexing.sentences import sentence_spans
from rag_lib.models.adapters import add_adapter
from rag_lib.models.reader import BartReader
from rag_lib.models.weights import encoder_source, load_tokenizer
from rag_lib.training.generator.examples import Example, Phase, ReadingTask, Triple, search_contexts
from rag_lib.training.generator.features import GeneratorSettings

VOCABULARY, END, LONGEST = 40, 2, 12
# Architecture and seed; with these weights sequences end at differing lengths.
TINY = [("bart", 24), ("bart", 36), ("t5", 20), ("t5", 39)]


@functools.cache
def tiny_model(architecture: str, seed: int) -> PreTrainedModel:
    """A model whose logits differ a lot and favour the end token, so that decoding is neither trivial nor endless."""
    shape = {"vocab_size": VOCABULARY, "d_model": 16, "pad_token_id": 0, "eos_token_id": END}
    if architecture == "bart":
        sizes = {"encoder_layers": 2, "encoder_attention_heads": 2, "encoder_ffn_dim": 32}
        sizes |= {"decoder_layers": 2, "decoder_attention_heads": 2, "decoder_ffn_dim": 32}
        marks = {"bos_token_id": 1, "decoder_start_token_id": 1, "forced_eos_token_id": None}
        config = BartConfig(**shape, **sizes, **marks, max_position_embeddings=64, tie_word_embeddings=False)
    else:
        sizes = {"d_kv": 8, "d_ff": 32, "num_layers": 2, "num_heads": 2}
        config = T5Config(**shape, **sizes, decoder_start_token_id=0, tie_word_embeddings=False)
    model = {"bart": BartForConditionalGeneration, "t5": T5ForConditionalGeneration}[architecture](config)
    torch.manual_seed(seed)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(std=0.5)
        model.lm_head.weight[END] *= 2
    return model.eval()


def inputs(batch: int, padded: bool) -> tuple[torch.Tensor, torch.Tensor]:
    """Ids and attention mask (batch, 9)."""
    ids = torch.randint(3, VOCABULARY, (batch, 9), generator=torch.Generator().manual_seed(1))
    mask = torch.ones_like(ids)
    if padded:
        for row, length in zip(mask, (5, 9, 7), strict=False):
            row[length:] = 0
    return ids * mask, mask


def tiny_minilm() -> tuple[BertModel, PreTrainedTokenizerBase]:
    """A random BERT of two narrow layers with MiniLM's tokenizer; its vectors of different texts lie well apart."""
    tokenizer = load_tokenizer(encoder_source())
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=2, num_attention_heads=2, intermediate_size=32,
        initializer_range=0.3,
    )  # fmt: skip
    return BertModel(config).eval(), tokenizer


def adapted(model: torch.nn.Module, seed: int = 0) -> torch.nn.Module:
    """The model with a difference of rank 2 that changes what it says."""
    torch.manual_seed(seed)
    add_adapter(model, 2)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.normal_(std=0.1)
    return model


class HashEncoder:
    """An encoder for tests: fast, and another one for every `seed`."""

    dimension = 16
    budget = None

    def __init__(self, seed: int = 0) -> None:
        self.name = f"hash-{seed}"
        self.seed = seed
        self.encoded: list[str] = []

    def fingerprint(self) -> str:
        return self.name

    def encode_passages(self, texts, progress=False):
        self.encoded += texts
        rows = [np.random.default_rng([self.seed, *t.encode()]).normal(size=16) for t in texts]
        x = np.array(rows, dtype=np.float32).reshape(len(texts), 16)
        return x / np.linalg.norm(x, axis=1, keepdims=True)

    def encode_queries(self, texts):
        return self.encode_passages(texts)

    def encode_passage_tokens(self, texts):
        return [self.encode_passages(t.split()) for t in texts]

    def encode_query_tokens(self, texts):
        return self.encode_passage_tokens(texts)


def save_tiny_encoder(folder: Path) -> str:
    """A random sentence encoder of one narrow layer, saved as Sentence Transformers saves one; returns where."""
    from sentence_transformers import SentenceTransformer, models

    tokenizer = load_tokenizer(encoder_source())
    torch.manual_seed(0)
    bert = BertModel(
        BertConfig(
            vocab_size=len(tokenizer), hidden_size=16, num_hidden_layers=1, num_attention_heads=2,
            intermediate_size=32, initializer_range=0.3,
        )
    )  # fmt: skip
    bert.save_pretrained(folder / "bert")
    tokenizer.save_pretrained(folder / "bert")
    word = models.Transformer(str(folder / "bert"), max_seq_length=64)
    SentenceTransformer(modules=[word, models.Pooling(16)], device="cpu").save_pretrained(str(folder / "st"))
    return str(folder / "st")


class FixedGenerator:
    """A generator that always writes the same, and keeps what it was asked."""

    threshold = 0.0

    def __init__(self, generation: Generation | None = None, votes: bool = False) -> None:
        self.generation = generation or Generation("Laika", 0.5, None, (0,))
        self.votes = votes
        self.asked: list[tuple] = []

    def generate(self, questions, sources, job=None, source_logs=None):
        self.asked += zip(questions, sources, strict=True)
        return [self.generation for _ in questions]

    def stream(self, question, sources, source_logs=None):
        yield self.generation.text
        yield self.generation


class WordReader:
    """A generator that quotes the sentence with most words of the question, and is as sure as the share of them.

    A rewriting adds the names of the conversation. `wait` is called before each text is written.
    """

    threshold = 0.4
    votes = False

    def __init__(self, wait=lambda: None) -> None:
        self.wait = wait
        self.read = 0

    def generate(self, questions, sources, job=ANSWER, source_logs=None):
        return [self.write(q, s, job) for q, s in zip(questions, sources, strict=True)]

    def write(self, question, sources, job=ANSWER):
        self.wait()
        self.read += 1
        if job == REWRITE:
            names = re.findall(r"[A-Z][a-z]+", sources[0].text)
            return Generation(" ".join([question, *dict.fromkeys(names)]), 1.0, None, (0,))
        words = set(re.findall(r"\w+", question.lower()))
        places = [Place(i, *span) for i, source in enumerate(sources) for span in sentence_spans(source.text)]
        shares = [len(words & set(re.findall(r"\w+", quoted(sources, p).lower()))) / len(words) for p in places]
        best = max(range(len(places)), key=lambda i: (shares[i], -i))
        text = quoted(sources, places[best])
        tokens = tuple(Token(word, 0.9) for word in text.split())
        return Generation(text, shares[best], places[best], tuple(range(len(sources))), tokens)

    def stream(self, question, sources, source_logs=None):
        generation = self.write(question, sources)
        yield from re.findall(r"\S+\s*", generation.text)
        yield generation


def quoted(sources, place) -> str:
    return sources[place.source].text[place.start : place.end]


CONTEXTS = [
    "Yuri Gagarin flew on 12 April 1961. He landed near the Volga. His ship was Vostok 1.",
    "Laika flew on 3 November 1957. She was a dog from Moscow. Her ship was Sputnik 2.",
    "Valentina Tereshkova flew on 16 June 1963. She landed in the Altai. Her ship was Vostok 6.",
]
SETTINGS = GeneratorSettings(
    phases=(Phase(32, (3, 9), quotes=0.5), Phase(32, (9, 30), sources=(1, 3), apart=0.5, missing=0.3)),
    batch_size=4,
    pool_batches=4,
    warmup_steps=2,
    evaluate_every=24,
    save_every=0.0,
)


def triples() -> list[Triple]:
    found = []
    for context in CONTEXTS:
        name = context.split(" flew")[0]
        ship = context.split("ship was ")[1].rstrip(".")
        for question, answer in (("Who flew?", name), (f"What was the ship of {name}?", ship)):
            found.append(Triple(question, "Flights", context, answer, context.index(answer)))
    return found


def small_model(tokenizer) -> BartReader:
    torch.manual_seed(0)
    config = BartConfig(
        vocab_size=len(tokenizer), d_model=16, encoder_layers=1, decoder_layers=1, encoder_attention_heads=2,
        decoder_attention_heads=2, encoder_ffn_dim=32, decoder_ffn_dim=32, dropout=0.0, pad_token_id=0,
        bos_token_id=101, eos_token_id=102, decoder_start_token_id=101, forced_eos_token_id=None, init_std=0.2,
    )  # fmt: skip
    return BartReader(config)


def reading() -> ReadingTask:
    return ReadingTask(triples(), search_contexts(triples()))


def drawn(phase: Phase, count: int = 60) -> list[Example]:
    rng, task = random.Random(0), reading()
    return [task.example(i % len(task), phase, rng) for i in range(count)]


CHATML = (
    "{% for m in messages %}<|im_start|>{{ m['role'] }}\n{{ m['content'] }}<|im_end|>\n{% endfor %}"
    "{% if add_generation_prompt %}<|im_start|>assistant\n{% endif %}"
)


@functools.cache
def chat_tokenizer() -> PreTrainedTokenizerFast:
    """A byte-level tokenizer with marks of its own, and a template that uses two of them."""
    backend = Tokenizer(models.BPE())
    backend.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    backend.decoder = decoders.ByteLevel()
    special = ["<|im_end|>", "<|im_start|>", "<think>"]
    alphabet = pre_tokenizers.ByteLevel.alphabet()
    backend.train_from_iterator(CONTEXTS, trainers.BpeTrainer(special_tokens=special, initial_alphabet=alphabet))
    return PreTrainedTokenizerFast(
        tokenizer_object=backend, bos_token="<|im_start|>", eos_token="<|im_end|>", chat_template=CHATML
    )


def tiny_chat_model(seed: int = 0, positions: int = 2048) -> LlamaForCausalLM:
    """A random chat model whose logits differ a lot and favour printable tokens and the end."""
    torch.manual_seed(seed)
    config = LlamaConfig(
        vocab_size=len(chat_tokenizer()), hidden_size=32, intermediate_size=48, num_hidden_layers=2,
        num_attention_heads=4, num_key_value_heads=2, max_position_embeddings=positions, bos_token_id=1,
        eos_token_id=0, pad_token_id=None, initializer_range=0.4,
    )  # fmt: skip
    model = LlamaForCausalLM(config)
    with torch.no_grad():
        model.lm_head.weight[0] *= 1.5
    return model.eval()


def snapshot_in_cache(cache: Path, name: str) -> Path:
    """The folder for a model's files in a cache laid out as the hub's is."""
    repository = cache / f"models--{name.replace('/', '--')}"
    snapshot = repository / "snapshots" / ("a" * 40)
    snapshot.mkdir(parents=True)
    (repository / "refs").mkdir()
    (repository / "refs" / "main").write_text("a" * 40)
    return snapshot
