"""Propose-Reduce on videos: short, empty and crowded ones, of any size; stopped and gone on; within its budgets."""

from dataclasses import replace

import numpy as np
import pytest
import torch
from PIL import Image

from rotoscope.errors import OptionError
from rotoscope.inference.checkpoint import Card
from rotoscope.inference.jobs import Outputs, finished, plan, run
from rotoscope.inference.model import Model
from rotoscope.masks.run_length import decode, encode
from rotoscope.models import system
from rotoscope.models.memory.entries import ObjectMemory
from rotoscope.models.propose_reduce import session as module
from rotoscope.models.propose_reduce.options import WholeVideoOptions, rules_of
from rotoscope.models.propose_reduce.packed import PackedMasks
from rotoscope.models.propose_reduce.propagate import remembered_bytes
from rotoscope.models.propose_reduce.result import given_tracks
from rotoscope.models.propose_reduce.sequences import MaskSequence
from rotoscope.models.propose_reduce.shelf import Shelf
from rotoscope.ops.resize import fitted
from rotoscope.types import Frame, Prompt, VideoInfo, WholeVideo
from tests.models.propose_reduce.small import CPU, images, opened, small, told


@pytest.fixture(scope="module")
def network():
    return small()


def test_every_frame_is_answered_at_the_end(network):
    session = opened(network, images(7))
    assert isinstance(session, WholeVideo)
    found = session.finish()
    assert [result.index for result in found] == list(range(7))
    assert [result.name for result in found] == [f"{index:05d}" for index in range(7)]
    tracks = {item.track_id for result in found for item in result.objects}
    assert tracks
    assert min(tracks) == 1
    for result in found:
        ids = [item.track_id for item in result.objects]
        assert ids == sorted(set(ids))
        assert all(item.label and 0 < item.score <= 1 and item.mask.size == (48, 80) for item in result.objects)
    by_id = {item.track_id: item.score for result in found for item in result.objects}
    assert [by_id[track] for track in sorted(by_id)] == sorted(by_id.values(), reverse=True)
    assert session.finish() == []


def test_a_video_of_one_frame(network):
    session = opened(network, images(1))
    assert [(work.done, work.total) for work in session.work()][-1] == (1, 1)
    assert len(session.finish()) == 1
    assert {one.key_frame for one in session.sequences} == {0}


def test_more_key_frames_than_frames(network):
    session = opened(network, images(3), key_frames=8)
    assert len(session.finish()) == 3
    assert {one.key_frame for one in session.sequences} == {0, 1, 2}


def test_a_video_without_detections():
    network = small(sure=0.0)
    session = opened(network, images(4))
    assert [work.done for work in session.work()] == [4, 8, 12, 16]  # the third and fourth key frames are one
    found = session.finish()
    assert [result.objects for result in found] == [()] * 4
    assert session.sequences == []


def test_no_frame_at_all(network):
    chosen = WholeVideoOptions()
    with module.WholeVideoSession(network, VideoInfo("clip", 80, 48), chosen, CPU) as session:
        assert session.finish() == []


def test_a_run_that_was_stopped_goes_on(network, tmp_path, monkeypatch):
    pictures = images(6)
    whole = told(opened(network, pictures, key_frames=3).finish())
    stopped = opened(network, pictures, key_frames=3, work_folder=str(tmp_path / "work"))
    for work in stopped.work():
        if work.what == "key frame 3 of 3":
            break
    assert len(list((tmp_path / "work").iterdir())) == 2
    followed, found_in = [], module.found_in
    monkeypatch.setattr(module, "found_in", lambda *given: followed.append(1) or found_in(*given))
    again = opened(network, pictures, key_frames=3, work_folder=str(tmp_path / "work"))
    works = list(again.work())
    assert again.reused == 2
    assert followed == [1]
    assert [work.done for work in works] == [6, 12, 13, 14, 15, 16, 17, 18]
    assert told(again.finish()) == whole


