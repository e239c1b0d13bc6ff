"""The stream from frames to results, with systems made up for the purpose."""

import numpy as np
import pytest

from rotoscope.errors import OutputError, VideoError
from rotoscope.inference import pipeline
from rotoscope.inference.pipeline import Progress, answered, reported
from rotoscope.inference.sinks import WriteBehind
from rotoscope.types import Declaration, FrameResult, Prompt, Work
from rotoscope.video import open_video


class LateSession:
    """Answers every frame `wait` frames later, or all at the end when `wait` is None; notes its prompts."""

    def __init__(self, wait):
        self.wait = wait
        self.open = []
        self.prompts = {}

    def step(self, frame, prompt=None):
        if prompt is not None:
            self.prompts[frame.index] = prompt
        self.open.append(FrameResult(frame.index, frame.timestamp, frame.size, ()))
        return [] if self.wait is None or len(self.open) <= self.wait else [self.open.pop(0)]

    def finish(self):
        rest, self.open = self.open, []
        return rest

    def __enter__(self):
        return self

    def __exit__(self, *failure):
        return None


def declaration(wait):
    return Declaration("foreground", wait, "masks", "nothing", 1)


def video(count):
    return open_video([np.full((4, 6, 3), index, np.uint8) for index in range(count)])


@pytest.mark.parametrize("wait", [0, 3, None])
def test_frames_meet_their_results(wait):
    pairs = list(answered(LateSession(wait), video(7), declaration(wait)))
    assert [frame.index for frame, _ in pairs] == list(range(7))
    assert all(frame.index == result.index for frame, result in pairs)
    assert [int(frame.image[0, 0, 0]) for frame, _ in pairs] == list(range(7))


@pytest.mark.parametrize("wait", [0, None])
def test_prompts_come_with_their_frames(wait):
    session = LateSession(wait)
    mask = np.ones((4, 6), bool)
    prompts = [Prompt(2, {1: mask}), Prompt(4, {2: mask}), Prompt(2, {3: mask}, remove=(1,))]
    list(answered(session, video(6), declaration(wait), prompts))
    assert sorted(session.prompts) == [2, 4]
    assert sorted(session.prompts[2].masks) == [1, 3]
    assert session.prompts[2].remove == (1,)


@pytest.mark.parametrize("wait", [1, None])
def test_a_prompt_behind_the_end_is_an_error(wait):
    with pytest.raises(VideoError, match=r"frame 9, but .* 3 frames"):
        list(answered(LateSession(wait), video(3), declaration(wait), [Prompt(9)]))


@pytest.mark.parametrize("prepared", [True, False])
def test_work_before_the_first_answer_is_not_counted_in_the_rate_of_the_rest(prepared, monkeypatch):
    clock, seen = [0.0], []
    monkeypatch.setattr(pipeline.time, "monotonic", lambda: clock[0])

    def pairs():
        clock[0] += 1000.0  # the whole video is worked on
        yield from zip(range(4), range(4), strict=True)

    for _ in reported(pairs(), 4, seen.append, prepared):
        clock[0] += 2.0  # each answer is written
    assert [progress.done for progress in seen] == [1, 2, 3, 4]
    if prepared:
        assert [progress.seconds_left for progress in seen] == [6.0, 4.0, 2.0, 0.0]
    else:
        assert seen[0].seconds_left == pytest.approx(3 * 1002.0)


def test_progress_counts_and_estimates():
    seen = []
    list(reported(answered(LateSession(0), video(3), declaration(0)), 3, seen.append))
    assert [progress.done for progress in seen] == [1, 2, 3]
    assert Progress(10, 40, 5.0).rate == 2.0
    assert Progress(10, 40, 5.0).seconds_left == 15.0
    assert Progress(10, None, 5.0).seconds_left is None
    assert Progress(50, 40, 5.0).seconds_left == 0.0
    assert Progress(20, 40, 5.0, found=10).rate == 2.0
    assert Progress(20, 40, 5.0, found=10).seconds_left == 10.0


class Recorder:
    def __init__(self, fail_at=None):
        self.fail_at, self.seen, self.left = fail_at, [], "open"

    def __enter__(self):
        return self

    def __exit__(self, kind, error, trace):
        self.left = None if kind is None else kind.__name__

    def write(self, frame, result):
        if frame.index == self.fail_at:
            raise OutputError("the disk is full")
        self.seen.append(frame.index)


def test_sinks_see_everything_in_order():
    first, second = Recorder(), Recorder()
    with WriteBehind([first, second], depth=2) as behind:
        for frame, result in answered(LateSession(2), video(9), declaration(2)):
            behind.write(frame, result)
    assert first.seen == second.seen == list(range(9))
    assert first.left is second.left is None


def write_all(sinks):
    with WriteBehind(sinks, depth=1) as behind:
        for frame, result in answered(LateSession(0), video(50), declaration(0)):
            behind.write(frame, result)


def test_an_error_in_a_sink_reaches_the_caller_and_every_sink():
    first, second = Recorder(), Recorder(fail_at=3)
    with pytest.raises(OutputError, match="disk is full"):
        write_all([first, second])
    assert first.left == second.left == "OutputError"
    assert second.seen == [0, 1, 2]


def test_an_error_of_the_caller_reaches_every_sink():
    sink = Recorder()
    with pytest.raises(KeyboardInterrupt), WriteBehind([sink]):
        raise KeyboardInterrupt
    assert sink.left == "KeyboardInterrupt"


class LongWorkSession(LateSession):
    """Works on the whole video before it answers."""

    def __init__(self):
        super().__init__(None)
        self.did = 0

    def work(self):
        for piece in range(3):
            self.did += 1
            yield Work(piece + 1, 3, "looking")

    def finish(self):
        assert self.did in (0, 3)
        return super().finish()


def test_work_on_the_whole_video_is_reported():
    session, seen = LongWorkSession(), []
    pairs = list(answered(session, video(4), declaration(None), report=seen.append))
    assert [result.index for _, result in pairs] == [0, 1, 2, 3]
    assert [(item.done, item.total, item.what) for item in seen] == [(n, 3, "looking") for n in (1, 2, 3)]
    quiet = LongWorkSession()
    assert len(list(answered(quiet, video(4), declaration(None)))) == 4
    assert quiet.did == 0


def test_a_session_without_such_work_reports_nothing_before_it_answers():
    seen = []
    assert len(list(answered(LateSession(None), video(4), declaration(None), report=seen.append))) == 4
    assert seen == []
