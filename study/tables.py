"""What the scripts of study/ share: pages with tables between markers, and their command line.

    fill(page, tables)              put {marker: table} between the markers of a page
    problems(page, tables, known)   what the page shows that no table says
    choose(argv, about, commands)   call the command that argv names

A table stands between <!-- marker --> and <!-- end of marker -->. The rest of a page is written by
hand: each number with a decimal point and each whole percentage in it must stand in a table."""

import re
from pathlib import Path

from command_line import Parser, UserError

STUDY = Path(__file__).resolve().parent


def filled(text, tables):
    """The text of a page with these tables between its markers. Raises UserError."""
    for marker, table in tables.items():
        start = f"<!-- {marker} -->\n"
        end = f"<!-- end of {marker} -->"
        before, _, rest = text.partition(start)
        _, found, after = rest.partition(end)
        if not found:
            raise UserError(f"the page lacks a marker: {start.strip()} {end}")
        text = f"{before}{start}{table}\n{end}{after}"
    return text


def fill(page, tables):
    """Put the tables {marker: text} into a page."""
    text = filled(page.read_text(encoding="utf-8"), tables)
    page.write_text(text, encoding="utf-8")


def problems(page, tables, known=""):
    """A line for each table of a page that is another one, else for each number that none has.

    `known` is a text with the numbers that are no results: of settings and rules."""
    text = page.read_text(encoding="utf-8")
    old = [name for name in tables if filled(text, {name: tables[name]}) != text]
    if old:
        return [f"{page}: the table '{name}' is not what its CSV says" for name in old]
    prose = filled(text, dict.fromkeys(tables, ""))
    prose = re.sub(r"`[^`]*`", "", prose)  # formulas
    shown = numbers(" ".join([*tables.values(), known]))
    unknown = [number for number in numbers(prose) if number not in shown]
    return [f"{page}: {number} is in the prose, but in no table" for number in unknown]


def numbers(text):
    """The results in a text: numbers with a decimal point, and whole percents."""
    return re.findall(r"\d[\d,]*\.\d+|\d+(?= ?%)", text)


def choose(argv, about, commands):
    """Call the command that `argv` names with the folder of the public tables, None without one.

    commands: {name: function of the folder}"""
    parser = Parser(description=about)
    parser.add_argument("command", choices=commands)
    parser.add_argument("--from", dest="folder", type=Path, metavar="DIR", help="public tables")
    args = parser.parse_args(argv)
    commands[args.command](args.folder)