def test_a_video_that_was_stopped_goes_on_in_the_folder_of_its_results(network, tmp_path):
    (tmp_path / "clip").mkdir()
    for index, image in enumerate(images(6)):
        Image.fromarray(image).save(tmp_path / "clip" / f"{index:05d}.png")
    options = WholeVideoOptions(size="unchanged", key_frames=3)
    card = Card("small", "propose-reduce", "r50")
    model = Model(card, system("propose-reduce"), network, options, CPU, torch.float32)
    outputs = Outputs(tmp_path / "out", ("ytvis",), pictures=False)
    (job,) = plan([tmp_path / "clip"], outputs)
    expected = run(job, model, replace(outputs, folder=tmp_path / "whole")).places[0].read_bytes()

    def stop(progress):
        if progress.what == "key frame 3 of 3":
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run(job, model, outputs, stop)
    assert sorted(path.suffix for path in (tmp_path / "out" / ".clip.work").iterdir()) == [".npz", ".npz"]
    assert not finished(job, model, outputs)
    (tmp_path / "out" / ".clip.work" / "mine.txt").write_text("not of the system")
    seen = []
    done = run(job, model, outputs, seen.append)
    working = [progress for progress in seen if progress.what]
    assert [progress.done for progress in working] == [6, 12, 13, 14, 15, 16, 17, 18]
    assert [progress.found for progress in working] == [6] + [12] * 7
    assert done.places[0].read_bytes() == expected
    assert finished(job, model, outputs)
    assert [path.name for path in (tmp_path / "out" / ".clip.work").iterdir()] == ["mine.txt"]
    assert sorted(path.name for path in (tmp_path / "whole").iterdir()) == ["clip.done.json", "clip.json"]


def test_work_that_failed_is_done_again_from_the_start(network, tmp_path, monkeypatch):
    pictures = images(6)
    whole = told(opened(network, pictures, key_frames=3).finish())
    session = opened(network, pictures, key_frames=3)
    maps_of, asked = session.maps_of, []

    def failing(number):
        asked.append(number)
        if len(asked) == 9:
            raise KeyboardInterrupt
        return maps_of(number)

    monkeypatch.setattr(session, "maps_of", failing)
    with pytest.raises(KeyboardInterrupt):
        session.finish()
    assert told(session.finish()) == whole


def test_a_work_folder_that_is_none_is_refused_before_any_frame(network, tmp_path):
    (tmp_path / "file").write_text("here")
    info = VideoInfo("clip", 80, 48)
    for folder in (tmp_path / "file", tmp_path / "file" / "below"):
        options = WholeVideoOptions(work_folder=str(folder))
        with pytest.raises(OptionError, match=r"work_folder .* cannot be written to: .*; name another folder"):
            module.WholeVideoSession(network, info, options, CPU)
    options = WholeVideoOptions(work_folder=str(tmp_path / "new"))
    with module.WholeVideoSession(network, info, options, CPU) as session:
        assert list((tmp_path / "new").iterdir()) == []
        assert session.finish() == []


def test_finished_work_is_only_used_for_the_same(network, tmp_path):
    folder, pictures = str(tmp_path), images(4)
    opened(network, pictures, key_frames=2, work_folder=folder).finish()
    other = small(seed=1)
    for session, expected in (
        (opened(network, pictures, key_frames=2, work_folder=folder), 2),
        (opened(network, pictures, key_frames=2, work_folder=folder, reduce="none"), 2),
        (opened(network, images(4, seed=1), key_frames=2, work_folder=folder), 0),
        (opened(network, pictures, key_frames=2, work_folder=folder, score=0.3), 0),
        (opened(other, pictures, key_frames=2, work_folder=folder), 0),
    ):
        session.finish()
        assert session.reused == expected


def test_damaged_work_is_done_again(network, tmp_path):
    pictures = images(4)
    opened(network, pictures, key_frames=2, work_folder=str(tmp_path)).finish()
    first, second = sorted(tmp_path.iterdir())
    first.write_bytes(first.read_bytes()[:100])
    second.write_bytes(b"")
    again = opened(network, pictures, key_frames=2, work_folder=str(tmp_path))
    assert told(again.finish()) == told(opened(network, pictures, key_frames=2).finish())
    assert again.reused == 0


