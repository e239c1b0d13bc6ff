"""HOTA, CLEAR and identity: what must hold always, and small cases worked out by hand."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rotoscope.metrics.clear import Clear
from rotoscope.metrics.hota import Hota
from rotoscope.metrics.identity import Identity
from rotoscope.metrics.older_mots import OlderMots
from rotoscope.metrics.tracking import Counts, averaged, mean_of_classes, numbered


@st.composite
def sequences(draw):
    """Frames of some objects and detections with any similarity; rows and columns sum to 1 at most, as of masks."""
    frames = []
    for _ in range(draw(st.integers(1, 5))):
        ids = draw(st.lists(st.integers(1, 3), unique=True, max_size=3))
        others = draw(st.lists(st.integers(1, 4), unique=True, max_size=3))
        table = draw(hnp.arrays(np.float64, (len(ids), len(others)), elements=st.floats(0, 1)))
        largest = max(table.sum(axis=0).max(initial=1), table.sum(axis=1).max(initial=1))
        frames.append((ids, others, table / largest))
    return frames


def swapped(frames):
    return [(others, ids, table.T) for ids, others, table in frames]


def perfect(count=4):
    return [([1, 2], [7, 5], np.eye(2)) for _ in range(count)]


@settings(deadline=None, max_examples=120)
@given(sequences())
def test_hota_identities(frames):
    sequence = numbered(frames)
    found, other = Hota.of(sequence), Hota.of(numbered(swapped(frames)))
    for values in (found.hota, found.det_a, found.ass_a, found.det_re, found.ass_pr, found.loc_a):
        assert values.shape == (19,)
        assert ((values >= 0) & (values <= 1 + 1e-12)).all()
    assert found.hota**2 == pytest.approx(found.det_a * found.ass_a)
    assert np.array_equal(found.tp + found.fn, np.full(19, sequence.objects))
    assert np.array_equal(found.tp + found.fp, np.full(19, sequence.detections))
    assert (np.diff(found.tp) <= 0).all()  # fewer pairs reach a higher alpha
    assert (found.ass_a <= np.minimum(found.ass_re, found.ass_pr) + 1e-12).all()
    # Truth and prediction change places: recall and precision do too.
    if unique_pairs(frames):
        assert found.det_re == pytest.approx(other.det_pr, abs=1e-9)
    same = Hota.combined([found])
    assert same.hota == pytest.approx(found.hota)
    twice = Hota.combined([found, found])
    assert twice.hota == pytest.approx(found.hota)
    assert np.array_equal(twice.tp, 2 * found.tp)


def unique_pairs(frames):
    """Whether no frame leaves a choice that rounding could turn."""
    return all(min(table.shape) <= 1 or not table.any() for _, _, table in frames)


@settings(deadline=None, max_examples=80)
@given(sequences(), st.permutations([1, 2, 3]), st.permutations([1, 2, 3, 4]))
def test_names_of_tracks_do_not_matter(frames, order, other_order):
    renamed = [
        ([10 * order[one - 1] for one in ids], [10 * other_order[one - 1] for one in others], table)
        for ids, others, table in frames
    ]
    first, second = numbered(frames), numbered(renamed)
    assert Hota.of(first).det_a == pytest.approx(Hota.of(second).det_a)
    assert Clear.of(first).motsa == pytest.approx(Clear.of(second).motsa)
    assert Identity.of(first) == Identity.of(second)
    assert Counts.of(first) == Counts.of(second)


@settings(deadline=None, max_examples=80)
@given(sequences())
def test_clear_and_identity_hold(frames):
    sequence = numbered(frames)
    clear, identity = Clear.of(sequence), Identity.of(sequence)
    figures = clear.figures()
    assert clear.tp + clear.fn == identity.tp + identity.fn == sequence.objects
    assert clear.tp + clear.fp == identity.tp + identity.fp == sequence.detections
    assert figures["sMOTA"] <= figures["MOTA"] + 1e-12 <= figures["MODA"] + 2e-12
    assert clear.mostly_tracked + clear.partly_tracked + clear.mostly_lost == sequence.truths or not sequence.objects
    assert 0 <= identity.f1 <= 1
    assert Clear.combined([clear, clear]).tp == 2 * clear.tp


def test_perfect():
    sequence = numbered(perfect())
    assert Hota.of(sequence).hota.tolist() == [1] * 19
    clear = Clear.of(sequence)
    assert (clear.motsa, clear.soft_motsa, clear.motsp, clear.id_switches, clear.fragments) == (1, 1, 1, 0, 0)
    assert (clear.mostly_tracked, clear.frames) == (2, 4)
    assert Identity.of(sequence).f1 == 1
    older = OlderMots.of(sequence, [np.zeros(2, np.bool_)] * 4)
    assert (older.motsa, older.soft_motsa, older.motsp, older.fragments) == (1, 1, 1, 0)


def test_a_switch_in_the_middle():
    one, other = ([1], [1], np.ones((1, 1))), ([1], [2], np.ones((1, 1)))
    sequence = numbered([one, one, other, other])
    hota = Hota.of(sequence)
    assert hota.det_a.tolist() == [1] * 19
    assert hota.ass_a == pytest.approx(0.5)
    assert Clear.of(sequence).id_switches == 1
    assert Clear.of(sequence).motsa == 0.75
    assert Identity.of(sequence).f1 == 0.5


def test_a_gap_is_a_fragment_and_half_is_a_match_for_one_tool_only():
    full, none, half = np.ones((1, 1)), np.zeros((1, 0)), np.full((1, 1), 0.5)
    frames = [([1], [1], full), ([1], [], none), ([1], [1], full), ([1], [1], half)]
    sequence = numbered(frames)
    clear = Clear.of(sequence)
    assert (clear.tp, clear.fragments, clear.partly_tracked) == (3, 0, 1)  # frames without detections do not interrupt
    older = OlderMots.of(sequence, [np.zeros(len(others), np.bool_) for _, others, _ in frames])
    assert (older.tp, older.fp, older.fn) == (2, 1, 2)


def test_similarity_lies_in_memory_as_the_toolkits():
    """So that sums of eight terms and more round alike, and ties fall alike."""
    frame = numbered([([1, 2], [3, 4, 5], np.zeros((2, 3)))]).frames[0]
    assert frame.similarity.flags.f_contiguous


def test_one_side_empty():
    nothing = numbered([([], [], np.zeros((0, 0)))] * 2)
    lost = numbered([([1], [], np.zeros((1, 0)))] * 2)
    false = numbered([([], [1], np.zeros((0, 1)))] * 2)
    assert Hota.of(nothing).hota.tolist() == Hota.of(lost).hota.tolist() == Hota.of(false).hota.tolist() == [0] * 19
    assert Hota.of(lost).fn.tolist() == Hota.of(false).fp.tolist() == [2] * 19
    assert Hota.of(lost).loc_a.tolist() == [1] * 19
    assert (Clear.of(lost).fn, Clear.of(lost).mostly_lost, Clear.of(false).fp) == (2, 1, 2)
    assert Clear.combined([Clear.of(lost), Clear.of(false)]).motsa == -1
    assert (Identity.of(lost).fn, Identity.of(false).fp) == (2, 2)
    older = OlderMots.of(false, [np.zeros(1, np.bool_)] * 2)
    assert older.motsa == older.soft_motsa == -np.inf


def test_joining_classes():
    figures = [Hota.of(numbered(perfect())).figures(), Hota.of(numbered([([], [], np.zeros((0, 0)))])).figures()]
    joined = mean_of_classes(figures)
    assert averaged(joined)["HOTA"] == pytest.approx(0.5)
    assert joined["HOTA_TP"].tolist() == [8] * 19
