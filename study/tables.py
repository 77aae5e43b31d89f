"""What the programs of study/ share: benchmarks, CSV files, Markdown tables, a command line.

Import this first: it finds the other folders. `lines` are the dicts of a CSV file in study/."""

import csv
import functools
import json
import re
import sys
from pathlib import Path

STUDY = Path(__file__).resolve().parent
sys.path[:0] = [str(STUDY.parent / folder) for folder in ("", "data")]

import run_experiment  # noqa: F401  # first: it sets the number of BLAS threads  # isort: skip
import build_benchmark

import nas_benchmark
from command_line import Parser, atomic_output, run, tracked, write_text

HELP = "the public tables, as data/README.md says; without it they are downloaded"
MODELLED = "modelled"  # measured accuracies, the surrogate's latency
TABLES = ("surrogate", MODELLED)  # accuracies fitted, and measured


def table_of(name, folder):
    """The benchmark called `name`: the surrogate, or measured CIFAR-100 accuracy with a latency."""
    if name == "surrogate":
        return nas_benchmark.load(nas_benchmark.SURROGATE)
    return build_benchmark.build_tables(folder, name, "cifar100")


def collect(name, todo, lines_of, folder):
    """Write a CSV file of the lines that lines_of(folder, *item) returns, for each item of `todo`.

    After an interruption it goes on where it stood."""
    unfinished = build_benchmark.CACHE / f"{name}.json"
    found = json.loads(unfinished.read_text()) if unfinished.exists() else {}
    for item in tracked([item for item in todo if str(item) not in found]):
        found[str(item)] = lines_of(folder, *item)
        with atomic_output(unfinished.parent) as cache:
            write_text(cache / unfinished.name, json.dumps(found))
    write_csv(name, [line for item in todo for line in found[str(item)]])
    unfinished.unlink()


def write_csv(name, lines):
    """Write lines with the same names."""
    with (
        atomic_output(STUDY) as unfinished,
        open(unfinished / name, "w", newline="", encoding="utf-8") as file,
    ):
        writer = csv.DictWriter(file, lines[0], lineterminator="\n")
        writer.writeheader()
        writer.writerows(lines)


def read(name):
    """The lines of a CSV file, with its numbers as numbers."""
    with open(STUDY / name, newline="", encoding="utf-8") as file:
        lines = list(csv.DictReader(file))
    return [{key: value_of(text) for key, text in line.items()} for line in lines]


@functools.cache
def value_of(text):
    number = re.fullmatch(r"-?\d+(\.\d+)?(e-?\d+)?", text)
    return json.loads(text) if number else text


def select(lines, **values):
    """The lines with these values."""
    return [line for line in lines if values.items() <= line.items()]


def cells(values):
    """A row of a table: values as text, with " | " between them."""
    return " | ".join(map(str, values))


def csv_rows(name, order=""):
    """The lines of a CSV file as they are, or in the order of a column."""
    for line in sorted(read(name), key=lambda line: line.get(order, "")):
        yield cells(line.values())


def markdown(rows):
    """The rows of a Markdown table; its header stands on the page."""
    return "\n".join(f"| {row} |" for row in rows)


def main(about, **commands):
    """Call the command that the user names with the folder of --from; None downloads the tables.

    about: a program's docstring; commands: functions of the folder"""

    def command(argv):
        parser = Parser(description=about.partition("\n")[0])
        parser.add_argument("command", choices=commands)
        parser.add_argument("--from", dest="folder", type=Path, metavar="DIR", help=HELP)
        args = parser.parse_args(argv)
        commands[args.command](args.folder)

    sys.exit(run(command, sys.argv[1:]))
