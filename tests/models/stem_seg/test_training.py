"""Training STEm-Seg beyond the golden cases: targets, what is trained, that it learns."""

from dataclasses import replace

import pytest
import torch

from rotoscope.data.clips import ClipBatch
from rotoscope.errors import OptionError
from rotoscope.models import trainable
from rotoscope.models.stem_seg.losses import UNKNOWN, LossOptions, embedding_losses, semantic_losses, shrunk
from rotoscope.models.stem_seg.maps import Maps
from rotoscope.models.stem_seg.mobile import MobileStemSeg
from rotoscope.models.stem_seg.network import DAVIS, KITTI
from rotoscope.models.stem_seg.training import TRAINABLE, TrainingOptions, losses, targets, training_step
from tests.models.stem_seg.small import small
from tests.processor import needs_bfloat16


def batch(categories=None, length=4, size=(64, 64)):
    """Two squares that move and a region that does not count, twice."""
    generator = torch.Generator().manual_seed(0)
    labels = torch.zeros(2, 1, length, *size, dtype=torch.uint8)
    for place in range(length):
        labels[:, :, place, 8:24, 4 + 4 * place : 20 + 4 * place] = 3
        labels[:, :, place, 36:56, 36 : 56 - 2 * place] = 7
    labels[:, :, :, 56:] = 255
    clips = torch.rand(2, 3, length, *size, generator=generator) * 0.1 + 0.2
    clips[:, 0] += 0.6 * (labels[:, 0] == 3)
    clips[:, 1] += 0.6 * (labels[:, 0] == 7)
    table = None
    if categories is not None:
        table = torch.zeros(2, 256, dtype=torch.int64)
        for label, category in categories.items():
            table[:, label] = category
    return ClipBatch(clips.clamp(0, 1), labels, table)


def test_a_place_is_what_its_middle_pixels_agree_on():
    labels = torch.zeros(8, 8, dtype=torch.uint8)
    labels[0:4, 1:8] = 5
    labels[4:8, 0:4], labels[6:8, 2:4] = 9, 1
    assert shrunk(labels).tolist() == [[5, 5], [0, 0]]


def test_targets_of_a_batch():
    found = targets(batch({3: 2}), (24, 16), most=30, alike=False)
    assert [masks.shape for masks in found.instances] == [(2, 4, 24, 16)] * 2
    first = found.instances[0][0]
    assert int(first[0].sum()) == 16  # 16 x 16 pixels at stride 4
    assert first[0, 2:6, 1:5].all()
    assert found.ignored[0, 0, 14:16].all()
    assert not found.ignored[0, 0, 16:].any()  # padding is background
    classes = found.classes[0]
    assert classes[found.instances[0][0]].unique().tolist() == [2]
    assert classes[found.instances[0][1]].unique().tolist() == [UNKNOWN]
    assert classes[~found.instances[0].any(0)].unique().tolist() == [0]


@pytest.mark.parametrize(("categories", "alike", "classes"), [(None, True, [0, 1]), (None, False, [-1, 0])])
def test_classes_without_categories(categories, alike, classes):
    assert targets(batch(categories), (16, 16), 30, alike).classes.unique().tolist() == classes


def test_of_too_many_instances_the_largest_are_kept_and_the_others_ignored():
    whole = targets(batch(), (16, 16), 30, True)
    found = targets(batch(), (16, 16), 1, True)
    assert [len(masks) for masks in found.instances] == [1, 1]
    areas = whole.instances[0].flatten(1).sum(1)
    assert torch.equal(found.instances[0][0], whole.instances[0][int(areas.argmax())])
    assert found.ignored[0][whole.instances[0][int(areas.argmin())]].all()


def test_published_targets_keep_instances_that_vanish_as_empty_masks():
    given = batch({3: 2, 5: 1})
    given.masks[:, :, :, 0, 0] = 5  # one pixel, lost at the maps' size
    for form, count in (("corrected", 2), ("published", 3)):
        found = targets(given, (16, 16), 30, True, form)
        assert [len(masks) for masks in found.instances] == [count, count]
    assert found.instances[0].flatten(1).any(1).tolist() == [True, False, True]


