"""Tests of docs/: the exercises, the pages and their numbers, the window with sliders."""

import functools
import importlib
import math
import os
import re
import subprocess
import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("", "data", "docs")]

import build_benchmark
import numpy as np
import pytest
from matplotlib.backend_bases import MouseEvent
from matplotlib.backends.backend_agg import FigureCanvasAgg

import command_line
import figures
import nas_benchmark
import nas_search
import test_all
from nas_reward import mnasnet, proposed
from test_all import COLUMNS, HERE, SURROGATE, public, refused

# --- VI. The window with sliders --------------------------------------------------------------


@pytest.fixture
def explorer():
    """The sliders on a canvas without a display."""
    figure = figures.Figure(figsize=(16, 9), dpi=80)
    FigureCanvasAgg(figure)
    return figures.Explorer(figure, SURROGATE)


def click(figure, x, y):
    """Press and release the mouse at display coordinates."""
    for name in ("button_press_event", "button_release_event"):
        event = MouseEvent(name, figure.canvas, x, y, button=1)
        figure.canvas.callbacks.process(name, event)


def slide(slider, value):
    """Click on a slider where it stands for `value`."""
    click(slider.ax.figure, *slider.ax.transData.transform((value, 0.5)))


def choose(explorer, name):
    """Click on a preset."""
    k = [label.get_text() for label in explorer.presets.labels].index(name)
    click(explorer.figure, *explorer.presets.labels[k].get_window_extent().p0 + 3)


def shown(axes):
    """(T, the star's (ms, percent), its line of equal reward) in a panel; None where not drawn."""
    lines = axes.lines
    T = next(line.get_xdata()[0] for line in lines if line.get_linestyle() == "--")
    star = next((line for line in lines if line.get_marker() == "*"), None)
    if star is None:
        return T, None, None
    same_colour = [line for line in lines if line.get_color() == star.get_color()]
    line = next(line for line in same_colour if line is not star)
    return T, (*star.get_xdata(), *star.get_ydata()), line.get_data()


@pytest.mark.parametrize(
    ("T", "w", "y"),
    [(17.0, -0.07, 0.1), (9.0, -0.2, 0.3), (30.0, -0.02, 0.03)],
)
def test_sliders_move_the_optima(T, w, y, explorer):
    """Catches a slider that moves another letter, and an optimum or a line that stays behind."""
    slide(explorer.T, T)
    slide(explorer.w, w)
    slide(explorer.y, y)
    T, w, y = (slider.val for slider in (explorer.T, explorer.w, explorer.y))
    accuracy, ms = COLUMNS
    left = np.maximum(1.5 * T - ms, 1)
    pays = (accuracy * (ms / T) ** w, (1 - y) * accuracy + y * np.log(left) / np.log(T))
    for axes, table in zip(explorer.panels, pays, strict=True):
        best = table.argmax()
        at, star, _ = shown(axes)
        assert at == T
        assert star == (ms[best], 100 * accuracy[best])
    line_ms, percent = shown(explorer.panels[0])[2]
    paid = percent / 100 * (line_ms / T) ** w
    assert paid == pytest.approx(pays[0].max())
    line_ms, percent = shown(explorer.panels[1])[2]
    left = np.maximum(1.5 * T - line_ms, 1)
    paid = (1 - y) * percent / 100 + y * np.log(left) / np.log(T)
    assert paid == pytest.approx(pays[1].max())


def test_preset_of_equal_strength(explorer):
    """Catches slopes that differ: at T, one ms must be worth as much accuracy under both."""
    choose(explorer, "equal strength")
    best = SURROGATE.accuracy.max()
    ms = np.array([16.99, 17.01])
    paid = mnasnet(best, ms, 17, explorer.w.val, explorer.w.val)
    worth = np.diff(paid)[0] / mnasnet(1.0, 17.0)
    assert worth == pytest.approx(np.diff(proposed(best, ms))[0] / 0.9, rel=1e-4)
    assert explorer.figure._suptitle.get_text() == figures.PRESETS["equal strength"]


def test_preset_of_seconds(explorer):
    """Catches an optimum where Eq. 4 refuses T, and a sentence that is not true."""
    choose(explorer, "seconds by mistake")
    assert explorer.T.val == 0.017
    assert shown(explorer.panels[1])[1] is None
    assert "needs T > 1" in explorer.panels[1].get_title()
    assert shown(explorer.panels[0])[1] is not None  # MnasNet's reward is only scaled
    fast, slow = (math.log(0.0255 - LAT, 0.017) for LAT in (0.008, 0.016))
    assert slow > fast  # "slower would pay more"
    choose(explorer, "paper")
    assert explorer.T.val == 17.0
    assert shown(explorer.panels[1])[1] is not None


