"""What both commands do the same way: one line for an error, files that are whole or not there."""

import argparse
import contextlib
import multiprocessing
import os
import sys
import tempfile
from pathlib import Path

CORES = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
# Workers are forked, which is instant, but started anew where forking is unsafe.
WORKERS = multiprocessing.get_context("fork" if sys.platform == "linux" else "spawn")


class UserError(ValueError):
    """Something that the user can mend; the message says what is wrong and what to do."""


class Parser(argparse.ArgumentParser):
    """An argument parser that raises UserError instead of printing its usage and exiting."""

    def error(self, message):
        raise UserError(f"{message} (see --help)")


def run(command, argv):
    """Call command(argv); returns the exit code: 0, or 1, 2, 130 after one line on stderr."""
    try:
        command(argv)
        sys.stdout.flush()
        return 0
    except BrokenPipeError:  # the reader of a pipe, say `head`, has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    except UserError as error:
        code, message = 2, str(error)
    except (OSError, MemoryError) as error:
        code, message = 1, str(error) or "out of memory: ask for fewer seeds or samples"
    except EOFError:
        code, message = 1, "a worker process died; out of memory? Try fewer --workers"
    except KeyboardInterrupt:
        code, message = 130, "interrupted; earlier results are as they were"
    print(f"{Path(sys.argv[0]).name}: error: {' '.join(message.split())}", file=sys.stderr)
    return code


def progress(done, total, seconds):
    """A bar with the time left, cleared at the end; in a pipe, a line per tenth from 10 s on."""
    left = f"{done / total:4.0%}, {seconds * total / done - seconds:.0f} s left"
    if sys.stderr.isatty():
        text = f"[{'#' * (30 * done // total):30}] {left}" if done < total else ""
        print(f"\r{text:60}\r", end="", file=sys.stderr, flush=True)
    elif seconds > 10 and 10 * done // total > 10 * (done - 1) // total:
        print(left.strip(), file=sys.stderr, flush=True)


@contextlib.contextmanager
def whole_files(folder):
    """Yield an empty temporary folder; what was written there moves to `folder` at the end.

    On an error, Ctrl-C or kill on the way, `folder` keeps what it had. Raises OSError."""
    folder = Path(folder)
    folder.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix=".unfinished-", dir=folder) as temporary:
        yield Path(temporary)
        for file in sorted(Path(temporary).iterdir()):
            os.replace(file, folder / file.name)