def perfect(wanted):
    """Maps that say just what they should."""
    masks = wanted.instances[0].float()
    apart = masks[0] - masks[1]
    embeddings = torch.stack([10 * apart, apart, masks[0], masks[1]])[None]
    foreground = 40 * masks.amax(0) - 20
    classes = torch.stack([-foreground, foreground])[None]
    return Maps(embeddings, torch.zeros(1, 2, *apart.shape), masks.amax(0)[None, None], classes, foreground[None, None])


def test_perfect_maps_have_no_loss_and_others_have():
    wanted = targets(batch({3: 1, 7: 1}), (16, 16), 30, alike=True)
    wanted = replace(wanted, instances=wanted.instances[:1], ignored=wanted.ignored[:1], classes=wanted.classes[:1])
    maps = perfect(wanted)
    found, iou = losses(maps, wanted, LossOptions())
    assert set(found) == {"lovasz", "smoothness", "seediness", "classes", "foreground"}
    assert all(abs(value.item()) < 1e-4 for value in found.values())
    assert iou.item() == 1
    worse, iou = losses(replace(maps, embeddings=0 * maps.embeddings), wanted, LossOptions())
    assert worse["lovasz"].item() > 0.5
    assert iou.item() < 0.5


def test_ignored_places_count_nowhere():
    wanted = targets(batch({3: 1, 7: 1}), (16, 16), 30, alike=True)
    wanted = replace(wanted, instances=wanted.instances[:1], ignored=wanted.ignored[:1], classes=wanted.classes[:1])
    maps = perfect(wanted)
    seeds, foreground, classes = maps.seediness.clone(), maps.foreground.clone(), maps.classes.clone()
    seeds[0][wanted.ignored] = 1.0
    foreground[0][wanted.ignored] = 20.0
    classes[0, 1][wanted.ignored[0]] = 50.0
    maps = replace(maps, seediness=seeds, foreground=foreground, classes=classes)
    found, _ = losses(maps, wanted, LossOptions())
    assert all(abs(value.item()) < 1e-4 for value in found.values())
    published, _ = losses(maps, wanted, LossOptions(form="published"))
    assert published["classes"].item() > 1


def test_weights_of_the_losses():
    wanted = targets(batch(), (16, 16), 30, alike=True)
    maps = Maps(torch.randn(2, 4, 4, 16, 16), torch.randn(2, 2, 4, 16, 16), torch.rand(2, 1, 4, 16, 16))
    one, _ = losses(maps, wanted, LossOptions())
    two, _ = losses(maps, wanted, LossOptions(lovasz=3.0, smoothness=0.0, seediness=0.5))
    assert two["lovasz"].item() == pytest.approx(3 * one["lovasz"].item())
    assert two["smoothness"].item() == 0
    assert two["seediness"].item() == pytest.approx(one["seediness"].item() / 2)


def test_objects_of_unknown_class_are_foreground_and_have_no_class():
    target = torch.full((1, 1, 2, 2), UNKNOWN)
    logits = torch.randn(1, 3, 1, 2, 2)
    nothing = torch.zeros(1, 1, 2, 2, dtype=torch.bool)
    classes, foreground = semantic_losses(logits, torch.full((1, 1, 1, 2, 2), 30.0), target, nothing)
    assert classes.item() == 0
    assert foreground.item() < 1e-6


def test_no_instance_no_loss_and_gradients_of_zero():
    maps = Maps(*(torch.randn(1, n, 2, 4, 4, requires_grad=True) for n in (4, 2, 1)))
    found = embedding_losses(maps, [torch.zeros(2, 2, 4, 4, dtype=torch.bool)], torch.zeros(1, 2, 4, 4).bool())
    (found.lovasz + found.smoothness + found.seediness).backward()
    assert (found.lovasz.item(), found.smoothness.item(), found.seediness.item(), found.iou.item()) == (0, 0, 0, 1)
    assert not maps.embeddings.grad.any()


