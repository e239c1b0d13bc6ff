import copy
import pickle
import threading

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.nn import functional

from rotoscope.ops import winograd
from rotoscope.ops.winograd import WinogradConv3d, cut, pays, replaceable, winograd_conv3d

LAST = torch.channels_last_3d
ROUNDING = 5e-6  # of the largest output


def problem(
    shape: tuple[int, ...], outputs: int, bias: bool = True, seed: int = 0
) -> tuple[Tensor, Tensor, Tensor | None]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(shape, generator=generator).relu()
    weight = torch.randn((outputs, shape[1], 3, 3, 3), generator=generator) / (27 * shape[1]) ** 0.5
    return x, weight, torch.randn(outputs, generator=generator) if bias else None


def exact(x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
    return functional.conv3d(x.double(), weight.double(), None if bias is None else bias.double(), padding=1)


def error(y: Tensor, expected: Tensor) -> float:
    assert y.shape == expected.shape
    return float((y.double() - expected).abs().max() / expected.abs().max())


def wide(channels: int = 64) -> tuple[WinogradConv3d, nn.Conv3d, Tensor]:
    """A frozen layer, its plain twin and a map on which Winograd's form is used."""
    conv = nn.Conv3d(channels, channels, 3, padding=1).requires_grad_(False)
    layer = WinogradConv3d.from_conv(conv)
    x = problem((1, channels, 2, 32, 40), 1)[0].contiguous(memory_format=LAST)
    assert pays(x, channels, torch.get_num_threads())
    return layer, conv, x


@pytest.fixture
def calls(monkeypatch: pytest.MonkeyPatch) -> list[Tensor]:
    """The inputs that took Winograd's form."""
    seen: list[Tensor] = []

    def counted(x: Tensor, *rest: Tensor) -> Tensor:
        seen.append(x)
        return winograd_conv3d(x, *rest)

    monkeypatch.setattr(winograd, "winograd_conv3d", counted)
    return seen


@settings(max_examples=60, deadline=None)
@given(
    batch=st.integers(1, 2),
    channels=st.sampled_from([1, 3, 8]),
    outputs=st.sampled_from([1, 5, 40]),
    frames=st.integers(1, 5),
    height=st.integers(1, 23),
    width=st.integers(1, 23),
    workers=st.integers(1, 3),
    bias=st.booleans(),
    last=st.booleans(),
)
def test_any_size_equals_the_convolution(
    batch: int,
    channels: int,
    outputs: int,
    frames: int,
    height: int,
    width: int,
    workers: int,
    bias: bool,
    last: bool,
) -> None:
    x, weight, b = problem((batch, channels, frames, height, width), outputs, bias, height * 31 + width)
    x[0, 0, 0, 0, 0] += 1  # never a map of zeros only
    expected = exact(x, weight, b)
    if last:
        x = x.contiguous(memory_format=LAST)
    y = winograd_conv3d(x, weight, b, workers)
    assert y.is_contiguous(memory_format=LAST)
    assert error(y, expected) < 2e-5  # a tiny output may be a small difference of large terms


def test_large_map_in_many_blocks() -> None:
    x, weight, bias = problem((1, 256, 3, 30, 41), 256)
    assert cut(3, 30, 41, 256, 2).count > 1
    expected = exact(x, weight, bias)
    assert error(winograd_conv3d(x.contiguous(memory_format=LAST), weight, bias, 2), expected) < ROUNDING


def test_scratch_of_earlier_calls_does_not_show() -> None:
    poison, weight, _ = problem((1, 16, 2, 21, 21), 16)
    winograd_conv3d(poison * float("nan"), weight)
    x, weight, bias = problem((1, 16, 3, 7, 9), 16)
    assert error(winograd_conv3d(x, weight, bias), exact(x, weight, bias)) < ROUNDING


def test_blocks_tile_the_map_and_fit_the_bound() -> None:
    for shape in ((8, 120, 216), (8, 60, 108), (1, 1, 1), (40, 270, 480), (2, 5, 7)):
        for workers in (1, 2, 5, 16):
            blocks = cut(*shape, 256, workers)
            covered = {
                (row + i, column + j)
                for row, column in blocks.corners()
                for i in range(blocks.rows)
                for j in range(blocks.columns)
            }
            tiles = {(i, j) for i in range(-(-shape[1] // 4)) for j in range(-(-shape[2] // 4))}
            assert tiles <= covered
            assert workers * sum(blocks.buffer_length(256, 256)) * 4 < 80e6


def test_replaces_only_what_it_can_stand_for() -> None:
    class Special(nn.Conv3d):
        pass

    def conv(*arguments: object, **named: object) -> nn.Conv3d:
        return nn.Conv3d(*arguments, **named)  # type: ignore[arg-type]

    other = [
        conv(64, 64, 3),
        conv(64, 64, 3, padding=1, stride=2),
        conv(64, 64, 3, padding=2, dilation=2),
        conv(64, 64, 3, padding=1, groups=2),
        conv(64, 64, 3, padding=1, padding_mode="replicate"),
        conv(64, 64, (1, 3, 3), padding=(0, 1, 1)),
    ]
    left = [Special(64, 64, 3, padding=1), conv(64, 2, 3, padding=1), *other]
    good = nn.Sequential(conv(64, 96, 3, padding=1), nn.Sequential(conv(96, 64, 3, padding="same", bias=False)))
    network = nn.ModuleList([*left, good])
    kinds = [type(module) for module in left]
    names, parameters = list(network.state_dict()), list(network.parameters())
    assert WinogradConv3d.replace_in(network) == 2
    assert [type(module) for module in left] == kinds
    assert type(good[0]) is type(good[1][0]) is WinogradConv3d
    assert list(network.state_dict()) == names
    assert all(a is b for a, b in zip(network.parameters(), parameters, strict=True))
    assert WinogradConv3d.replace_in(network) == 0
    assert not any(replaceable(module) for module in other)
    with pytest.raises(ValueError, match="expected 3x3x3"):
        WinogradConv3d.from_conv(other[0])
    x, weight, _ = problem((1, 4, 2, 5, 5), 4)
    with pytest.raises(ValueError, match=r"expected \(K, 4, 3, 3, 3\)"):
        winograd_conv3d(x, weight[:, :3])


def test_layer_takes_winograds_form_and_follows_its_weights(calls: list[Tensor]) -> None:
    layer, conv, x = wide()
    assert error(layer(x), conv(x).double()) < ROUNDING
    conv.weight.mul_(-3)
    assert error(layer(x), conv(x).double()) < ROUNDING
    layer.load_state_dict({"weight": torch.ones_like(conv.weight), "bias": torch.ones_like(conv.bias)})
    assert error(copy.deepcopy(layer)(x), conv(x).double()) < ROUNDING
    assert error(pickle.loads(pickle.dumps(layer))(x), conv(x).double()) < ROUNDING
    assert len(calls) == 4


def test_everything_else_takes_the_direct_convolution(calls: list[Tensor]) -> None:
    layer, conv, x = wide()
    small = x[..., :3, :4].contiguous()
    assert torch.equal(layer(small), conv(small))
    assert torch.equal(layer(x[0]), conv(x[0]))
    assert layer(x[:0]).shape == (0, 64, 2, 32, 40)
    with torch.autocast("cpu", torch.bfloat16):
        assert layer(x).dtype == torch.bfloat16
    assert torch.equal(copy.deepcopy(layer).double()(x.double()), copy.deepcopy(conv).double()(x.double()))
    with pytest.raises(RuntimeError, match="channels"):
        layer(x[:, :5])
    assert not calls


def test_gradients_flow(calls: list[Tensor]) -> None:
    layer, conv, x = wide()
    given = x.clone().requires_grad_()
    layer(given).sum().backward()
    assert given.grad is not None
    layer.weight.requires_grad_()
    layer(x).square().sum().backward()
    assert layer.weight.grad is not None
    assert not calls
    with torch.no_grad():
        assert error(layer(x), conv(x).double()) < ROUNDING
    assert len(calls) == 1


def test_inside_and_outside_inference_mode() -> None:
    layer, conv, x = wide()
    winograd._idle.clear()
    expected = conv(x).double()
    with torch.inference_mode():
        first = layer(x).clone()
    assert error(first, expected) < ROUNDING
    second = layer(x)
    assert not second.is_inference()
    second.add_(1)
    assert error(second - 1, expected) < ROUNDING


def test_threads_share_a_layer_and_keep_their_settings() -> None:
    layer, conv, x = wide()
    layer(x)
    before = torch.get_num_threads()
    maps = [problem((1, 64, 2, 28 + 4 * i, 40), 1, seed=i)[0] for i in range(4)]
    wrong: list[float] = []

    def serve(x: Tensor) -> None:
        expected = exact(x, conv.weight, conv.bias)
        for _ in range(3):
            with torch.inference_mode():
                if error(layer(x), expected) > ROUNDING or torch.get_num_threads() != before:
                    wrong.append(1.0)

    threads = [threading.Thread(target=serve, args=(x,)) for x in maps]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert not wrong
    assert torch.get_num_threads() == before


def test_a_failure_in_a_worker_reaches_the_caller(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*arguments: object) -> None:
        raise MemoryError("no room")

    monkeypatch.setattr(winograd, "_multiply", fail)
    x, weight, _ = problem((1, 8, 2, 9, 9), 8)
    with pytest.raises(MemoryError):
        winograd_conv3d(x, weight, workers=2)
