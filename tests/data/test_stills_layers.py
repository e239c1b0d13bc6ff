import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

import rotoscope.data.stills.layers as layers_module
from rotoscope.data.stills.layers import Layer, blurred, render
from rotoscope.data.stills.motion import Bend
from rotoscope.data.tone import Tone

SIZE = (12, 20)


def rng(seed=0):
    return np.random.default_rng(seed)


def places(*shifts, texture=SIZE, size=SIZE):
    """Frame -> texture, pixel for pixel; the texture's middle lies `shift` (x, y) pixels from the frame's."""
    found = np.zeros((len(shifts), 2, 3), np.float32)
    found[:, 0, 0], found[:, 1, 1] = size[0] / texture[1], size[0] / texture[0]
    found[:, :, 2] = -np.array(shifts) * 2 / np.array(texture[::-1])
    return found


def noise(size=SIZE, seed=0, *lead):
    return rng(seed).integers(0, 256, (*lead, *size, 3), dtype=np.uint8)


def picture(texture):
    """What a texture looks like as a frame: (3, H, W)."""
    return torch.from_numpy(texture).permute(2, 0, 1) / 255


def test_a_picture_in_its_place_comes_back():
    texture, labels = noise(), rng(1).integers(0, 5, SIZE, dtype=np.uint8)
    clip, found = render([Layer(texture, places((0, 0), (0, 0)), labels)], SIZE)
    assert clip.shape == (3, 2, *SIZE)
    assert clip.dtype == torch.float32
    assert clip.is_contiguous()
    assert found.dtype == torch.uint8
    for frame in range(2):
        assert torch.allclose(clip[:, frame], picture(texture), atol=1e-5)
        assert np.array_equal(found[frame], labels)


@given(st.integers(-6, 6), st.integers(-10, 10))
@settings(max_examples=20)
def test_whole_pixels_of_shift_move_whole_pixels_and_the_rest_is_mirrored(down, across):
    texture, labels = noise(), rng(1).integers(0, 5, SIZE, dtype=np.uint8)
    clip, found = render([Layer(texture, places((across, down)), labels)], SIZE)
    pad = 10
    mirrored = np.pad(texture, ((pad, pad), (pad, pad), (0, 0)), mode="symmetric")
    window = slice(pad - down, pad - down + SIZE[0]), slice(pad - across, pad - across + SIZE[1])
    assert torch.allclose(clip[:, 0], picture(mirrored[window]), atol=1e-4)
    assert np.array_equal(found[0], np.pad(labels, pad, mode="symmetric")[window])


def test_opacity_mixes_exactly_and_the_label_follows_half_of_it():
    back, front = noise(seed=1), noise((4, 6), seed=2)
    alpha = np.repeat(np.array([0, 51, 127, 128, 204, 255], np.uint8)[None], 4, axis=0)
    layers = [Layer(back, places((0, 0))), Layer(front, places((2, 1), texture=(4, 6)), 7, alpha)]
    clip, labels = render(layers, SIZE)
    rows, columns = slice(5, 9), slice(9, 15)
    share = torch.from_numpy(alpha) / 255
    expected = picture(back).clone()
    expected[:, rows, columns] = expected[:, rows, columns] * (1 - share) + picture(front) * share
    assert torch.allclose(clip[:, 0], expected, atol=1e-4)
    where = np.zeros(SIZE, np.uint8)
    where[rows, columns] = 7 * (alpha > 127)
    assert np.array_equal(labels[0], where)


def test_a_layer_without_opacity_is_opaque_and_ends_at_its_edge():
    back, front = noise(seed=1), noise((4, 6), seed=2)
    clip, labels = render([Layer(back, places((0, 0))), Layer(front, places((0, 0), texture=(4, 6)), 1)], SIZE)
    expected = picture(back).clone()
    expected[:, 4:8, 7:13] = picture(front)
    assert torch.allclose(clip[:, 0], expected, atol=1e-4)
    assert labels[0].sum() == 24


def test_the_later_layer_hides_the_earlier():
    parts = [Layer(noise((4, 6), seed), places((seed, 0), texture=(4, 6)), seed) for seed in (1, 2)]
    back = Layer(noise(), places((0, 0)))
    _, labels = render([back, *parts], SIZE)
    _, swapped = render([back, *parts[::-1]], SIZE)
    assert (labels == 2).sum() == (swapped == 1).sum() == 24
    assert (labels == 1).sum() == (swapped == 2).sum() == 4


def test_labels_of_a_layer_may_differ_from_pixel_to_pixel():
    own = rng(4).integers(0, 4, (4, 6), dtype=np.uint8)
    alpha = np.full((4, 6), 255, np.uint8)
    base = Layer(noise(), places((0, 0)), 9)
    _, labels = render([base, Layer(noise((4, 6)), places((3, -2), texture=(4, 6)), own, alpha)], SIZE)
    assert np.array_equal(labels[0, 2:6, 10:16], own)
    assert (labels == 9).sum() == 12 * 20 - 24


