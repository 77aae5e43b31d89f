"""What all commands share: errors in one line, progress, files written whole or not at all."""

import sys

if sys.version_info < (3, 10):  # before anything that an older Python cannot read
    sys.exit(f"Python 3.10 or newer is needed, and this is {sys.version.split()[0]}")

import argparse
import contextlib
import errno
import importlib.util
import io
import os
import secrets
import shutil
import signal
import threading
import time
from pathlib import Path

# Ctrl-C, kill, a closed terminal, and on Windows Ctrl-Break.
STOPS = [s for s in signal.Signals if s.name in ("SIGINT", "SIGTERM", "SIGHUP", "SIGBREAK")]
UNFINISHED = ".unfinished-"  # begins the name of a folder that a run is writing to
A_DAY = 86_400  # seconds

inline = "matplotlib_inline"  # of a notebook, whose Python may be another one
if inline in os.environ.get("MPLBACKEND", "") and importlib.util.find_spec(inline) is None:
    del os.environ["MPLBACKEND"]
for package in ("numpy", "matplotlib"):
    if importlib.util.find_spec(package) is None:
        sys.exit(f"{package} is missing: pip install -r requirements.txt")


class UserError(ValueError):
    """Something that the user can mend; the message says what is wrong and what to do."""


class Parser(argparse.ArgumentParser):
    """An argument parser that raises UserError instead of printing its usage and exiting."""

    def error(self, message):
        raise UserError(f"{message} (see --help)")


# --- Errors -----------------------------------------------------------------------------------


def print_traceback(kind, *error):
    """sys.excepthook, silent at Ctrl-C before `run` is reached, or as a worker starts."""
    if kind is not KeyboardInterrupt:
        sys.__excepthook__(kind, *error)


sys.excepthook = print_traceback


def run(command, argv):
    """Call command(argv); the exit code is 0, or after one line on stderr 1, 2 or 128 + signal."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # "?" for a letter that this terminal lacks
    stop_on_signals()
    printed = sys.stdout
    sys.stdout = WhileRead(printed or io.StringIO())  # None: closed by >&-
    try:
        command(argv)
        return 0
    except UserError as error:
        code, message = 2, str(error)
    except MemoryError:
        code, message = 1, "out of memory: ask for fewer seeds or samples"
    except KeyboardInterrupt as error:
        code = 128 + (error.args or [signal.SIGINT])[0]
        message = "interrupted; no file was left half-written"
    except OSError as error:
        code, message = 1, describe_os_error(error)
    finally:
        sys.stdout = printed
    clear_progress()
    print(f"{Path(sys.argv[0]).name}: error: {one_line(message)}", file=sys.stderr)
    return code


class WhileRead:
    """Standard output that is silent once its reader, say `head`, has left: the work goes on."""

    def __init__(self, stream):
        self.stream = stream

    def __getattr__(self, name):
        return getattr(self.stream, name)

    def write(self, text):
        try:
            self.stream.write(text)
            self.stream.flush()
        except OSError as error:
            if error.errno not in (errno.EPIPE, errno.EINVAL):  # EINVAL: on Windows
                raise
            os.dup2(os.open(os.devnull, os.O_WRONLY), self.stream.fileno())


def one_line(text, most=500):
    """`text` on one line: "?" for what is not printable, and long text without its middle."""
    text = "".join(c if c.isprintable() else "?" for c in " ".join(text.split()))
    if len(text) > most:
        text = f"{text[: most // 2]} ... {text[-most // 2 :]}"
    return text


def describe_os_error(error):
    """What an OSError says, with the file that the user knows, not the unfinished one."""
    path = error.filename2 or error.filename
    reason = error.strerror or str(error)
    if path is None:
        return reason
    known = [part for part in Path(path).parts if not part.startswith(UNFINISHED)]
    return f"{Path(*known)}: {reason}"


def stop_on_signals():
    """Let the signals that would end a command at once end it as Ctrl-C does, tidily."""
    if threading.current_thread() is threading.main_thread():
        for number in STOPS:
            if signal.getsignal(number) != signal.SIG_IGN:  # nohup ignores one
                signal.signal(number, stop)


def stop(number, frame):
    raise KeyboardInterrupt(number)


def start_undisturbed(process):
    """Start a worker process: a signal waits until it has started, and never reaches it."""
    with contextlib.ExitStack() as at_end:
        if os.name == "posix":
            held = set(STOPS) - {signal.SIGTERM}
            before = signal.pthread_sigmask(signal.SIG_BLOCK, held)
            at_end.callback(signal.pthread_sigmask, signal.SIG_SETMASK, before)
        process.start()


def leave_signals_to_the_parent():
    """For a worker process: only the parent, which ends by any signal tidily, ends it."""
    for number in STOPS:
        signal.signal(number, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)  # the parent's way to end it


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


def tracked(todo):
    """The items of a list, with a bar of progress after each."""
    start = time.perf_counter()
    for done, item in enumerate(todo, 1):
        yield item
        progress(done, len(todo), time.perf_counter() - start)


# --- Files ------------------------------------------------------------------------------------


@contextlib.contextmanager
def as_user_error(path, kind, advice):
    """Turn whatever a damaged file raises into UserError "<path>: not a <kind> (why); <advice>"."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:
        reason = str(error) if type(error) is ValueError else f"{type(error).__name__}: {error}"
        if isinstance(error, OSError) and error.strerror:
            reason = error.strerror
        first_line = reason.partition("\n")[0]
        raise UserError(f"{path}: not a {kind} ({first_line}); {advice}") from None


