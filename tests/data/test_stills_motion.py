import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from rotoscope.data.stills.motion import FIELD, NODES, Bend, Range, about, matrices, moves, path

kinds = pytest.mark.parametrize("kind", ["thin_plate", "piecewise_affine"])
LINE = np.linspace(-1, 1, NODES)
AT_NODES = slice(None, None, (FIELD - 1) // (NODES - 1))  # of the raster's rows and columns


def rng(seed=0):
    return np.random.default_rng(seed)


def spread(kind, values):
    """(NODES ** 2, 2) of one frame -> (2, FIELD, FIELD)."""
    return Bend(kind, np.asarray(values, np.float32)[None]).field()[0].numpy()


def raster(side):
    y, x = np.meshgrid(np.linspace(-1, 1, side), np.linspace(-1, 1, side), indexing="ij")
    return x, y


@given(st.integers(1, 9), st.integers(0, 99))
def test_paths_begin_and_end_where_they_should(frames, seed):
    start, end, bow = rng(seed).normal(size=(3, 5))
    found = path(frames, start, end, bow, rng(seed))
    assert found.shape == (frames, 5)
    assert np.allclose(found[0], start)
    assert frames == 1 or np.allclose(found[-1], end)


def test_a_path_is_off_the_straight_line_by_its_bow_and_no_more():
    start, end = np.zeros(1), np.ones(1)
    found = path(101, start, end, np.full(1, 0.3), rng())[:, 0]
    straight = path(101, start, end, np.zeros(1), rng())[:, 0]
    assert (found - straight).max() == pytest.approx(0.3, abs=1e-3)
    assert (np.diff(straight) > 0).all()


@given(st.integers(0, 99))
def test_movements_stay_within_their_reach(seed):
    reach = Range(shift=0.4, scale=0.2, turn=0.1, shear=0.05)
    found = moves(8, reach, rng(seed))
    assert found.shape == (8, 6)
    limit = np.array([0.4, 0.4, 0.2, 0.1, 0.05, 0.05])
    assert (np.abs(found) <= limit * 0.75).all()  # half the way and a quarter of it as bow
    assert np.allclose(found[0], -found[-1])


def test_no_reach_is_rest_and_unrest_shifts_only():
    assert not moves(5, Range(0, 0, 0, 0), rng()).any()
    shaken = moves(5, Range(0, 0, 0, 0, shake=0.1), rng())
    assert shaken[:, :2].all()
    assert not shaken[:, 2:].any()
    assert Range(1, 2, 3, 4, 5).times(0.5) == Range(0.5, 1, 1.5, 2, 5)


def test_matrices_shift_scale_and_turn():
    rest, shift, scale, turn = matrices(
        np.array([[0, 0, 0, 0, 0, 0], [0.3, -0.2, 0, 0, 0, 0], [0, 0, np.log(2), 0, 0, 0], [0, 0, 0, np.pi / 2, 0, 0]])
    )
    assert np.array_equal(rest, np.eye(3))
    assert np.allclose(shift @ [1, 1, 1], [1.3, 0.8, 1])
    assert np.allclose(scale @ [1, -1, 1], [2, -2, 1])
    assert np.allclose(turn @ [1, 0, 1], [0, 1, 1])  # y points down: to the right goes down


@given(st.integers(0, 99))
def test_turning_about_a_point_leaves_the_point(seed):
    movement = moves(4, Range(), rng(seed))
    movement[:, :2] = 0
    centre = np.array([*rng(seed).uniform(-1, 1, 2), 1.0])
    assert np.allclose(about(centre, matrices(movement)) @ centre, centre)


@kinds
def test_bends_meet_their_nodes(kind):
    values = rng().normal(size=(NODES**2, 2))
    found = spread(kind, values)[:, AT_NODES, AT_NODES]
    assert np.allclose(found.reshape(2, -1).T, values, atol=1e-5)


@kinds
def test_bends_reproduce_affine_offsets(kind):
    x, y = raster(NODES)
    found = spread(kind, np.stack([0.1 + 0.2 * x - 0.3 * y, 0.5 * y], axis=-1).reshape(-1, 2))
    x, y = raster(FIELD)
    assert np.allclose(found, [0.1 + 0.2 * x - 0.3 * y, 0.5 * y], atol=1e-5)


@kinds
def test_the_nodes_shares_add_up_to_one(kind):
    assert np.allclose(spread(kind, np.ones((NODES**2, 2))), 1, atol=1e-5)


def test_a_piecewise_affine_bend_stays_between_its_nodes_and_is_local():
    values = rng().uniform(0, 1, (NODES**2, 2))
    found = spread("piecewise_affine", values)
    assert found.min() >= values.min() - 1e-6
    assert found.max() <= values.max() + 1e-6
    corner = np.zeros((NODES**2, 2))
    corner[0] = 1
    step = (FIELD - 1) // (NODES - 1)
    assert not spread("piecewise_affine", corner)[:, step:].any()


def test_a_thin_plate_is_smoother_than_pieces():
    def unrest(kind):
        return sum(np.abs(np.diff(spread(kind, values), 2, axis)).max() for axis in (1, 2))

    values = rng(3).normal(size=(NODES**2, 2))
    assert unrest("thin_plate") < 0.5 * unrest("piecewise_affine")


def test_bends_are_drawn_by_strength_and_repeatable():
    first, again = (Bend.draw("thin_plate", 5, 0.1, rng(4)) for _ in range(2))
    assert first.nodes.shape == (5, NODES**2, 2)
    assert first.nodes.dtype == np.float32
    assert torch.equal(first.field(), again.field())
    assert first.nodes[0].std() == pytest.approx(0.1, rel=0.4)
    assert not Bend.draw("thin_plate", 5, 0.0, rng()).field().any()