def test_preset_of_a_phone(explorer, tmp_path, monkeypatch):
    """Catches a crash without the phone's table, and cells of another benchmark with it."""
    monkeypatch.setattr(figures, "PHONE", tmp_path / "phone.pkl")
    choose(explorer, "17 ms on a phone")
    advice = explorer.figure._suptitle.get_text()
    assert "python data/build_benchmark.py tables --device pixel3" in advice
    assert np.array_equal(explorer.panels[0].lines[0].get_xdata(), SURROGATE.latency_ms)
    phone = nas_benchmark.Benchmark(
        SURROGATE.accuracy, SURROGATE.latency_ms / 2, SURROGATE.provenance
    )
    nas_benchmark.save(phone, figures.PHONE)
    choose(explorer, "paper")
    choose(explorer, "17 ms on a phone")
    assert explorer.figure._suptitle.get_text() == figures.PRESETS["17 ms on a phone"]
    assert np.array_equal(explorer.panels[0].lines[0].get_xdata(), SURROGATE.latency_ms / 2)
    choose(explorer, "paper")
    assert np.array_equal(explorer.panels[0].lines[0].get_xdata(), SURROGATE.latency_ms)


def test_window_without_a_display():
    """Catches a traceback, or a window that nobody can see, where there is no display."""
    environment = os.environ | {"MPLBACKEND": "agg"}
    command = [sys.executable, HERE / "figures.py"]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60)
    assert done.stderr.count("\n") == 1
    assert "error: no window can be opened" in done.stderr
    assert done.returncode == 2


# --- VIII. Exercises: docs/exercises.py, docs/solutions.md, and the numbers of the lesson -----


def of_docs(name):
    """A module of docs/."""
    if str(HERE / "docs") not in sys.path:
        sys.path.append(str(HERE / "docs"))
    return importlib.import_module(name)


@functools.cache
def solved():
    """docs/answers.py with everything that docs/solutions.md says: code added, diffs applied."""
    answers = (HERE / "docs" / "answers.py").read_text()
    solutions = (HERE / "docs" / "solutions.md").read_text()
    for language, code in re.findall(r"```(python|diff)\n(.*?)```", solutions, re.S):
        if language == "python":
            answers += "\n\n" + code
        else:
            old, new = (re.findall(rf"^\{sign}(.*)$", code, re.M) for sign in "-+")
            assert answers.count("\n".join(old)) == 1
            answers = answers.replace("\n".join(old), "\n".join(new))
    return answers


def verdict_on(number, answers, folder):
    """(right, line): what docs/exercises.py says of these answers, a text."""
    path = folder / "answers.py"
    path.write_text(answers)
    return of_docs("exercises").verdict(number, path)


@pytest.mark.parametrize("number", range(1, 11))
def test_every_solution_is_right(number, tmp_path):
    """Catches a solution that its own check refuses, and a check that nobody can pass."""
    right, line = verdict_on(number, solved(), tmp_path)
    assert right, line
    assert line.startswith(f"exercise {number}: right (")


@pytest.mark.parametrize("number", range(1, 11))
def test_every_exercise_is_open_at_first(number, tmp_path):
    """Catches a question that ships with its answer, and a hint that is not shown."""
    right, line = verdict_on(number, (HERE / "docs" / "answers.py").read_text(), tmp_path)
    assert not right
    bug = "exercise 4: dbo, dWo right; db (gate i, unit 0): yours "
    assert (bug if number == 4 else " is still to be written. Hint: ") in line


