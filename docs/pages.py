"""Tables of pages: Markdown, and CSV files."""

import csv
import io

from command_line import atomic_output


def markdown(header, rows):
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def write_csv(path, lines):
    """Dicts with the same keys as a CSV file."""
    text = io.StringIO()
    writer = csv.DictWriter(text, lines[0], lineterminator="\n")
    writer.writeheader()
    writer.writerows(lines)
    with atomic_output(path.parent) as folder:
        (folder / path.name).write_text(text.getvalue(), encoding="utf-8")


def read_csv(path):
    """A CSV file as dicts of text."""
    with open(path, newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))