def test_textures_that_change_by_themselves():
    texture, labels = noise(SIZE, 0, 3), rng(1).integers(0, 2, (3, *SIZE), dtype=np.uint8)
    clip, found = render([Layer(texture, places(*[(0, 0)] * 3), labels)], SIZE)
    assert torch.allclose(clip, torch.from_numpy(texture).permute(3, 0, 1, 2) / 255, atol=1e-5)
    assert np.array_equal(found, labels)
    back = Layer(noise(seed=5), places(*[(0, 0)] * 3))
    _, found = render([back, Layer(texture, places(*[(0, 0)] * 3), 1, labels * 255)], SIZE)
    assert np.array_equal(found, labels)


@pytest.mark.parametrize("kind", ["thin_plate", "piecewise_affine"])
def test_a_bend_of_zero_is_none_and_a_constant_one_is_a_shift(kind):
    texture = noise()
    zero = Bend(kind, np.zeros((1, 16, 2), np.float32))
    plain, _ = render([Layer(texture, places((0, 0)))], SIZE)
    assert torch.allclose(render([Layer(texture, places((0, 0)), bend=zero)], SIZE)[0], plain, atol=1e-5)
    offset = np.array([3 * 2 / SIZE[1], -2 * 2 / SIZE[0]], np.float32)
    constant = Bend(kind, np.broadcast_to(offset, (1, 16, 2)).copy())
    shifted, _ = render([Layer(texture, places((-3, 2)))], SIZE)
    assert torch.allclose(render([Layer(texture, places((0, 0)), bend=constant)], SIZE)[0], shifted, atol=1e-3)


@pytest.mark.parametrize("seed", range(40))
def test_working_only_where_a_layer_is_seen_changes_nothing(monkeypatch, seed):
    generator = rng(seed)
    turned = generator.normal(0, 1.5, (2, 2, 3)).astype(np.float32)
    alpha = generator.integers(0, 256, (5, 7), dtype=np.uint8)
    thing = Layer(noise((5, 7)), turned, 3, alpha, Bend.draw("thin_plate", 2, 0.15, generator))
    both = [Layer(noise(), places((0, 0), (0, 0))), thing]
    found = render(both, SIZE)
    monkeypatch.setattr(layers_module, "_seen", lambda *_: (slice(0, SIZE[0]), slice(0, SIZE[1])))
    assert all(torch.equal(a, b) for a, b in zip(found, render(both, SIZE), strict=True))


def test_a_layer_outside_the_frame_is_not_seen():
    back = Layer(noise(), places((0, 0)))
    clip, labels = render([back, Layer(noise((4, 6)), places((40, 0), texture=(4, 6)), 1)], SIZE)
    assert torch.equal(clip, render([back], SIZE)[0])
    assert not labels.any()


def test_colours_stay_in_range_and_rendering_is_repeatable():
    tone = Tone((1.3, 0.7, 1.2), 1.4, 0.1)
    layers = [
        Layer(noise(seed=seed), places((seed, 1), (seed, 2)), seed, bend=Bend.draw("thin_plate", 2, 0.1, rng(seed)))
        for seed in range(3)
    ]
    layers.append(
        Layer(np.full((4, 6, 3), 255, np.uint8), places((0, 0), (1, 1), texture=(4, 6)), 1, tone=tone, blur=1)
    )
    first, second = render(layers, SIZE), render(layers, SIZE)
    assert all(torch.equal(a, b) for a, b in zip(first, second, strict=True))
    assert first[0].min() >= 0
    assert first[0].max() <= 1


def test_textures_that_may_not_be_written_to_are_welcome():
    texture = noise()
    texture.flags.writeable = False
    clip, _ = render([Layer(texture, places((0, 0)))], SIZE)
    assert torch.equal(clip, render([Layer(noise(), places((0, 0)))], SIZE)[0])
    assert not texture.flags.writeable


def test_tone_is_exact_and_none_is_none():
    clip = torch.rand(3, 2, 4, 4)
    assert Tone()(clip) is clip
    found = Tone((1.1, 1.0, 0.9), 0.8, 0.05)(clip)
    gains = torch.tensor([1.1, 1.0, 0.9]).view(3, 1, 1, 1)
    assert torch.allclose(found, ((clip * gains - 0.5) * 0.8 + 0.55).clamp(0, 1), atol=1e-6)


def test_a_blur_keeps_flat_parts_and_spreads_a_point_by_its_width():
    assert torch.allclose(blurred(torch.full((1, 2, 7, 9), 0.3), 2.0), torch.tensor(0.3))
    point = torch.zeros(1, 1, 31, 31)
    point[0, 0, 15, 15] = 1
    found = blurred(point, 2.0)[0, 0]
    along = torch.arange(31.0) - 15
    assert found.sum() == pytest.approx(1, abs=1e-5)
    assert float((found.sum(0) * along**2).sum()) == pytest.approx(4, rel=0.05)


def test_a_blurred_layer_lets_what_is_behind_shine_through_its_edge():
    alpha = np.full((4, 6), 255, np.uint8)
    alpha[:, :3] = 0
    green = np.full((4, 6, 3), [0, 255, 0], np.uint8)
    white = Layer(np.full((*SIZE, 3), 255, np.uint8), places((0, 0)))
    clip, _ = render([white, Layer(green, places((0, 0), texture=(4, 6)), 1, alpha, blur=1.0)], SIZE)
    assert torch.allclose(clip[1], torch.ones(()), atol=1e-4)  # green everywhere full: nothing black came in
    assert (clip[0, 0, 4:8, 7:13].diff(dim=1) < 0).all()