SLIPS = r"""
1 | (printed - X * accuracy) / Y  =>  printed - X * accuracy
  | latency_part(0.82102, 0.8): yours 0.10102, expected 1.0102
1 | (printed - X * accuracy) / Y  =>  (printed - accuracy) / Y
  | latency_part(0.82102, 0.8): yours 0.2102, expected 1.0102
1 | return b**L_8 + 8, b  =>  return b**L_8, b
  | curve(): with c = 17.5008, b = 17.0023, L(8 ms) is
1 | return b**L_8 + 8, b  =>  return 25.5, 18
  | curve(): with c = 25.5, b = 18, L(8 ms) is
1 | return b**L_8 + 8, b  =>  return 25.5
  | curve() should be two numbers, and has the shape ()
2 | return -math.log(1 + gain)  =>  return math.log(1 + gain)
  | exponent(0.05, 2) = 0.07039: then 60%, 8 ms earns 0.5690, and 63%, 16 ms earns 0.6273
2 | / math.log(factor)  =>  / factor
  | exponent(0.05, 2) = -0.0244
2 | return -math.log(1 + gain) / math.log(factor)  =>  return -0.07
  | exponent(0.05, 4) = -0.07
3 | A * (p - one_hot)  =>  A * (one_hot - p)
  | exercise 3: dlogits (t = 0, operation none): yours
3 | (np.log(p) + E)  =>  np.log(p)
  | exercise 3: dlogits (t = 0, operation none): yours
3 | one_hot = np.eye(K)[a]  =>  one_hot = a
  | exercise 3: dlogits raises ValueError: operands could not be broadcast
3 | Wo @ dlogits + Wh @ dz_next  =>  Wo @ dlogits
  | exercise 3: dlogits right; dh (t = 4, unit 0): yours
3 | return Wo @ dlogits + Wh @ dz_next  =>  Wo @ dlogits + Wh @ dz_next
  | exercise 3: dlogits right; dh returns None: is there a `return`?
3 | + dc_next * f_next  =>  + dc_next
  | exercise 3: dlogits, dh right; dc (t = 4, unit 0): yours
3 | dh * o * (1 - np.tanh(c) ** 2)  =>  dh * o
  | exercise 3: dlogits, dh right; dc (t = 5, unit 0): yours
3 | dh * o * (1 - np.tanh(c) ** 2)  =>  dh * o * np.log(-1)
  | exercise 3: dlogits, dh right; dc (t = 5, unit 0): yours nan
3 | dc * c_before * f  =>  dc * c * f
  | exercise 3: dlogits, dh, dc right; dz (t = 5, gate f, unit 0): yours
3 | return np.concatenate([dzi, dzf, dzg, dzo])  =>  return np.concatenate([dzi, dzf, dzo, dzg])
  | exercise 3: dlogits, dh, dc right; dz (t = 5, gate g, unit 0): yours
3 | return np.concatenate([dzi, dzf, dzg, dzo])  =>  return np.array([dzi, dzf, dzg, dzo])
  | exercise 3: dlogits, dh, dc right; dz has the shape (4, 3), and should have (12,)
3 | np.outer(h[t - 1], dz[t])  =>  np.outer(h[t], dz[t])
  | exercise 3: dlogits, dh, dc, dz right; dWh (from unit 0, gate i, unit 0): yours
3 | dWx[a[t - 1]] += dz[t]  =>  dWx[a[t - 1]] = dz[t]
  | exercise 3: dlogits, dh, dc, dz right; dWx (token 3x3, gate i, unit 0): yours
4 | dc[t] += dh[t]  =>  dc[t] = dh[t]
  | exercise 4: dbo, dWo right; db (gate i, unit 0): yours
4 | dlogits = A * (p - np.eye(K)[a[:S]])  =>  dlogits = A * p
  | exercise 4: dbo (operation none): yours
4 | dWh=h[before].T @ dz  =>  dWh=h[:S].T @ dz
  | exercise 4: dbo, dWo, db right; dWh (from unit 0, gate i, unit 0): yours
5 | accuracy - 0.1 *  =>  accuracy - 0.001 *
  | exercise 5: my_reward at T = 17 ms wants
5 | np.maximum(latency_ms - target_ms, 0)  =>  np.maximum(latency_ms - 17, 0)
  | exercise 5: T = 17 ms right; my_reward at T = 15 ms wants
5 | np.maximum(latency_ms - target_ms, 0)  =>  np.where(latency_ms > target_ms, np.inf, 0)
  |  ms) is -inf, and should be finite
5 | np.maximum(latency_ms - target_ms, 0)  =>  max(latency_ms - target_ms, 0)
  | exercise 5: my_reward raises ValueError: The truth value of an array
6 | -(y / x) * 2  =>  -y * 2
  | equal_exponent(0.72, 17, 0.9, 0.1) = -0.09804: one ms more then costs
6 | -(y / x) * 2  =>  -(y / x)
  | equal_exponent(0.72, 17, 0.9, 0.1) = -0.05447: one ms more then costs
6 | math.log(target_ms))  =>  math.log(17))
  | equal_exponent(0.72, 4, 0.9, 0.1) = -0.1089: one ms more then costs
7 | dict(baseline_decay=None)  =>  dict(baseline_decay=0.0)
  | verdicts_that_change searches with baseline_decay = 0.0; see
7 | if old["verdict"] != new["verdict"]  =>  if old["verdict"] == new["verdict"]
  | verdicts_that_change, made-up claim 'one': yours ('holds', 'holds'), expected None
7 | HYPERPARAMETERS | dict(baseline_decay=None)  =>  HYPERPARAMETERS
  | verdicts_that_change, made-up claim 'two': yours None, expected ('holds', 'undecided')
8 | (latency_ms) <= target_ms  =>  (latency_ms) < target_ms
  | settles (windows with the means 16, 16, 17, 16, 16): yours 1250, expected 0
8 | axis=1) * WINDOW  =>  axis=1)
  | settles (windows with the means 16, 17.5, 16, 16, 16): yours 2, expected 500
8 | first, latency_ms.shape[1])  =>  first, 0)
  | settles (windows with the means 16, 16, 17.5, 16, 16): yours 0, expected 1250
9 | np.argmax(R)  =>  np.argmin(R)
  | exercise 9: prediction of mnasnet:
9 | 100 * benchmark.accuracy  =>  benchmark.accuracy
  | percent is too low (
9 | in ("mnasnet", "proposed"):  =>  in ("mnasnet",):
  | exercise 9: mnasnet right; prediction should return a dict with the key 'proposed'
10 | h1[t] @ Wx2  =>  h1[t - 1] @ Wx2
  | exercise 10: p (t = 0, operation none): yours
10 | dWh2=h2[before]  =>  dWh2=h2[:S]
  | exercise 10: p, dbo, dWo, db2 right; dWh2 (from unit 0, gate i, unit 0): yours
10 | dh1 = dh1 + Wx2 @  =>  dh1 = Wx2 @
  | exercise 10: p, dbo, dWo, db2, dWh2, dWx2 right; db (gate i, unit 0): yours
10 | dWx[a[t - 1]] += dz1  =>  dWx[cell[t]] += dz1
  | dWx2, db, dWh right; dWx (token none, gate i, unit 0): yours
"""  # exercise | what stands in the solution  =>  a slip; below it, what the check must say
SLIP = r"^(\d+) \| (.*?)  =>  (.*)\n  \| (.*)$"


