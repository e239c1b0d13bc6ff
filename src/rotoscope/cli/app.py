"""The command line: one file a command, chosen here; every foreseeable fault is one line and exit code 2."""

from __future__ import annotations

import os
import signal
import sys
import warnings
from collections.abc import Callable, Sequence
from importlib import import_module
from io import TextIOWrapper
from itertools import pairwise
from typing import NoReturn, TextIO

from rotoscope import __version__
from rotoscope.cli.arguments import read
from rotoscope.cli.libraries import not_loaded
from rotoscope.cli.progress import always_writable, complain, silence
from rotoscope.errors import RotoscopeError
from rotoscope.interrupts import STOPPED, raised

USAGE = """usage: rotoscope COMMAND ...

Find, follow and cut out objects in ordinary video.

commands:
  segment       cut the objects out of videos: masks, overlay video, contact sheet
  models        list the models: task, parameters, where the weights are
  info          tell what a video is: size, rate, length, codec, rotation
  propose       detect objects in every frame, for models that match proposals
  evaluate      score results by a benchmark's own protocol
  train         train a network as a recipe says; stop and resume it
  pseudo-label  keep a teacher's maps of pictures, to train on
  make-clips    compose clips with known instances from annotated pictures
  check-data    tell everything that is wrong with pictures and masks to train on
  export        write the archive that a benchmark's server takes
  look          see what a model does inside: its paper's analyses, as pictures and numbers
  bench         time a model on this machine, stage by stage
  convert       read an authors' checkpoint into our format
  demo          render a clip with known truth, segment it, score it

`rotoscope COMMAND --help` tells each command's options; `rotoscope --version` the version."""


# What each command works with. It is imported before the work, while a signal still ends the process at once.
_ROOMS = {
    "segment": "inference.jobs",
    "models": "inference.loading",
    "info": "video",
    "propose": "inference.proposing",
    "pseudo-label": "training.teacher",
    "evaluate": "evaluation.benchmarks",
    "train": "training.runs",
    "make-clips": "data.made_clips",
    "check-data": "data.checking",
    "export": "evaluation.submission",
    "look": "inference.looking",
    "bench": "inference.bench",
    "convert": "inference.loading",
    "demo": "inference.jobs",
}


def _command(name: str) -> Callable[..., None]:
    # The commands' files import torch, decoders and rich inside their functions, so this is quick.
    own = name.replace("-", "_")
    command: Callable[..., None] = getattr(import_module(f"rotoscope.cli.{own}"), own)
    return command


def _wait_briefly() -> None:
    """Let idle threads of GNU OpenMP, which torch brings, sleep soon; it reads this when torch is imported.

    They spin for milliseconds otherwise. Beside another busy program two threads then wait for each other most of the
    time, ten times slower than one and worse; on a machine of its own nothing changes.
    """
    if not {"OMP_WAIT_POLICY", "GOMP_SPINCOUNT"} & set(os.environ):
        os.environ["GOMP_SPINCOUNT"] = "1000"


def main(arguments: Sequence[str] | None = None) -> NoReturn:
    """Run the command line; leaves by `SystemExit`.

    The exit code is 0, 2 (a fault of input), 1 (a fault of ours), 130 (Ctrl-C) or 143 (terminated).
    """
    _wait_briefly()
    given = list(sys.argv[1:] if arguments is None else arguments)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            stream.reconfigure(errors="backslashreplace")  # file names may hold what the terminal cannot show
    with always_writable(), warnings.catch_warnings():
        warnings.showwarning = _show_warning
        warnings.simplefilter("always", UserWarning)
        sys.exit(_guarded(given))


def _guarded(given: list[str]) -> int:
    try:
        code = _running(given)
        if sys.stdout is not None:
            sys.stdout.flush()  # now, while a fault can still be told
    except RotoscopeError as error:
        return _say(str(error))
    except KeyboardInterrupt as interrupt:
        _say(STOPPED + (" (--resume goes on)" if given and given[0] in ("segment", "train") else ""))
        return 128 + int(interrupt.args[0] if interrupt.args else signal.SIGINT)
    except BrokenPipeError:
        silence(sys.stdout)
        return 0
    except MemoryError:
        return _say(
            "out of memory; use "
            + ("fewer --workers" if given[0] in ("evaluate", "check-data") else "a smaller --size")
        )
    except OSError as error:
        return _say(f"{error.filename or 'input or output'}: {error.strerror or error}")
    except SystemExit as leaving:  # a command's help was asked for; rich leaves so when nobody reads
        return 0 if isinstance(leaving.__context__, BrokenPipeError) else _code_of(leaving)
    except Exception as error:
        if os.environ.get("ROTOSCOPE_TRACEBACK"):
            raise
        if type(error).__name__ == "OutOfMemoryError":
            return _say("out of device memory; use a smaller --size or --device cpu")
        _say(f"internal error, {type(error).__name__}: {error} (ROTOSCOPE_TRACEBACK=1 shows where; please report it)")
        return 1
    return code


def _running(given: list[str]) -> int:
    """Run, and tell a library that cannot be loaded from what else may go wrong."""
    try:
        return _run(given)
    except (ImportError, OSError, MemoryError) as error:
        unloaded = not_loaded(error)
        if unloaded is None or os.environ.get("ROTOSCOPE_TRACEBACK"):
            raise
        raise RotoscopeError(unloaded) from error


def _run(given: list[str]) -> int:
    if not given:
        print(USAGE, file=sys.stderr)
        return 2
    if given[0] in ("-h", "--help", "help"):
        print(USAGE)
        return 0
    if given[0] == "--version":
        print(f"rotoscope {__version__}")
        return 0
    if given[0] not in _ROOMS:
        return _say(f"there is no command {given[0]!r}; `rotoscope --help` lists them")
    for before, argument in pairwise(given):
        if not argument and before not in ("--source", "--licence"):
            return _say(f"an empty argument stands after {before}; leave it out or name something")
        if argument.startswith("--") and argument.endswith("="):
            return _say(f"{argument} names nothing; leave it out or name something")
    command = read(_command(given[0]), given[0], given[1:])
    import_module(f"rotoscope.{_ROOMS[given[0]]}")
    with raised():
        command()
    return 0


def _code_of(leaving: SystemExit) -> int:
    return leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)


def _say(message: str) -> int:
    complain(message)
    return 2


def _show_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    if issubclass(category, UserWarning):
        complain(f"warning: {message}")


if __name__ == "__main__":
    main()