@pytest.mark.parametrize(("memory", "disk"), [(0, 0), (0, 100), (1, 0), (1, 100), (100, 0)])
def test_budgets_change_nothing_but_the_time(network, memory, disk, monkeypatch):
    monkeypatch.setattr(module, "MIB", 1 << 17)
    pictures = images(5)
    encoded = []
    handle = network.detector.body.register_forward_hook(lambda *_: encoded.append(1))
    found = opened(network, pictures, key_frames=3, memory_budget=memory, disk_budget=disk).finish()
    handle.remove()
    assert told(found) == told(opened(network, pictures, key_frames=3).finish())
    # Without room every key frame has the video encoded again; in its middle one it is needed before either way.
    assert (len(encoded) == 5) == (max(memory, disk) == 100)
    assert len(encoded) <= 5 + 6 + 5


def test_features_give_way_to_what_else_is_within_the_budget(network, monkeypatch):
    monkeypatch.setattr(module, "MIB", 1)
    pictures = images(5)
    roomy = opened(network, pictures, key_frames=3, memory_budget=1 << 29)
    assert list(roomy.work())[-1].done == 15
    features, frames = roomy._features.held, roomy._pictures.held
    whole = told(roomy.finish())
    budget = frames + features + roomy._remembered
    tight = opened(network, pictures, key_frames=3, memory_budget=budget)
    held = []
    for _ in tight.work():
        found = sum(one.masks.nbytes for one in tight.sequences)
        held.append(tight._features.held)
        assert tight._pictures.held + tight._features.held + tight._remembered + found <= budget
    assert found > 0
    assert held[-1] < max(held) == features  # the first key frame has room for all of them
    assert told(tight.finish()) == whole


def test_what_is_remembered_is_known_beforehand(network):
    maps = opened(network, images(1)).maps_of(0)
    memory = ObjectMemory(6, every=1)
    for frames in range(1, 9):
        keys, values = network.propagation.memorise(maps.levels[0], torch.ones(1, *maps.size))
        memory.put(keys[0], values[0])
        taken = remembered_bytes(network, maps, 3, 0, frames, every=1, limit=6)
        assert taken == 3 * memory.frames * (keys.nbytes + values.nbytes)
    assert remembered_bytes(network, maps, 3, 4, 9, 1, 64) == remembered_bytes(network, maps, 3, 0, 5, 1, 64)


def test_pictures_beyond_the_memory_lie_in_a_file(network, monkeypatch):
    pictures = images(5)
    whole = told(opened(network, pictures).finish())
    monkeypatch.setattr(module, "_PICTURES", 1 << 40)
    assert told(opened(network, pictures).finish()) == whole


def test_a_shelf_gives_back_what_it_was_given():
    shelf = Shelf(100, 1000)
    maps = torch.rand(1, 4, 3, 5).to(memory_format=torch.channels_last)
    many = [torch.rand(3, 2), maps, torch.arange(3)]
    assert shelf.put(0, [torch.ones(20)])
    assert shelf.put(1, many)
    assert not shelf.put(2, [torch.ones(250)])
    assert shelf.get(2) is None
    assert 1 in shelf
    assert 2 not in shelf
    for given, found in zip(many, shelf.get(1), strict=True):
        assert torch.equal(given, found)
        assert given.stride() == found.stride()
        assert given.dtype == found.dtype
    assert torch.equal(shelf.get(0)[0], torch.ones(20))
    shelf.resize(50)  # the ones move to the file
    assert (shelf.held, shelf.get(0)[0].tolist()) == (0, [1.0] * 20)
    shelf.close()
    assert shelf.get(1) is None


def test_davis_gives_a_pixel_to_one_object():
    network = small(1, sure=100.0)
    found = opened(network, images(5), reduce="none", least_score=0.01).finish()
    covered = 0
    for result in found:
        total = sum(decode(item.mask).astype(int) for item in result.objects)
        covered += len(result.objects)
        assert np.max(total, initial=0) <= 1
        assert all(item.label is None for item in result.objects)
        assert max((item.track_id for item in result.objects), default=0) <= 20
    assert covered


