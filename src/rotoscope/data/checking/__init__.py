"""What is wrong with a folder of training data: every problem, each with the file that has it.

`listing` finds the files of every layout and what is missing among them, `reading` reads every file, `judging` compares
what was read, `instances` goes through COCO's files, `check` runs them all.
"""

from rotoscope.data.checking.check import KINDS, Kind, check
from rotoscope.data.checking.problems import Counts, Findings, Problem

__all__ = ["KINDS", "Counts", "Findings", "Kind", "Problem", "check"]
