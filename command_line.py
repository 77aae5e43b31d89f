"""What both commands do the same way: errors in one line, files written completely or not at all.

run(command, argv)                 the exit code; one line on stderr for whatever goes wrong
progress(done, total, seconds)     a bar on stderr, cleared by clear_progress()
reading(path, kind, advice)        with: whatever a damaged file raises becomes one line
whole_files(folder)                with: files appear in `folder` together, at the end"""

import argparse
import contextlib
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
    except KeyboardInterrupt:
        code, message = 130, "interrupted; earlier results were not touched"
    print(f"{Path(sys.argv[0]).name}: error: {' '.join(message.split())}", file=sys.stderr)
    return code


def progress(done, total, seconds):
    """A bar with the time left; where stderr is not a terminal, a line per tenth from 10 s on."""
    left = f"{done / total:.0%}, {seconds * total / done - seconds:.0f} s left"
    if done == total:
        clear_progress()
    elif sys.stderr.isatty():
        bar = "#" * (30 * done // total)
        print(f"\r{f'[{bar:30}] {left}':60}\r", end="", file=sys.stderr, flush=True)
    elif seconds > 10 and 10 * done // total > 10 * (done - 1) // total:  # a new tenth
        print(left, file=sys.stderr, flush=True)


def clear_progress():
    """Take the bar off the terminal, so that a line can be printed in its place."""
    if sys.stderr.isatty():
        print(f"\r{'':60}\r", end="", file=sys.stderr, flush=True)


@contextlib.contextmanager
def reading(path, kind, advice):
    """Turn whatever goes wrong inside into one UserError: "<path>: not a <kind> (why); <advice>".

    For a damaged file can raise nearly anything."""
    try:
        yield
    except Exception as error:
        reason = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
        first_line = reason.partition("\n")[0]
        raise UserError(f"{path}: not a {kind} ({first_line}); {advice}") from None


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
