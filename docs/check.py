"""A check of numbers and tables on pages: two of docs/, three of study/.

    python docs/check.py            a diff where a page is not what the program says; exit code 1
    python docs/check.py --write    writes these numbers and tables anew

A number that the program knows is followed by an invisible comment with the expression that gives
it and its format: 0.05<!-- claims.LEVEL:g -->. The rows of a table, below a header that is typed by
hand, or other text stand between <!-- block exercises() --> and <!-- end -->. What is imported or
defined here is at hand. Other numbers are typed by hand, and unchecked; but on a page of study/,
each with a decimal point and each whole percentage must stand in a table."""

import difflib
import functools
import inspect
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "study"))

import tables  # first: it finds the other folders  # isort: skip
import beyond  # noqa: F401
import published  # noqa: F401
import sensitivity
from exercises import EXERCISES, surrogate  # noqa: F401

import claims  # noqa: F401
import controller_plain
import nas_reward  # noqa: F401
import nas_search  # noqa: F401
from command_line import Parser, run, write_text

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "docs" / "results.md", ROOT / "docs" / "lesson.md"]
KNOWN = {  # pages of study/, and their numbers of settings and rules
    "hyperparameters.md": f"{sensitivity.grid()}, rank test at 5%",
    "verdicts.md": "sign test at 5%, 0.75 quantile",
    "beyond.md": "range of 95%, 1.5 times, x = 0.9, w = 0.001, 0.003, 0.005, 0.01",
}
PAGES += [ROOT / "study" / name for name in KNOWN]
NUMBER = r"[-+]?\d[\d,.]*(?:e[-+]\d+)?(?P<comment><!-- (?P<what>[^:]*?):(?P<form>\S*) -->)"
HEAD = r"<!-- block (?P<what>[^\n]*?) -->\n(?:\|[^\n]*\n\| ---[^\n]*\n)?"
BLOCK = rf"(?s)(?P<head>{HEAD}).*?(?P<end><!-- end -->)"
RESULT = r"\d[\d,]*\.\d+|\d+(?= ?%)"


@functools.cache
def value(expression):
    """A number, a text, or the rows of a table as text."""
    found = eval(expression)
    return tables.markdown(found) if inspect.isgenerator(found) else found


def fenced(text):
    return f"```text\n{text}\n```"


def part_of_the_lesson(k):
    """What controller_plain.py prints: 0 settings, 1 to 3 networks, 4 the table."""
    return fenced(controller_plain.first_updates().split("\n\n")[k].strip("\n"))


def exercises():
    """The list of exercises, with the minutes that they take."""
    for number, exercise in EXERCISES.items():
        yield f"{number} | {exercise.title} | {exercise.minutes}"


def remade(text):
    """The page with every marked number and block as the program gives it now."""

    def block(match):
        return f"{match['head']}{value(match['what'])}\n{match['end']}"

    def number(match):
        return f"{value(match['what']):{match['form']}}{match['comment']}"

    return re.sub(NUMBER, number, re.sub(BLOCK, block, text))


def unknown(text, known):
    """The results in the prose of a page that neither the program nor the text `known` has."""
    for marked in (BLOCK, NUMBER):
        known += " ".join(match[0] for match in re.finditer(marked, text))
        text = re.sub(marked, "", text)
    prose = re.sub(r"`[^`]*`", "", text)  # without formulas
    shown = re.findall(RESULT, known)
    return [number for number in re.findall(RESULT, prose) if number not in shown]


def main(argv):
    """The command: checks all pages, or writes them. Exits with what is wrong."""
    parser = Parser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="mend the pages")
    write = parser.parse_args(argv).write
    mistakes = []
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        new = remade(text)
        if write:
            write_text(page, new)
        else:
            both = (text.splitlines(), new.splitlines())
            mistakes += difflib.unified_diff(*both, page.name, "the program", lineterm="")
        if page.name in KNOWN:
            numbers = unknown(new, KNOWN[page.name])
            mistakes += [f"{page.name}: {number} is in no table" for number in numbers]
    if mistakes:
        sys.exit("\n".join(mistakes))
    print(f"{', '.join(page.name for page in PAGES)}: as the program says")


if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:]))
