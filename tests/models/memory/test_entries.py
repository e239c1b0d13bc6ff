"""Which frames an object's memory holds after each one that is put in."""

import pytest
import torch

from rotoscope.models.memory.entries import ObjectMemory


def held(memory):
    """Numbers of the frames in memory, ascending; every frame has two rows of its number."""
    keys, values = memory.read()
    assert keys.shape == (2 * len(memory), 3)
    assert values.shape == (2 * len(memory), 4)
    assert (keys == keys[:, :1]).all()
    assert torch.equal(keys[:, 0], values[:, 0])
    return sorted(keys[::2, 0].int().tolist())


def put(memory, number, stay=False):
    memory.put(torch.full((2, 3), float(number)), torch.full((2, 4), float(number)), stay)


def wanted(number, limit, every, given=()):
    """The rule in plain words: the first, the most recent that stay, and the latest."""
    staying: list[int] = []
    for frame in range(number + 1):
        stays = frame % every == 0 or frame in given
        latest = 0 if stays else 1
        if len(staying) + 1 > limit:
            del staying[1]
        if stays:
            staying.append(frame)
    return sorted({*staying, number}) if latest else sorted(staying)


@pytest.mark.parametrize("limit", [2, 3, 5, 8])
@pytest.mark.parametrize("every", [1, 2, 5])
@pytest.mark.parametrize("given", [(), (3, 4), (7,)])
def test_the_first_the_most_recent_and_the_latest_are_held(limit, every, given):
    memory = ObjectMemory(limit, every)
    for number in range(40):
        put(memory, number, number in given)
        assert held(memory) == wanted(number, limit, every, given), number
        assert len(memory) <= memory.frames <= limit
        assert 0 in held(memory)
        assert number in held(memory)


def test_the_published_schedule():
    memory = ObjectMemory(100, 5)
    for number in range(13):
        put(memory, number)
    assert held(memory) == [0, 5, 10, 12]


@pytest.mark.parametrize(
    ("remember", "wanted"),
    [("every", [0, 3, 5, 6, 7]), ("both", [0, 5, 7]), ("first", [0, 5]), ("previous", [7])],
)
def test_the_schedules_of_the_ablation(remember, wanted):
    memory = ObjectMemory(24, 3, remember=remember)
    for number in range(8):
        if memory.wants(number == 5):
            put(memory, number, number == 5)
        else:
            memory.pass_over()
    assert held(memory) == wanted
    assert sorted(memory.numbers) == wanted
    if remember == "previous":
        assert memory.frames == 1


def test_nothing_is_copied_once_there_is_room():
    memory = ObjectMemory(4, 1)
    for number in range(4):
        put(memory, number)
    place = memory.read()[0].data_ptr()
    for number in range(4, 20):
        put(memory, number)
        assert memory.read()[0].data_ptr() == place
