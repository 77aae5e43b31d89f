"""Pages with numbers that programs write: Markdown tables between markers, and CSV files.

Text stands between <!-- name --> and <!-- end of name -->; the rest is written by hand."""

import csv
import io

from command_line import UserError, atomic_output


def markdown(header, rows):
    """A Markdown table."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)


def between(path, marker):
    """What stands between a page's two markers."""
    page = path.read_text(encoding="utf-8")
    _, start, rest = page.partition(f"<!-- {marker} -->\n")
    text, end, _ = rest.partition(f"<!-- end of {marker} -->")
    if not start or not end:
        raise UserError(f"{path}: the marker '{marker}' is missing")
    return text


def replace(path, marker, text):
    """Put `text` between a page's two markers."""
    old = between(path, marker)
    whole = f"<!-- {marker} -->\n{{}}<!-- end of {marker} -->"
    page = path.read_text(encoding="utf-8")
    new = page.replace(whole.format(old), whole.format(text + "\n"))
    path.write_text(new, encoding="utf-8")


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
