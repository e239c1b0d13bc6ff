"""The small network: what it may weigh, how it starts, that it learns."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.nn import functional

from rotoscope.backbones.mobilenet3d import MobileNet3D
from rotoscope.data.clips import ClipBatch
from rotoscope.data.synthetic import moving_disc_clip
from rotoscope.inference.loading import WEIGHTS, parameters_of
from rotoscope.models.three_dc_seg.losses import LossOptions
from rotoscope.models.three_dc_seg.network import mobile
from rotoscope.models.three_dc_seg.training import TRAINABLE, TrainingOptions, training_step
from rotoscope.training.average import WeightAverage
from rotoscope.training.loop import fit
from tests.shared import shared


def test_size():
    assert parameters_of(mobile()) <= 5_000_000
    assert (WEIGHTS / "3dc-seg-mobile.safetensors").stat().st_size < 12_000_000


@pytest.mark.parametrize("size", [(32, 48), (33, 47), (1, 1)])
def test_any_size_goes_through(size):
    network = mobile(16).eval()
    with torch.inference_mode():
        logits = network(torch.rand(1, 3, 2, *size))
    assert logits.shape == (1, 2, 2, *(4 * -(-side // 4) for side in size))


def picture_network(weights, x):
    """DeepLabv3 on MobileNetV2 written down plainly, in 2D: (N, 3, H, W) in 0..255 -> (N, 256, h, w)."""
    from rotoscope.backbones.mobilenet3d import BLOCKS

    def conv(name, x, stride=1, dilation=1, groups=1):
        weight, bias = (torch.from_numpy(weights[f"{name}.{leaf}"].astype(np.float32)) for leaf in ("weight", "bias"))
        return functional.conv2d(x, weight, bias, stride, dilation * (weight.shape[2] // 2), dilation, groups)

    x = functional.relu6(conv("stem", (x - 128) / 128, 2))
    for number, (channels, stride) in enumerate(BLOCKS):
        name = f"blocks.{number}"
        y = functional.relu6(conv(f"{name}.expand", x)) if number else x
        dilation = 2 if number >= 14 else 1
        y = functional.relu6(conv(f"{name}.depthwise", y, stride, dilation, y.shape[1]))
        y = conv(f"{name}.project", y)
        x = x + y if stride == 1 and x.shape[1] == channels else y
    pool = functional.relu(conv("aspp.pool", x.mean((2, 3), keepdim=True))).expand(-1, -1, *x.shape[2:])
    return functional.relu(conv("aspp.project", torch.cat([pool, functional.relu(conv("aspp.conv", x))], 1)))


def test_the_encoder_starts_as_the_picture_network():
    weights = dict(np.load(shared("weights", "deeplabv3_mobilenetv2_voc.npz")))
    encoder = MobileNet3D().eval()
    assert encoder.load_picture_weights(weights) == ["classifier.bias", "classifier.weight"]
    clip = torch.rand(1, 3, 3, 65, 97)
    with torch.inference_mode():
        found = encoder(clip)[3][0].transpose(0, 1)
        expected = picture_network(weights, clip[0].transpose(0, 1) * 255)
    torch.testing.assert_close(found, expected, rtol=1e-4, atol=1e-4)


def test_picture_weights_must_fit():
    with pytest.raises(ValueError, match="lack"):
        MobileNet3D().load_picture_weights({})


def test_it_learns_a_moving_disc(tmp_path: Path):
    torch.manual_seed(0)
    frames, masks = moving_disc_clip(4, (48, 64), seed=1)
    clip = torch.from_numpy(np.stack([frame.image for frame in frames])).permute(3, 0, 1, 2)[None].float() / 255
    batch = ClipBatch(clip, torch.from_numpy(np.stack(masks))[None, None].float())
    network = mobile(16)
    optimiser = torch.optim.Adam(network.parameters(), 2e-3)
    average, seen = WeightAverage(network, 0.9), []

    def step(given):
        result = training_step(network, given, LossOptions("two_class"))
        seen.append(float(result.score))
        return result.loss, result.score

    fit(network, [batch] * 60, step, optimiser, steps=60, warm_up=5, average=average)
    assert seen[0] < 0.5
    assert seen[-1] > 0.9
    assert not average.network.training


def test_a_loss_that_is_no_number_stops_training():
    network = torch.nn.Linear(1, 1)
    optimiser = torch.optim.SGD(network.parameters(), 1.0)

    def step(batch):
        return network(batch).sum() * float("nan"), torch.tensor(0.0)

    with pytest.raises(FloatingPointError, match="lower the learning rate"):
        fit(network, [torch.ones(1, 1)], step, optimiser, steps=1)


def test_batches_that_end_early_are_an_error():
    network = torch.nn.Linear(1, 1)
    with pytest.raises(ValueError, match="ended after 0 of 2"):
        fit(network, [], lambda batch: (batch, batch), torch.optim.SGD(network.parameters(), 1.0), steps=2)


def test_a_network_of_single_frames_runs_on_a_clip_frame_by_frame():
    torch.manual_seed(0)
    network = mobile(16)
    TRAINABLE.begin(network, TrainingOptions(form="two_class", frames_alone=True))
    clip = torch.rand(1, 3, 4, 48, 64)
    with torch.inference_mode():
        together = network.eval()(clip)
        apart = torch.cat([network(frame) for frame in clip.split(1, dim=2)], dim=2)
    torch.testing.assert_close(together, apart, rtol=1e-4, atol=1e-4)
    TRAINABLE.begin(network, TrainingOptions(form="two_class"))  # what a later training finds, it keeps
    with torch.inference_mode():
        torch.testing.assert_close(network(clip), together)


def test_what_does_not_count_has_no_loss():
    torch.manual_seed(0)
    network, clip = mobile(16), torch.rand(1, 3, 1, 32, 32)
    masks = torch.zeros(1, 1, 1, 32, 32, dtype=torch.uint8)
    masks[..., :16, :] = 1
    masks[..., 16:, 16:] = 255
    step = training_step(network, ClipBatch(clip, masks), LossOptions("two_class", overlap=0.5))
    (bias,) = torch.autograd.grad(step.loss, network.decoder.predict.bias)
    assert bias[1] < 0  # more foreground than background counts
    everything = training_step(network, ClipBatch(clip, torch.full_like(masks, 255)), LossOptions("two_class"))
    assert everything.loss == 0
    assert everything.score == 1
