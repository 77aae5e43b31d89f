"""How an answer is marked: the reader's functions called safely, and the first difference named.

    mine = Answers("docs/answers.py")
    found = mine("dh", ...)                       what the reader's function dh returns
    compare("dh", found, expected, (UNITS,))      raises Wrong: "dh (unit 1): yours ..."

Wrong is the only exception that comes out of here; its message is one line for the reader."""

import copy
import runpy
import traceback
from pathlib import Path

import numpy as np

from command_line import UserError, one_line


class Wrong(UserError):
    """An answer is wrong or missing; the message names the number, and where it stands."""


class Answers:
    """The functions of a file of answers: `mine("dh", ...)` calls its dh.

    Whatever goes wrong in there becomes a Wrong of one line. Arguments are copied, so that an
    answer that changes them spoils no later one. note(name), if given, is told what runs next."""

    def __init__(self, path, note=None):
        self.path = Path(path)
        self.note = note
        self.functions = self.guarded(self.path.name, runpy.run_path, str(self.path))

    def __call__(self, name, *arguments, **keywords):
        if name not in self.functions:
            raise Wrong(f"{self.path.name} has no function `{name}`")
        arguments, keywords = copy.deepcopy((arguments, keywords))
        answer = self.guarded(name, self.functions[name], *arguments, **keywords)
        if answer is None:
            raise Wrong(f"{name} returns None: is there a `return`?")
        return answer

    def guarded(self, name, function, *arguments, **keywords):
        """function(...), with any exception turned into Wrong."""
        if self.note:
            self.note(name)
        try:
            return function(*arguments, **keywords)
        except SystemExit:
            raise Wrong(f"{name} ends the program: an answer must not call exit()") from None
        except NotImplementedError as hint:
            raise Wrong(f"{name} is still to be written. Hint: {hint}") from None
        except Wrong:
            raise
        except (Exception, GeneratorExit) as error:
            raises = f"{name} raises {type(error).__name__}: {one_line(str(error))}"
            raise Wrong(f"{raises}{self.line_of(error)}") from None

    def line_of(self, error):
        """Where in the reader's file an exception was raised, as text."""
        frames = traceback.extract_tb(error.__traceback__)
        lines = [frame.lineno for frame in frames if frame.filename == str(self.path)]
        return f" ({self.path.name}, line {lines[-1]})" if lines else ""


def compare(name, found, expected, axes=(), tolerance=1e-6):
    """Raise Wrong if `found` is not `expected`: at the first entry that differs, or is NaN.

    axes: for each axis, what its entries are called. tolerance: absolute, and relative above 1."""
    expected = np.asarray(expected, float)
    found = as_numbers(name, found, expected.shape)
    near = np.abs(found - expected) <= tolerance * np.maximum(1, np.abs(expected))
    if not near.all():
        first = tuple(np.argwhere(~near)[0])
        names = [labels[k] for labels, k in zip(axes, first, strict=True)]
        place = f" ({', '.join(names)})" if names else ""
        numbers = f"yours {found[first]:.6g}, expected {expected[first]:.6g}"
        raise Wrong(f"{name}{place}: {numbers}")


def as_numbers(name, found, shape=()):
    """What an answer returned as an array of floats of this shape, or Wrong."""
    try:
        found = np.asarray(found, float)
    except (TypeError, ValueError, OverflowError):
        text = one_line(str(found), 60)
        raise Wrong(f"{name} is not a number or an array: {text}") from None
    if found.shape != shape:
        raise Wrong(f"{name} has the shape {found.shape}, and should have {shape}")
    return found


def entry(function, found, key):
    """found[key] of the dict that a function of the reader's returned, or Wrong."""
    if not isinstance(found, dict) or key not in found:
        raise Wrong(f"{function} should return a dict with the key {key!r}")
    return found[key]
