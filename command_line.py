"""What all commands do the same way: errors in one line, files written completely or not at all.

run(command, argv)                 the exit code; one line on stderr for whatever goes wrong
progress(done, total, seconds)     a bar on stderr, cleared by clear_progress()
as_user_error(path, kind, advice)        with: whatever a damaged file raises becomes one line
atomic_output(folder)                with: files appear in `folder` together, at the end
leave_signals_to_the_parent()      what a worker process does first
memory_gb()                        how much memory this machine has"""

import argparse
import contextlib
import math
import os
import platform
import shutil
import signal
import sys
import tempfile
import threading
from pathlib import Path

# Besides Ctrl-C: kill, a closed terminal, and on Windows Ctrl-Break.
STOPS = [number for number in signal.Signals if number.name in ("SIGTERM", "SIGHUP", "SIGBREAK")]
UNFINISHED = f".unfinished-{platform.node()}"  # the folders of runs on this machine


class UserError(ValueError):
    """Something that the user can mend; the message says what is wrong and what to do."""


class Parser(argparse.ArgumentParser):
    """An argument parser that raises UserError instead of printing its usage and exiting."""

    def error(self, message):
        raise UserError(f"{message} (see --help)")


# --- Errors -----------------------------------------------------------------------------------


def run(command, argv):
    """Call command(argv); the exit code is 0, or after one line on stderr 1, 2 or 128 + signal."""
    forgive_streams()
    try:
        with stopped_by_signals():
            command(argv)
            sys.stdout.flush()
        return 0
    except BrokenPipeError:  # the reader of a pipe, say `head`, has seen enough
        silence(sys.stdout)
        return 0
    except UserError as error:
        code, message = 2, str(error)
    except OSError as error:
        code, message = 1, named(error)
    except MemoryError:
        code, message = 1, "out of memory: ask for fewer seeds or samples"
    except KeyboardInterrupt as error:
        code = 128 + (error.args or [signal.SIGINT])[0]
        message = "interrupted; earlier results were not touched"
    try:
        sys.stdout.flush()
    except OSError as error:  # its disk is full
        silence(sys.stdout)
        message = f"what is printed cannot be written: {error.strerror}"
    clear_progress()
    print(f"{Path(sys.argv[0]).name}: error: {one_line(message)}", file=sys.stderr)
    return code


def one_line(text, most=500):
    """`text` on one line: "?" for what is not printable, and long text without its middle."""
    text = "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
    if len(text) > most:
        text = f"{text[: most // 2]} ... {text[-most // 2 :]}"
    return text


def named(error):
    """What an OSError says, with the file that the user knows, not the unfinished one."""
    path = error.filename2 or error.filename
    reason = error.strerror or str(error)
    if path is None:
        return reason
    known = [part for part in Path(path).parts if not part.startswith(UNFINISHED)]
    return f"{Path(*known)}: {reason}"


def forgive_streams():
    """Let stdout and stderr print "?" for what they cannot show, and exist even if closed."""
    for name in ("stdout", "stderr"):
        stream = getattr(sys, name) or open(os.devnull, "w")  # noqa: SIM115
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
        setattr(sys, name, stream)


def silence(stream):
    """What `stream` still holds, and what is yet to be printed, goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), stream.fileno())


# --- Signals ----------------------------------------------------------------------------------


@contextlib.contextmanager
def stopped_by_signals():
    """Let the signals that would end the inside at once end it as Ctrl-C does, tidily."""

    def stop(number, frame):
        raise KeyboardInterrupt(number)

    ours = []
    if threading.current_thread() is threading.main_thread():
        ours = [n for n in STOPS if signal.getsignal(n) == signal.SIG_DFL]  # nohup ignores one
    for number in ours:
        signal.signal(number, stop)
    try:
        yield
    finally:
        for number in ours:
            signal.signal(number, signal.SIG_DFL)


def leave_signals_to_the_parent():
    """For a worker process: only the parent, which ends by any signal tidily, ends it."""
    for number in (signal.SIGINT, *STOPS):
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the parent's way to end it


# --- Progress ---------------------------------------------------------------------------------


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


# --- Files ------------------------------------------------------------------------------------


@contextlib.contextmanager
def as_user_error(path, kind, advice):
    """Turn whatever goes wrong inside into one UserError: "<path>: not a <kind> (why); <advice>".

    For a damaged file can raise nearly anything."""
    try:
        yield
    except Exception as error:
        reason = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
        if isinstance(error, OSError) and error.strerror:
            reason = error.strerror
        first_line = reason.partition("\n")[0]
        raise UserError(f"{path}: not a {kind} ({first_line}); {advice}") from None


def check_size(path, most_bytes):
    """`path`, or ValueError unless it is a file, for a pipe can wait for ever, and that small."""
    if not Path(path).is_file():
        raise ValueError("it is not a file, or not there")
    if os.path.getsize(path) > most_bytes:
        raise ValueError(f"it has more than {most_bytes:,} bytes")
    return path


@contextlib.contextmanager
def atomic_output(folder):
    """Yield an empty temporary folder; what was written there moves to `folder` at the end.

    On an error, Ctrl-C or kill on the way, `folder` keeps what it had. Raises UserError, OSError.
    """
    folder = Path(folder)
    if folder.exists() and not folder.is_dir():
        raise UserError(f"{folder} is not a folder")
    try:
        folder.mkdir(parents=True, exist_ok=True)
        remove_abandoned(folder)
        unfinished = tempfile.TemporaryDirectory(
            prefix=f"{UNFINISHED}-{os.getpid()}-",
            dir=folder,
            ignore_cleanup_errors=True,
        )
        with unfinished as name:
            temporary = folder / Path(name).name  # relative, if `folder` is: for messages
            yield temporary
            files = sorted(temporary.iterdir())
            for file in files:
                check_replaceable(folder / file.name)
            for file in files:
                os.replace(file, folder / file.name)
    except OSError as error:  # a full disk, for one, has no name
        error.filename = error.filename or str(folder)
        raise


def remove_abandoned(folder):
    """Remove from `folder` what runs of this machine left that were killed."""
    for path in folder.glob(f"{UNFINISHED}-*-*"):
        process = path.name.split("-")[-2]
        if process.isdecimal() and not is_running(int(process)):
            shutil.rmtree(path, ignore_errors=True)


def is_running(process):
    """Whether the process of this number runs; true where one cannot ask, on Windows."""
    try:
        if os.name == "posix":
            os.kill(process, 0)  # asks, and does nothing
    except ProcessLookupError:
        return False
    except (PermissionError, OverflowError):  # somebody else's; not a number of a process
        pass
    return True


def check_replaceable(path):
    """UserError if there is something at `path` that may not be written over."""
    try:
        if path.exists():
            with open(path, "r+b"):  # Windows refuses it while another program has it open
                pass
    except OSError as error:
        advice = "close what shows it, or choose another --out"
        raise UserError(f"{path} cannot be replaced ({error.strerror}): {advice}") from None


def memory_gb():
    """The memory of this machine in GB; infinite where the system does not tell, as Windows."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 1e9
    except (AttributeError, OSError, ValueError):
        return math.inf
