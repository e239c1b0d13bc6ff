import pytest
import torch
from torch import nn

from rotoscope.backbones.csn import CSN
from rotoscope.errors import OptionError
from rotoscope.inference import prepare as preparing
from rotoscope.inference.prepare import choose_device, choose_precision, fold_batch_norms, prepare
from rotoscope.models.three_dc_seg.network import NETWORKS, Decoder, ThreeDCSeg, mobile
from tests.processor import needs_bfloat16

CPU = torch.device("cpu")


def small_csn():
    """ir-CSN-14: every kind of block of the published network, quickly."""
    torch.manual_seed(0)
    network = ThreeDCSeg(CSN((1, 1, 1, 1)), Decoder(CSN.channels, 64)).eval()
    with torch.no_grad():
        for module in network.modules():
            if isinstance(module, nn.BatchNorm3d):
                module.running_mean.normal_(0, 0.1)
                module.running_var.uniform_(0.5, 1.5)
                module.weight.uniform_(0.5, 1.5)
    return network


def test_preparing_does_not_change_the_result():
    network = small_csn()
    clip = torch.rand(1, 3, 4, 65, 97)
    with torch.inference_mode():
        before = network(clip)
        prepared = prepare(network, CPU, torch.float32)
        after = prepared(clip.contiguous(memory_format=torch.channels_last_3d))
    assert not any(isinstance(module, nn.BatchNorm3d) for module in prepared.modules())
    torch.testing.assert_close(after, before, rtol=1e-4, atol=1e-5 * float(before.abs().max()))


def test_norms_behind_a_sequence_are_folded_too():
    network = NETWORKS["r2plus1d34_gc3d"]().encoder
    assert any(isinstance(module, nn.BatchNorm3d) for module in network.modules())
    fold_batch_norms(network.eval())
    assert not any(isinstance(module, nn.BatchNorm3d) for module in network.modules())


def test_guidance_is_refused_after_preparing():
    network = prepare(small_csn(), CPU, torch.float32)
    with pytest.raises(ValueError, match="without guidance"):
        network(torch.rand(1, 3, 2, 32, 32), torch.rand(1, 1, 2, 32, 32))


@needs_bfloat16
def test_bfloat16_stays_near_float32():
    torch.manual_seed(0)
    network = mobile(16).eval()
    clip = torch.rand(1, 3, 3, 48, 64).contiguous(memory_format=torch.channels_last_3d)
    with torch.inference_mode():
        exact = network(clip)
        rough = prepare(network, CPU, torch.bfloat16)(clip)
    assert float((rough - exact).abs().max()) < 0.05 * float(exact.abs().max()) + 0.02


def test_choices_that_cannot_be_met():
    with pytest.raises(OptionError, match="not known"):
        choose_device("tpu3000")
    with pytest.raises(OptionError, match="not supported"):
        choose_device("meta")
    with pytest.raises(OptionError, match="choose auto, fp32 or bf16"):
        choose_precision("fp8", CPU, True)
    assert choose_precision("fp32", CPU, True) == torch.float32
    assert choose_precision("auto", CPU, False) == torch.float32


@needs_bfloat16
def test_bfloat16_is_there_for_the_asking():
    assert choose_precision("bf16", CPU, False) == torch.bfloat16


@pytest.mark.parametrize("measured_equal", [False, True])
@pytest.mark.parametrize("in_hardware", [False, True])
@pytest.mark.parametrize("reason", [None, "it needs more"])
def test_auto_takes_bfloat16_where_it_is_equal_and_runs_and_is_fast(monkeypatch, measured_equal, in_hardware, reason):
    monkeypatch.setattr(preparing, "why_no_bfloat16", lambda device: reason)
    monkeypatch.setattr(preparing, "_in_hardware", lambda device: in_hardware)
    narrow = measured_equal and in_hardware and reason is None
    assert choose_precision("auto", CPU, measured_equal) == (torch.bfloat16 if narrow else torch.float32)
    assert choose_precision("fp32", CPU, measured_equal) == torch.float32
    if reason is None:  # what is only emulated runs where it is asked for
        assert choose_precision("bf16", CPU, measured_equal) == torch.bfloat16
    else:
        with pytest.raises(OptionError, match=r"bf16 does not run on .* cpu \(it needs more\); choose fp32"):
            choose_precision("bf16", CPU, measured_equal)


@pytest.mark.skipif(torch.cuda.is_available(), reason="has a CUDA device")
def test_cuda_that_is_not_there():
    assert choose_device("auto") == CPU
    with pytest.raises(OptionError, match="no CUDA device"):
        choose_device("cuda")


@pytest.mark.gpu
def test_the_bundled_model_gives_the_same_masks_on_a_gpu():
    import rotoscope
    from rotoscope.data.synthetic import moving_disc_clip
    from rotoscope.masks.run_length import iou

    images = [frame.image for frame in moving_disc_clip(12, (96, 128), seed=0)[0]]
    there, here = (rotoscope.load("3dc-seg-mobile", device=name).segment(images) for name in ("cuda", "cpu"))
    for a, b in zip(there.results(), here.results(), strict=True):
        assert len(a.objects) == len(b.objects)
        assert all(iou(x.mask, y.mask) > 0.98 for x, y in zip(a.objects, b.objects, strict=True))