@pytest.mark.parametrize(("number", "right", "slip", "said"), re.findall(SLIP, SLIPS, re.M))
def test_a_check_names_what_is_wrong(number, right, slip, said, tmp_path):
    """Catches a check that passes a typical slip, or blames the wrong tensor or number for it."""
    assert right in solved()
    passed, line = verdict_on(int(number), solved().replace(right, slip), tmp_path)
    assert not passed
    assert said in line
    assert "\n" not in line


def test_answers_that_are_no_program(tmp_path):
    """Catches a traceback for a reader whose file is no Python, or has lost a function."""
    right, line = verdict_on(1, "import math\n\ndef curve(:\n", tmp_path)
    assert not right
    assert line == "exercise 1: answers.py raises SyntaxError: invalid syntax (answers.py, line 3)"
    right, line = verdict_on(1, "", tmp_path)
    assert not right
    assert line == "exercise 1: answers.py has no function `latency_part`"


def test_an_answer_that_alters_the_settings(tmp_path):
    """Catches a slip in one exercise that spoils everything after it: a dict changed in place."""
    slip = "HYPERPARAMETERS.update(baseline_decay=None) or HYPERPARAMETERS"
    answers = solved().replace("HYPERPARAMETERS | dict(baseline_decay=None)", slip)
    before = dict(nas_search.HYPERPARAMETERS)
    right, line = verdict_on(7, answers, tmp_path)
    assert not right
    assert line == "exercise 7: verdicts_that_change alters HYPERPARAMETERS itself; alter a copy"
    assert before == nas_search.HYPERPARAMETERS


def test_the_phone_is_predicted(tmp_path, monkeypatch):
    """Catches a check that looks at the surrogate although the phone's table is there."""
    latency = public("latency/pixel3.pt").parent.parent
    phone = tmp_path / "phone.pkl"
    nas_benchmark.save(build_benchmark.build_tables(latency, "pixel3", "cifar100"), phone)
    monkeypatch.setattr(of_docs("exercises"), "PHONE", phone)
    right, line = verdict_on(9, solved(), tmp_path)
    assert right, line
    answers = solved() + "\n\ndef prediction(*_):\n    return dict(mnasnet=(15, 72))\n"
    _, line = verdict_on(9, answers, tmp_path)
    assert "prediction of mnasnet: 15 ms is too high (" in line


