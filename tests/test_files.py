"""Files whole or not at all, whatever ends the process that writes them."""

import errno
import os
import subprocess
import sys

import pytest

from rotoscope import files
from rotoscope.errors import OutputError
from tests import children

DEAD = 2**22 + 1  # above the largest process number

# A process that ends while a thread holds a file that is not finished.
UNFINISHED = """
import sys, threading
from pathlib import Path
from rotoscope.files import writing

def work():
    with writing(Path(sys.argv[1])) as temporary:
        temporary.write_bytes(b"half")
        begun.set()
        threading.Event().wait()

begun = threading.Event()
threading.Thread(target=work, daemon=True).start()
begun.wait()
"""


def test_what_killed_processes_left_of_a_file_is_removed_with_its_next_writing(tmp_path):
    old = [tmp_path / f".last.{DEAD}.part.pt", tmp_path / f".last.{DEAD}-{files._machine()}.part.pt"]
    others = [
        tmp_path / f".last.{DEAD}.part.safetensors",  # another file's
        tmp_path / f".last.{os.getppid()}.part.pt",  # of a process that runs
        tmp_path / f".last.{DEAD}-01234567.part.pt",  # of another machine, where it may run
    ]
    for path in (*old, *others):
        path.write_bytes(b"x")
    files.write_whole(tmp_path / "last.pt", b"whole")
    assert set(tmp_path.iterdir()) == {tmp_path / "last.pt", *others}


def test_a_temporary_name_tells_process_and_machine(tmp_path):
    with files.writing(tmp_path / "a.b.png") as temporary:
        temporary.write_bytes(b"x")
    match = files._LEFT_OVER.fullmatch(temporary.name)
    assert match is not None
    assert match.groupdict() == {
        "stem": "a.b",
        "process": str(os.getpid()),
        "machine": files._machine(),
        "suffix": ".png",
    }
    with files.writing(tmp_path / ("n" * 251 + ".png")) as temporary:
        temporary.write_bytes(b"x")


def test_a_process_that_ends_leaves_nothing_half_written(tmp_path):
    subprocess.run([sys.executable, "-c", UNFINISHED, str(tmp_path / "a.png")], check=True, timeout=children.LIMIT)
    assert list(tmp_path.iterdir()) == []


def test_a_line_is_appended_whole_or_not_at_all(tmp_path):
    path = tmp_path / "log"
    files.append_whole(path, b"one\n")
    with children.largest_file(6), pytest.raises(OutputError, match=r"log: the file would be larger"):
        files.append_whole(path, b"two, longer\n")
    files.append_whole(path, b"three\n")
    assert path.read_bytes() == b"one\nthree\n"


def test_a_fault_of_the_disk_is_put_into_words(tmp_path):
    with pytest.raises(OutputError, match="disk is full"), files.explaining(tmp_path / "a"):
        raise OSError(errno.ENOSPC, "No space left on device")
