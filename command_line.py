"""What both commands do the same way: one line for an error, files that are whole or not there."""

import argparse
import contextlib
import multiprocessing
import os
import sys
import tempfile
from pathlib import Path


class UserError(ValueError):
    """Something that the user can mend; the message says what is wrong and what to do."""


class Parser(argparse.ArgumentParser):
    """An argument parser that raises UserError instead of printing its usage and exiting."""

    def error(self, message):
        raise UserError(f"{message} (see --help)")


def run(command, argv):
    """Call command(argv) and return the exit code: 0, or 1, 2, 130 after one line on stderr."""
    try:
        command(argv)
        sys.stdout.flush()
        return 0
    except UserError as error:
        return _fail(str(error), 2)
    except BrokenPipeError:  # the reader of a pipe, say `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except OSError as error:
        where = f"{error.filename}: " if error.filename else ""
        return _fail(f"{where}{error.strerror or error}", 1)
    except MemoryError:
        return _fail("out of memory; ask for fewer seeds or samples", 1)
    except KeyboardInterrupt:
        return _fail("interrupted; earlier results are as they were", 130)


def _fail(message, code):
    program = Path(sys.argv[0]).name or "python"
    print(f"{program}: error: {' '.join(message.split())}", file=sys.stderr)
    return code


def short(path):
    """`path` as one would type it here: relative to the working folder if it lies inside."""
    path = Path(path)
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def cores():
    """Cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def fork_context():
    """How to start workers: forked, which is instant, or anew where forking is unsafe."""
    return multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")


def progress(done, total, seconds):
    """A bar with the time left on the terminal's last line; all done clears it.

    Where stderr is a file or a pipe: a line per tenth of the work, from 10 s on.
    """
    if not (done and total):
        return
    left = f"{done / total:4.0%}, {seconds * total / done - seconds:.0f} s left"
    if sys.stderr.isatty():
        text = f"[{'#' * (30 * done // total):30}] {left}" if done < total else ""
        print(f"\r{text:60}\r", end="", file=sys.stderr, flush=True)
    elif seconds > 10 and 10 * done // total > 10 * (done - 1) // total:
        print(left.strip(), file=sys.stderr, flush=True)


@contextlib.contextmanager
def whole_files(folder):
    """Yield an empty temporary folder; what was written there moves to `folder` at the end.

    On an error, Ctrl-C or kill on the way, `folder` keeps what it had. Raises OSError at once if
    `folder` can be neither made nor written to.
    """
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=folder) as temporary:
        yield Path(temporary)
        for file in sorted(Path(temporary).iterdir()):
            os.replace(file, folder / file.name)