def test_the_least_score_counts_for_hard_reduction_too():
    sequences = []
    for place, score in enumerate((0.9, 0.03, 0.02)):
        mask = np.zeros((8, 8), bool)
        mask[2 * place : 2 * place + 2] = True
        sequences.append(MaskSequence(0, np.array([1 - score, score], np.float32), PackedMasks({0: encode(mask)})))
    for least, count in ((0.0, 1), (0.025, 2), (0.01, 3)):
        options = WholeVideoOptions(reduce="hard", least_score=least, protocol="youtube-vis")
        assert len(given_tracks(sequences, 1, rules_of(options, 1, (8, 8)), options)) == count


def test_every_label_of_a_sequence_can_be_given(network):
    best = opened(network, images(4), key_frames=1).finish()
    every = opened(network, images(4), key_frames=1, labels="every", least_score=0.001).finish()
    one, many = (max(len(result.objects) for result in found) for found in (best, every))
    assert many > one


def test_rules_of_the_two_protocols():
    youtube = rules_of(WholeVideoOptions(), 40, (720, 1280))
    assert (youtube.size, youtube.key_frames, youtube.reduce, youtube.most) == ((360, 640), 5, "hard", 100)
    davis = rules_of(WholeVideoOptions(), 1, (480, 854))
    assert (davis.size, davis.key_frames, davis.reduce, davis.most) == ((480, 854), 8, "soft", 20)
    assert youtube.overlapping
    assert not davis.overlapping
    released = WholeVideoOptions(memory_every=0)
    assert youtube.memory_every(released, 80) == 1
    assert davis.memory_every(released, 80) == 8
    assert davis.memory_every(WholeVideoOptions(), 80) == 5


def test_frames_fit_whichever_way_they_lie():
    assert fitted((1280, 720), 360, 640) == (640, 360)
    assert fitted((40, 61), 64, 96) == (63, 96)
    assert fitted((1, 4000), 360, 640) == (1, 640)


def test_what_a_session_refuses(network):
    session = opened(network, images(2))
    with pytest.raises(OptionError, match="no prompts"):
        session.step(Frame(2, 0.1, images(1)[0]), Prompt(2, {1: np.ones((48, 80), bool)}))
    next(session.work())
    with pytest.raises(OptionError, match="at work"):
        session.step(Frame(2, 0.1, images(1)[0]))
    with pytest.raises(OptionError, match="40 categories, the network has 3"):
        opened(small(3), images(1), categories="ytvis2019")


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"key_frames": -1}, "key_frames -1: expected 0 or more"),
        ({"memory_limit": 1}, "memory_limit 1: expected 2 or more"),
        ({"memory_budget": 1.5}, "memory_budget 1.5 is not a whole number"),
        ({"score": 2.0}, "score 2.0: expected 0 to 1"),
        ({"reduce": "best"}, "reduce 'best' is not known; choose auto, hard"),
        ({"size": "huge"}, "size 'huge' is not understood"),
    ],
)
def test_options_that_cannot_be_meant(changes, words):
    with pytest.raises(OptionError, match=words):
        WholeVideoOptions(**changes)


def test_progress_tells_of_the_work_and_then_of_the_frames(network):
    seen = []
    chosen = system("propose-reduce")
    options = WholeVideoOptions(size="unchanged", key_frames=2)
    model = Model(Card("small", "propose-reduce", "r50"), chosen, network, options, CPU, torch.float32)
    found = model.segment(images(3), progress=seen.append)
    assert len(found) == 3
    working = [item for item in seen if item.what]
    assert [(item.done, item.total) for item in working] == [(done, 6) for done in range(1, 7)]
    assert {item.what for item in working} == {"key frame 1 of 2", "key frame 2 of 2"}
    assert [item.done for item in seen if not item.what] == [1, 2, 3]
