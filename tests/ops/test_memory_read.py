import pytest
import torch

from rotoscope.ops.memory_read import memory_read, memory_weights
from rotoscope.ops.soft_aggregation import soft_aggregation


def given(queries=7, positions=11, key=4, value=3):
    torch.manual_seed(0)
    return torch.randn(queries, key), torch.randn(positions, key), torch.randn(positions, value)


@pytest.mark.parametrize("block", [1, 11, 30, 1 << 20])
def test_blocks_give_what_the_whole_affinity_gives(block):
    query, keys, values = (x.double() for x in given())
    whole = ((query @ keys.T) / 2).softmax(dim=1) @ values
    torch.testing.assert_close(memory_read(query, keys, values, block=block), whole, rtol=1e-6, atol=1e-7)


def test_no_more_than_a_block_is_held(monkeypatch):
    query, keys, values = given(100, 50)
    seen = []
    plain = torch.Tensor.softmax
    monkeypatch.setattr(torch.Tensor, "softmax", lambda x, dim: seen.append(x.numel()) or plain(x, dim))
    memory_read(query, keys, values, block=500)
    assert len(seen) == 10
    assert max(seen) <= 500


def test_only_the_best_positions_count():
    query, keys, values = given()
    weights = memory_weights(query, keys, best=3)
    assert ((weights > 0).sum(dim=1) == 3).all()
    torch.testing.assert_close(weights.sum(dim=1), torch.ones(7))
    whole = memory_weights(query, keys)
    assert torch.equal(weights > 0, whole >= whole.topk(3, dim=1).values[:, -1:])
    torch.testing.assert_close(memory_read(query, keys, values, best=3), weights @ values)
    for all_of_them in (0, 11, 50):
        torch.testing.assert_close(memory_read(query, keys, values, best=all_of_them), whole @ values)


def test_gradients_reach_queries_keys_and_values():
    query, keys, values = (x.double().requires_grad_() for x in given(3, 4))
    memory_read(query, keys, values, block=8).sum().backward()
    assert all(x.grad is not None and x.grad.abs().sum() > 0 for x in (query, keys, values))


def test_aggregation_of_no_object_is_background():
    logits = soft_aggregation(torch.zeros(0, 2, 3))
    assert logits.shape == (1, 2, 3)
    assert (logits.softmax(dim=0) == 1).all()


def test_aggregation_prefers_the_surer_object_and_sums_to_one():
    logits = soft_aggregation(torch.tensor([[0.9, 0.2, 0.0], [0.6, 0.3, 1.0]]))
    assert logits.argmax(dim=0).tolist() == [1, 0, 2]
    torch.testing.assert_close(logits.softmax(dim=0).sum(dim=0), torch.ones(3))
    assert logits.isfinite().all()
