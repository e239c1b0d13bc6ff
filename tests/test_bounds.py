"""Numbers that a user gives have bounds, and whatever is wrong with one is told in few words."""

import concurrent.futures
import threading

import pytest

from rotoscope.bounds import number, told, whole, whole_in
from rotoscope.cli.libraries import not_loaded
from rotoscope.errors import OptionError
from rotoscope.models import SYSTEM_NAMES, system
from rotoscope.ops.threads import single_core_pool


@pytest.mark.parametrize(
    ("value", "words"),
    [
        (3, "3"),
        ("word", "'word'"),
        (10**400, "of 400 digits"),
        ([1, 2], "[1, 2]"),
        (["a" * 99], "a list of 1"),
        ([[[]]], "a list of 1"),
        ({"a": [1]}, "a dict of 1"),
        (list(range(9)), "a list of 9"),
        ("a" * 99, "'" + "a" * 56 + "..."),
    ],
)
def test_values_in_few_words(value, words):
    assert told(value) == words


def test_values_that_python_cannot_put_into_words():
    assert told(-(16**5000)) == "of 6021 digits"  # Python itself puts no such number into words
    itself: list[object] = []
    itself.append(itself)
    assert told(itself) == "a list of 1"


@pytest.mark.parametrize("value", [True, None, 1.5, "1", float("nan"), [], 0, 11, 10**400, -(10**400)])
def test_whole_numbers_out_of_bounds(value):
    with pytest.raises(OptionError, match=r"^clip "):
        whole("clip", value, 1, 10)


@pytest.mark.parametrize("value", [True, None, "1", float("nan"), float("inf"), -float("inf"), 1.1, -0.1, 10**400])
def test_numbers_out_of_bounds(value):
    with pytest.raises(OptionError, match=r"^rate "):
        number("rate", value, 0.0, 1.0)


def test_numbers_within_bounds():
    assert [whole("n", value, 1, 10) for value in (1, 10)] == [1, 10]
    assert [number("n", value, 0.0, 1.0) for value in (0, 0.5, 1)] == [0, 0.5, 1]
    assert [whole_in(text) for text in ("12", "", "-1", "1.0", "9" * 9, "9" * 10)] == [
        12,
        None,
        None,
        None,
        999_999_999,
        None,
    ]


@pytest.mark.parametrize("name", SYSTEM_NAMES)
def test_no_option_of_any_system_takes_what_cannot_be_meant(name):
    kind = system(name).options
    kind()
    for field in kind.__dataclass_fields__:
        for value in ([], {}, 10**400, -(10**400), float("nan"), float("inf"), b"x", object()):
            with pytest.raises(OptionError) as caught:
                kind(**{field: value})
            assert "\n" not in str(caught.value)
            assert len(str(caught.value)) < 400


def test_threads_that_cannot_be_started_are_told_and_leave_nobody_waiting(monkeypatch):
    submit, before = concurrent.futures.ThreadPoolExecutor.submit, threading.active_count()
    calls = []

    def refuse(self, *arguments):
        calls.append(arguments)
        if len(calls) > 2:
            raise RuntimeError("can't start new thread")
        return submit(self, *arguments)

    monkeypatch.setattr(concurrent.futures.ThreadPoolExecutor, "submit", refuse)
    with pytest.raises(OptionError, match="starts no 77 threads"):
        single_core_pool(77)
    assert threading.active_count() == before


def test_libraries_are_told_from_other_faults(tmp_path, monkeypatch):
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "heavy.py").write_text("raise ImportError('libheavy.so: cannot map\\nadvice')")
    (tmp_path / "light.py").write_text(
        "try:\n import heavy\nexcept ImportError as e:\n raise ImportError('pages') from e"
    )
    (tmp_path / "full.py").write_text("raise MemoryError")
    said = {}
    for name in ("heavy", "light", "full", "absent"):
        with pytest.raises((ImportError, MemoryError)) as caught:
            __import__(name)
        trace = caught.value.__traceback__
        caught.value.__traceback__ = trace.tb_next if trace else None  # without the test's own frame
        said[name] = not_loaded(caught.value) or ""
    assert said["heavy"].startswith("heavy could not be loaded: libheavy.so: cannot map; ")
    assert said["light"].startswith("light could not be loaded: libheavy.so: cannot map; ")
    assert said["full"].startswith("full could not be loaded: out of memory; ")
    assert said["absent"].startswith("absent could not be loaded: No module named 'absent'; ")
    assert not_loaded(OSError(2, "no such file", "a.mp4")) is None
    assert not_loaded(MemoryError()) is None