def begun(network, **options):
    chosen = TrainingOptions(**options)
    TRAINABLE.begin(network, chosen)
    TRAINABLE.mode(network, chosen)
    return network


def trained(network):
    return {name.split(".bn")[0] for name, one in network.named_parameters() if one.requires_grad}


def test_norms_of_a_resnet_stay_as_they_are():
    network = begun(small(KITTI))
    norms = [layer for layer in network.modules() if isinstance(layer, torch.nn.BatchNorm2d)]
    assert not any(layer.training or layer.weight.requires_grad for layer in norms)
    assert network.embedding.trunk.stride4[0].norm.weight.requires_grad
    before = network.encoder.body.bn1.running_mean.clone()
    training_step(network, batch({3: 1, 7: 2}), TrainingOptions())
    assert torch.equal(network.encoder.body.bn1.running_mean, before)


@pytest.mark.parametrize("frozen", ["none", "stem", "encoder"])
def test_what_is_frozen(frozen):
    names = trained(begun(small(DAVIS), frozen=frozen))
    starts = ("encoder.body.conv1", "encoder.body.layer1", "encoder.body.layer2", "encoder.pyramid", "embedding")
    free = [any(name.startswith(start) for name in names) for start in starts]
    assert free == {"none": [1] * 5, "stem": [0, 0, 1, 1, 1], "encoder": [0, 0, 0, 0, 1]}[frozen]


@pytest.mark.parametrize("mobile", [False, True])
def test_a_few_steps_lower_the_loss(mobile):
    torch.manual_seed(0)
    network = MobileStemSeg(16, (16, 16, 16, 16)) if mobile else small(KITTI)
    begun(network, frozen="none")
    clips = batch({3: 1, 7: 2})
    optimiser = torch.optim.AdamW([one for one in network.parameters() if one.requires_grad], 3e-3)
    seen = []
    for _ in range(25):
        result = training_step(network, clips, TrainingOptions())
        optimiser.zero_grad()
        result.loss.backward()
        optimiser.step()
        seen.append((result.loss.item(), result.score.item()))
        assert 0 <= seen[-1][1] <= 1
    assert seen[-1][0] < 0.7 * seen[0][0]
    lacking = [name for name, one in network.named_parameters() if one.requires_grad and one.grad is None]
    assert not lacking


@needs_bfloat16
def test_mixed_precision_gives_about_the_same_loss():
    torch.manual_seed(0)
    network, clips = begun(small(DAVIS)), batch()
    whole = training_step(network, clips, TrainingOptions())
    mixed = training_step(network, clips, TrainingOptions(), torch.bfloat16)
    assert mixed.loss.dtype == torch.float32
    assert mixed.loss.item() == pytest.approx(whole.loss.item(), rel=0.05)


def test_free_dimensions_are_as_many_as_the_options_say():
    with pytest.raises(OptionError, match="free_dim_stds has 3 values, the network 2 free dimensions"):
        training_step(begun(small(DAVIS)), batch(), TrainingOptions(free_dim_stds=(0.3, 0.3, 0.3)))


def test_a_category_that_the_network_lacks_is_refused():
    with pytest.raises(OptionError, match="category 5, the network knows 2"):
        training_step(begun(small(KITTI)), batch({3: 5}), TrainingOptions())


@pytest.mark.parametrize(
    ("options", "words"),
    [
        ({"lovasz": -1.0}, "0 or more"),
        ({"form": "other"}, "corrected or published"),
        ({"free_dim_stds": (-0.3,)}, "list of numbers above 0"),
        ({"frozen": "half"}, "none, stem or encoder"),
        ({"most": 0}, "1 or more instances"),
    ],
)
def test_options_that_cannot_be(options, words):
    with pytest.raises(OptionError, match=words):
        TrainingOptions(**options)


def test_it_is_found_by_name():
    assert trainable("stem-seg") is TRAINABLE