FORMATS = {  # how files begin
    b"\x1f\x8b": "a gzip file: unpack it",
    b"BZh": "a bzip2 file: unpack it",
    b"PK": "a zip archive, as .pt, .npz and .xlsx are",
    b"\x80": "a pickle",
    b"\x93NUMPY": "a NumPy file",
    b"\x89HDF": "an HDF5 file",
    b"PAR1": "a Parquet file",
    b"\xff\xfe": "text in UTF-16: save it as UTF-8",
    b"\xfe\xff": "text in UTF-16: save it as UTF-8",
    b"{": "JSON",
}


def check_file(path, most_bytes, begins=b""):
    """`path`, or ValueError unless it is a file, for a pipe can wait for ever, and that small.

    Nor may it begin as one of FORMATS does, unless that is how it `begins`."""
    if not Path(path).is_file():
        raise ValueError("it is not a file" if Path(path).exists() else "there is no such file")
    with open(path, "rb") as file:
        found = file.read(8)
    for known, name in FORMATS.items():
        if found.startswith(known) and known != begins:
            raise ValueError(f"it is {name}")
    if os.path.getsize(path) > most_bytes:
        raise ValueError(f"it has more than {most_bytes:,} bytes")
    return path


@contextlib.contextmanager
def atomic_output(folder):
    """Yield an empty temporary folder; what was written there moves to `folder` at the end.

    On an error, Ctrl-C or kill on the way, `folder` keeps what it had. Raises UserError, OSError.
    """
    folder = Path(folder)
    if os.path.lexists(folder) and not folder.is_dir():
        raise UserError(f"{folder} is not a folder")
    unfinished = folder / f"{UNFINISHED}{secrets.token_hex(4)}"
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for old in folder.glob(f"{UNFINISHED}*"):  # left by kill -9
            if time.time() - old.stat().st_mtime > A_DAY:
                shutil.rmtree(old, ignore_errors=True)
        unfinished.mkdir()
        yield unfinished
        files = sorted(unfinished.iterdir())
        check_replaceable(folder, [file.name for file in files])
        for file in files:
            os.replace(file, folder / file.name)
    except OSError as error:  # a full disk, for one, has no name
        error.filename = error.filename or str(folder)
        raise
    finally:
        shutil.rmtree(unfinished, ignore_errors=True)


def check_replaceable(folder, names):
    """UserError if one of these files in a folder is there and cannot be written over."""
    for path in [Path(folder) / name for name in names]:
        try:
            if path.exists():
                open(path, "r+b").close()
                os.replace(path, path)  # Windows refuses it while another program has it open
        except OSError as error:
            advice = "close what shows it, or choose another --out"
            raise UserError(f"{path} cannot be replaced ({error.strerror}): {advice}") from None


def write_text(path, text):
    """Write a text file: UTF-8 and LF on every system."""
    path.write_text(text, encoding="utf-8", newline="\n")
