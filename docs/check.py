"""A check of the numbers on the pages: README.md, docs/results.md, lesson.md and solutions.md.

    python docs/check.py            a diff where a page is not what the program says; exit code 1
    python docs/check.py --write    writes these numbers and tables anew

A number that the program knows is followed by an invisible comment with the expression that gives
it and its format: 0.953<!-- 2**ALPHA:.3f -->. A table stands between <!-- block eq_4() --> and
<!-- end -->. Expressions are of docs/values.py. Other numbers are typed by hand, and unchecked."""

import difflib
import functools
import re
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the program's files

import values

from command_line import Parser, run

ROOT = Path(__file__).resolve().parents[1]
PAGES = [ROOT / "README.md"]
PAGES += [ROOT / "docs" / f"{name}.md" for name in ("results", "lesson", "solutions")]
NUMBER = r"[-+]?\d[\d,.]*(?:e[-+]\d+)?(?P<comment><!-- (?P<what>[^:]*?):(?P<form>\S*) -->)"
BLOCK = r"(?P<head><!-- block (?P<what>.*?) -->\n).*?(?P<end><!-- end -->)"


@functools.cache
def value(expression):
    """A number or a table, from docs/values.py."""
    return eval(expression, vars(values))


def remade(text):
    """The page with every marked number and block as the program gives it now."""

    def block(match):
        return f"{match['head']}{value(match['what'])}\n{match['end']}"

    def number(match):
        return f"{value(match['what']):{match['form']}}{match['comment']}"

    return re.sub(NUMBER, number, re.sub(BLOCK, block, text, flags=re.S))


def main(argv):
    """The command: checks all pages, or writes them. Exits with 1 if one differs."""
    parser = Parser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--write", action="store_true", help="mend the pages")
    write = parser.parse_args(argv).write
    differs = False
    for page in PAGES:
        text = page.read_text(encoding="utf-8")
        new = remade(text)
        if write:
            page.write_text(new, encoding="utf-8")
        elif new != text:
            differs = True
            both = (text.splitlines(), new.splitlines())
            print("\n".join(difflib.unified_diff(*both, page.name, "the program", lineterm="")))
    if differs:
        sys.exit(1)
    print(f"{', '.join(page.name for page in PAGES)}: as the program says")


if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:]))