def test_exercises_as_a_command(tmp_path, capfd, monkeypatch):
    """Catches a list that is not one, a wrong exit code, and a last look that does not run."""
    exercises = of_docs("exercises")
    monkeypatch.setattr(exercises, "SEEDS", range(2))
    monkeypatch.setattr(exercises, "FEW_SEEDS", range(2))
    monkeypatch.setattr(exercises, "SAMPLES", 250)
    monkeypatch.setattr(exercises, "FEW_SAMPLES", 50)
    path = tmp_path / "answers.py"
    path.write_text(solved())
    options = ["--answers", str(path)]
    assert command_line.run(exercises.main, options) == 0
    assert capfd.readouterr().out.count(" right\n") == len(exercises.EXERCISES)
    for number in exercises.EXERCISES:
        assert command_line.run(exercises.main, [str(number), *options]) == 0
        lines = capfd.readouterr().out.splitlines()
        assert (len(lines) > 1) == (exercises.EXERCISES[number].show is not None)
        assert max(map(len, lines)) <= 100
    with pytest.raises(SystemExit) as stopped:  # a wrong answer: 1, and what a search makes of it
        command_line.run(exercises.main, ["4"])
    assert stopped.value.code == 1
    assert "  backward pass yours: " in capfd.readouterr().out
    command = functools.partial(command_line.run, exercises.main)
    refused(capfd, command, ["11"], "exercises are numbered 1 to 10")
    refused(capfd, command, ["1", "--answers", "nowhere.py"], "there is no such file of answers")


PAGES = ("docs/lesson.md", "docs/solutions.md")


@pytest.mark.parametrize("page", PAGES)
def test_every_number_of_a_page_has_a_source(page):
    """Catches a page whose numbers the program no longer gives."""
    numbers = of_docs("check_numbers")
    assert numbers.check(page, numbers.read(page)) == []


@pytest.mark.parametrize("page", PAGES)
def test_a_number_changed_by_hand_is_noticed(page):
    """Catches a hole in the check of numbers: a digit is changed, in every tenth number."""
    numbers = of_docs("check_numbers")
    text = numbers.read(page)
    checked = text
    for pattern in numbers.NAMES:
        checked = re.sub(pattern, numbers.blank, checked, flags=re.M)
    for number in list(re.finditer(r"\d+", checked))[::10]:
        k = number.start()
        changed = text[:k] + str((int(text[k]) + 1) % 10) + text[k + 1 :]
        line = 1 + text.count("\n", 0, k)
        wrong = numbers.check(page, changed)
        assert any(text.startswith(f"{page}, line {line}: ") for text in wrong), number


def test_a_number_of_a_run_may_vary_within_its_seeds(monkeypatch):
    """Catches a median that must be met to the digit, or that may be anything."""
    numbers = of_docs("check_numbers")
    sources = of_docs("sources")
    entry = dict(text="mine: settles", per_seed=[1000, 2500, 1750])
    monkeypatch.setattr(sources, "summary", lambda: dict(claims=[entry]))
    sentence = ("it settles at {n} networks", lambda: dict(n=sources.median_of("mine: settles")))
    monkeypatch.setitem(numbers.SENTENCES, "page.md", [sentence])
    assert numbers.check("page.md", "Here it settles\nat 2,000 networks.") == []
    wrong = ["page.md, line 2: 3,000 should be between 1,000 and 2,500"]
    assert numbers.check("page.md", "Here it settles\nat 3,000 networks.") == wrong
    wrong = "page.md: these words are missing: it settles at between 1,000 and 2,500 networks"
    assert numbers.check("page.md", "") == [wrong]


@pytest.mark.parametrize("page", PAGES)
def test_a_page_names_what_exists(page):
    """Catches a lesson that points to files, pictures, functions or tests that are not there."""
    text = (HERE / page).read_text()
    for target in re.findall(r"\]\(([^)#, ]+)\)", text):
        assert target.startswith("https://") or (HERE / "docs" / target).exists(), target
    for name in re.findall(r"`((?:docs/|data/|study/)?\w+\.(?:py|md|png|gif))`", text):
        assert (HERE / name).exists(), name
    for name in re.findall(r"`(test_\w+)`", text):
        assert name == "test_all" or hasattr(test_all, name), name


def test_citation():
    """Catches a citation of another title than README's, or without the paper."""
    text = (HERE / "CITATION.cff").read_text()
    heading = (HERE / "README.md").read_text().partition("\n")[0].removeprefix("# ")
    assert f"\ntitle: {heading}\n" in text
    assert text.startswith("cff-version: 1.2.0\n")
    assert "\n    doi: 10.5573/ieie.2022.59.11.39\n" in text
