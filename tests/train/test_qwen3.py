"""The lean model computes exactly what transformers' Qwen3 computes."""

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import Qwen3Config, Qwen3ForCausalLM

from expert.train.generate import greedy
from expert.train.qwen3 import Group, Qwen3, Shape

SHAPE = Shape(
    vocab_size=200,
    hidden_size=64,
    intermediate_size=96,
    num_hidden_layers=3,
    num_attention_heads=4,
    num_key_value_heads=2,
    head_dim=32,
    max_position_embeddings=128,
)


@pytest.fixture
def model() -> Qwen3:
    """Return a small random model, its norms not the trivial ones."""
    torch.manual_seed(0)
    model = Qwen3(SHAPE)
    for weight in model.parameters():
        weight.data += 0.1 * torch.randn_like(weight)
    return model


@pytest.fixture
def peer(model: Qwen3) -> Qwen3ForCausalLM:
    """Return transformers' model with the same weights, loaded by name."""
    config = Qwen3Config(
        **{name: getattr(SHAPE, name) for name in SHAPE.__dataclass_fields__},
        tie_word_embeddings=True,
    )
    peer = Qwen3ForCausalLM(config).eval()
    missing = peer.load_state_dict(model.state_dict(), strict=False)
    assert missing.missing_keys == ["lm_head.weight"] and not missing.unexpected_keys
    return peer


def parameters_of(peer: Qwen3ForCausalLM, model: Qwen3) -> list[Tensor]:
    """Return the peer's parameters in the model's order."""
    named = dict(peer.named_parameters())
    return [named[name] for name, _ in model.named_parameters()]


def test_logits_equal_transformers(model: Qwen3, peer: Qwen3ForCausalLM) -> None:
    """The same weights give the same logits."""
    tokens = torch.randint(0, 200, (3, 17))
    ours = model.logits(model(tokens.flatten(), (Group(3, 17),))).view(3, 17, -1)
    torch.testing.assert_close(ours, peer(tokens).logits, atol=2e-5, rtol=1e-4)


def test_gradients_equal_transformers(model: Qwen3, peer: Qwen3ForCausalLM) -> None:
    """Losses at chosen positions give the same gradients, so the shortcuts are exact."""
    tokens = torch.randint(0, 200, (3, 17))
    where, targets = torch.tensor([1, 5, 20, 40]), torch.tensor([3, 1, 4, 1])
    ours = F.cross_entropy(model.logits(model(tokens.flatten(), (Group(3, 17),), where)), targets)
    theirs = F.cross_entropy(peer(tokens).logits.flatten(0, 1)[where], targets)
    mine = torch.autograd.grad(ours, list(model.parameters()))
    expected = torch.autograd.grad(theirs, parameters_of(peer, model))
    for one, other in zip(mine, expected, strict=True):
        torch.testing.assert_close(one, other, atol=2e-5, rtol=1e-3)


def test_groups_do_not_see_each_other(model: Qwen3) -> None:
    """A sequence gives the same states alone, padded, and beside others in a flat batch."""
    one, two = torch.randint(1, 200, (9,)), torch.randint(1, 200, (2, 5))
    padded = torch.cat((one, torch.zeros(3, dtype=torch.long)))
    flat = torch.cat((padded, two.flatten()))
    together = model(flat, (Group(1, 12), Group(2, 5)))
    torch.testing.assert_close(together[:9], model(one, (Group(1, 9),)), atol=1e-5, rtol=1e-4)
    torch.testing.assert_close(together[17:], model(two[1], (Group(1, 5),)), atol=1e-5, rtol=1e-4)


def test_greedy_decoding_equals_transformers(model: Qwen3, peer: Qwen3ForCausalLM) -> None:
    """Prompts of different lengths decoded together give transformers' greedy answers."""
    prompts = [torch.randint(1, 200, (n,)).tolist() for n in (3, 8, 5)]
    answers = greedy(model, prompts, stops={0}, longest=6)
    for prompt, answer in zip(prompts, answers, strict=True):
        made = peer.generate(
            torch.tensor([prompt]),
            attention_mask=torch.ones(1, len(prompt), dtype=torch.long),
            do_sample=False,
            max_new_tokens=6,
            eos_token_id=0,
            pad_token_id=0,
        )[0, len(prompt) :].tolist()
        assert answer == [token for token in made if token != 0]
