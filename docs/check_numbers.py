"""Does every number on a page have a source? README.md and docs/lesson.md, number by number.

    python docs/check_numbers.py           a line per number that is off, and exit code 1
    python docs/check_numbers.py write     write blocks, and numbers in sentences, anew

A number may stand on a page for one of three reasons; docs/sources.py holds them:

    BLOCKS      it stands between <!-- name --> and <!-- end of name -->, and is what a function
                returns. Blocks that sources.py does not name belong to make_docs.py.
    SENTENCES   it stands in a sentence that is given with {fields}, which a function computes from
                the program. If that depends on how single searches end, the function returns
                Within(low, high), the range of the run's seeds: other processors round differently.
    KNOWN       it stands, with the words beside it, in a short list of constants.

Names with digits (Eq. 4, 3x3), links, file names, numbers of headings and code are not checked.
(This file is not called numbers.py, for NumPy imports a module of that name.)"""

import itertools
import re
import string
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # the program's files

from pages import replace
from sources import BLOCKS, KNOWN, NAMES, SENTENCES, Within

import command_line

ROOT = Path(__file__).resolve().parent.parent
PAGES = ("README.md", "docs/lesson.md", "docs/solutions.md")
BLOCK = r"<!-- (?P<name>[\w ]+) -->\n(?P<text>.*?)<!-- end of (?P=name) -->"
UNSIGNED = r"\d[\d,]*(?:\.\d+)?(?:e[-+]\d+)?"


def check(page, text):
    """What is wrong with the numbers of a page, e.g. "docs/lesson.md": a list of lines."""
    wrong = []

    def complain(position, what):
        wrong.append(f"{page}, line {1 + text[:position].count(chr(10))}: {what}")

    for block in re.finditer(BLOCK, text, re.S):
        if block["name"] in BLOCKS:
            for k, old, new in differences(block["text"], BLOCKS[block["name"]]()):
                position = block.start("text") + k
                complain(position, f"shown is {old!r}, and the program says {new!r}")
    rest = re.sub(BLOCK, blank, text, flags=re.S)  # what has no source so far
    for template, function in SENTENCES.get(page, ()):
        fields = function()
        pattern, expected = as_pattern(template, fields)
        found = re.search(pattern, rest)
        if not found:
            words = template.format(**fields)
            wrong.append(f"{page}: these words are missing: {words}")
            continue
        for name, value in expected.items():
            if not agrees(found[name], value):
                complain(found.start(name), f"{found[name]} should be {value}")
        rest = rest[: found.start()] + blank(found) + rest[found.end() :]
    for pattern in (*NAMES, any_of(KNOWN)):
        rest = re.sub(pattern, blank, rest, flags=re.M)
    for number in re.finditer(UNSIGNED, rest):
        complain(number.start(), f"{number[0].rstrip(',')} has no source")
    return wrong


def read(page):
    return (ROOT / page).read_text(encoding="utf-8")


def blank(match):
    """Spaces in place of what matched; line breaks stay, so that lines keep their numbers."""
    return re.sub(r"[^\n]", " ", match[0])


def differences(shown, made):
    """(position, line, what the program makes instead) of each line of a block that differs."""
    position = 0
    for old, new in itertools.zip_longest(shown.splitlines(), made.splitlines(), fillvalue=""):
        if old != new:
            yield position, old, new
        position += len(old) + 1


def any_of(texts):
    """A pattern for any of these texts, with any line breaks, and no digit before or after it."""
    longest_first = sorted(texts, key=len, reverse=True)
    words = "|".join(r"\s+".join(map(re.escape, text.split())) for text in longest_first)
    return rf"(?<![\d.,])(?:{words})(?!\d|[.,]\d)"


def as_pattern(template, fields):
    """A pattern for a sentence, and {group: what stands there}; any line breaks will do."""
    pattern = ""
    expected = {}
    for k, (text, name, form, _) in enumerate(string.Formatter().parse(template)):
        pattern += r"\s+".join(map(re.escape, re.split(r"\s+", text)))
        if name is not None:
            value = fields[name]
            pattern += f"(?P<field{k}>[-+]?{UNSIGNED})"
            expected[f"field{k}"] = value if isinstance(value, Within) else format(value, form)
    return pattern, expected


def agrees(shown, value):
    """Whether a number on the page is what it should be: a text, or a number within a range."""
    if isinstance(value, Within):
        return value.low <= float(shown.replace(",", "")) <= value.high
    return shown == value


def write():
    """Write what sources.py makes: all blocks, and the numbers in sentences that are not Within."""
    for page in PAGES:
        for block in re.finditer(BLOCK, read(page), re.S):
            if block["name"] in BLOCKS:
                replace(ROOT / page, block["name"], BLOCKS[block["name"]]())
        text = read(page)
        for template, function in SENTENCES.get(page, ()):
            pattern, expected = as_pattern(template, function())
            found = re.search(pattern, text)
            for name, value in reversed(list(expected.items()) if found else []):
                if not isinstance(value, Within):
                    text = text[: found.start(name)] + value + text[found.end(name) :]
        if text != read(page):
            (ROOT / page).write_text(text, encoding="utf-8")


def command(argv):
    """Check all pages; exits with 1 if a number is off. Raises UserError."""
    parser = command_line.Parser(description=__doc__.partition("\n")[0])
    parser.add_argument("task", nargs="?", choices=["check", "write"], default="check")
    if parser.parse_args(argv).task == "write":
        write()
    wrong = [line for page in PAGES for line in check(page, read(page))]
    if wrong:
        print("\n".join(wrong))
        sys.exit(1)
    print(f"{', '.join(PAGES)}: every number has a source")


if __name__ == "__main__":
    sys.exit(command_line.run(command, sys.argv[1:]))
