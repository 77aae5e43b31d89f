"""What the programs of study/ share: benchmarks, CSV files, pages with tables, a command line.

Import this first: it finds the other folders. A table of a page stands between <!-- marker --> and
<!-- end of marker -->. The rest is written by hand: each number with a decimal point and each whole
percentage in it must stand in a table. `tables` are {marker: text}, `lines` dicts of a CSV file."""

import json
import re
import sys
from pathlib import Path

STUDY = Path(__file__).resolve().parent
sys.path[:0] = [str(STUDY.parent / folder) for folder in ("", "data", "docs")]

import run_experiment  # noqa: F401  # first: it sets the number of BLAS threads  # isort: skip
import build_benchmark
from pages import read_csv, write_csv

import nas_benchmark
from command_line import Parser, UserError, atomic_output, run, tracked, write_text

MODELLED = "modelled"  # measured accuracies, the surrogate's latency


def table_of(name, folder):
    """The benchmark called `name`: the surrogate, or measured CIFAR-100 accuracy with a latency."""
    if name == "surrogate":
        return nas_benchmark.load(nas_benchmark.SURROGATE)
    return build_benchmark.build_tables(folder, name, "cifar100")


def collect(path, todo, lines_of):
    """Write a CSV file of the lines that lines_of(*item) returns, for each item of the list `todo`.

    After an interruption it goes on where it stood."""
    unfinished = build_benchmark.CACHE / f"{path.stem}.json"
    found = json.loads(unfinished.read_text()) if unfinished.exists() else {}
    for item in tracked([item for item in todo if str(item) not in found]):
        found[str(item)] = lines_of(*item)
        with atomic_output(unfinished.parent) as folder:
            write_text(folder / unfinished.name, json.dumps(found))
    write_csv(path, [line for item in todo for line in found[str(item)]])
    unfinished.unlink()


def read(path):
    """The lines of a CSV file, with its numbers as numbers."""

    def value_of(text):
        number = re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", text)
        return json.loads(text) if number else text

    return [{name: value_of(text) for name, text in line.items()} for line in read_csv(path)]


def select(lines, **values):
    """The lines with these values."""
    return [line for line in lines if values.items() <= line.items()]


def as_table(header, rows):
    """A Markdown table, from texts with " | " between the cells."""
    dashes = " | ".join(["---"] * len(header.split(" | ")))
    return "\n".join(f"| {row} |" for row in [header, dashes, *rows])


def filled(text, tables):
    """The text of a page with these tables between its markers. Raises UserError."""
    for marker, content in tables.items():
        start = f"<!-- {marker} -->\n"
        end = f"<!-- end of {marker} -->"
        before, _, rest = text.partition(start)
        _, found, after = rest.partition(end)
        if not found:
            raise UserError(f"the page lacks a marker: {start.strip()} {end}")
        text = f"{before}{start}{content}\n{end}{after}"
    return text


def fill(page, tables):
    """Put the tables into a page."""
    write_text(page, filled(page.read_text(encoding="utf-8"), tables))


def problems(page, tables, known):
    """A text for each table of a page that is another one, else for each number that none has.

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


def main(about, commands, pages):
    """Call the command that the user names with the folder of --from; then fill the pages.

    about: a program's docstring; commands: {name: function of the folder, None without one}, where
    "" is the only one of a program; pages: {name: function that returns its tables}"""

    def command(argv):
        parser = Parser(description=about.partition("\n")[0])
        parser.set_defaults(command="")
        if "" not in commands:
            parser.add_argument("command", choices=commands)
        parser.add_argument("--from", dest="folder", type=Path, metavar="DIR", help="public tables")
        args = parser.parse_args(argv)
        commands[args.command](args.folder)
        for name, tables_of in pages.items():
            fill(STUDY / name, tables_of())

    sys.exit(run(command, sys.argv[1:]))
