"""A window with sliders for T, w, y and the entropy weight: both rewards over all cells.

python docs/sliders.py [--benchmark PATH]"""

import sys
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1]))  # the program's files

import command_line  # noqa: F401  # first: is Python new enough?  # isort: skip
import matplotlib
import numpy as np
from matplotlib.widgets import Button, CheckButtons, RadioButtons, Slider

import figures
import nas_benchmark
from command_line import Parser, UserError, run
from nas_reward import ALPHA, PAIR, SAMPLES, T_MS, WINDOW, Y, equal_strength, mnasnet, proposed
from nas_search import HYPERPARAMETERS, Problem, run_searches

PHONE = nas_benchmark.DATA / "cifar100_pixel3.pkl"
MAKE_PHONE = "python data/build_benchmark.py tables --device pixel3"
SEARCHES = 4  # per reward: one alone can mislead, and these take 3 s
ENDS = f"Small dots: the ends of {SEARCHES} searches of {SAMPLES:,} samples; large dot: mean"
PRESETS = {  # name: what one sees
    "paper": "At T, the curve of MnasNet's reward is flatter: its latency penalty is smaller",
    "equal penalty": "A larger -w: both rewards now have the same latency penalty at T",
    "17 ms on a phone": "MnasNet's reward grows without limit as LAT goes to 0",
    "seconds by mistake": "Eq. 4 refuses T = 0.017: slower would be better",
}


class Explorer:
    """Both rewards over all cells of a benchmark, with sliders, on a Figure that has a canvas.

    A panel shows curves of equal reward. Two boxes show answers to "where will a search go?": the
    best cell (filled star), the fixed point (hollow star). A button runs searches (dots)."""

    def __init__(self, figure, benchmark):
        self.figure = figure
        self.usual = benchmark
        self.panels = figure.subplots(1, 2)
        figure.subplots_adjust(left=0.07, right=0.97, top=0.86, bottom=0.36, wspace=0.1)
        colours = figures.palette(PAIR)
        weight = HYPERPARAMETERS["entropy_weight"]
        add = self.add_slider
        self.T = add(0.23, "T (ms)", T_MS / 1000, 40.0, T_MS, "black")
        self.T.valstep = np.append(T_MS / 1000, np.arange(0.5, 40.5, 0.5))
        self.w = add(0.165, "w of mnasnet", -0.3, 0.0, ALPHA, colours["mnasnet"])
        self.y = add(0.10, "y of proposed", 0.0, 0.4, Y, colours["proposed"])
        self.entropy = add(0.035, "entropy weight", 0.001, 0.02, weight, "black")
        place = figure.add_axes((0.56, 0.12, 0.13, 0.13), frameon=False)
        self.boxes = CheckButtons(place, ["best cell", "fixed point"])
        self.boxes.on_clicked(self.draw)
        self.button = Button(figure.add_axes((0.57, 0.03, 0.11, 0.07)), "run searches")
        self.button.on_clicked(self.search)
        place = figure.add_axes((0.71, 0.01, 0.27, 0.23), frameon=False)
        place.set_title("start from", loc="left")
        self.presets = RadioButtons(place, list(PRESETS), activecolor="black")
        self.presets.on_clicked(self.choose)
        self.choose("paper")

    def add_slider(self, bottom, label, low, high, start, colour):
        """A slider that draws again when it is moved."""
        axes = self.figure.add_axes((0.18, bottom, 0.30, 0.04))
        style = dict(valfmt="%.4g", color=colour, initcolor="none")
        slider = Slider(axes, label, low, high, valinit=start, **style)
        slider.on_changed(self.draw)
        return slider

    def choose(self, name):
        """Set everything as a preset says, and say what one sees."""
        sentence = PRESETS[name]
        self.benchmark = self.usual
        if name == "17 ms on a phone":
            try:
                self.benchmark = nas_benchmark.load(PHONE)
            except UserError:
                sentence = f"No {PHONE.name} yet: {MAKE_PHONE}"
        equal_w = equal_strength(Y, self.usual.accuracy.max(), T_MS)
        self.w.set_val(equal_w if name == "equal penalty" else ALPHA)
        self.y.set_val(Y)
        self.T.set_val(T_MS / 1000 if name == "seconds by mistake" else T_MS)
        self.figure.suptitle(sentence)

    def search(self, _=None):
        """Run searches with each reward, and show where they end."""
        self.figure.suptitle("searching ...")
        self.figure.canvas.draw()
        self.figure.canvas.flush_events()
        chosen = HYPERPARAMETERS | dict(entropy_weight=self.entropy.val)
        ends = {}
        for name, problem in self.problems.items():
            runs = run_searches(problem, range(SEARCHES), SAMPLES, 1, chosen)
            accuracy, ms = runs.points()[name]  # (searches, samples) each
            last = (ms[:, -WINDOW:], 100 * accuracy[:, -WINDOW:])
            ends[name] = np.mean(last, axis=2)
        self.draw(ends=ends)
        self.figure.suptitle(ENDS)

    def draw(self, _=None, ends=()):
        """Draw both panels for where the sliders stand, and ends {reward: (ms, percent)}."""
        self.ends = dict(ends)  # of searches, until something moves
        self.problems = {}  # of the rewards that take this T
        w = self.w.val
        y = self.y.val
        self.draw_panel(self.panels[0], "mnasnet", partial(mnasnet, alpha=w, beta=w))
        self.draw_panel(self.panels[1], "proposed", partial(proposed, x=1 - y, y=y))
        self.panels[0].set_ylabel("accuracy (%)")
        self.figure.suptitle("")
        self.figure.canvas.draw_idle()

    def draw_panel(self, axes, name, reward):
        """The landscape of a reward, and what the boxes ask for; or why T is refused."""
        colour = figures.palette(PAIR)[name]
        axes.clear()
        try:
            problem = Problem(self.benchmark, {name: reward}, self.T.val)
        except UserError as refusal:
            axes.axis("off")
            text = str(refusal).replace(": ", ":\n")
            axes.text(0.5, 0.5, text, color=colour, ha="center", transform=axes.transAxes)
            return
        self.problems[name] = problem
        title = figures.title_of(name)
        best = problem.optima()[name]
        best_cell, fixed_point = self.boxes.get_status()
        levels = best["reward"] + 0.02 * np.arange(-6, 2)
        figures.draw_landscape(axes, problem, levels, name, colour, best_cell)
        if best_cell:
            title += ": best cell {latency_ms:.1f} ms, {accuracy:.1%}".format(**best)
        if fixed_point:
            end = problem.fixed_points(self.entropy.val)[name]
            figures.mark_fixed_point(axes, end, colour)
        if name in self.ends:
            mean = np.mean(self.ends[name], axis=1)
            dots = dict(color=colour, mec="white", zorder=5)
            axes.plot(*mean, "o", ms=16, **dots)
            axes.plot(*self.ends[name], "o", ms=9, **dots)
            title += "\nsearches end at {:.1f} ms, {:.1f}%".format(*mean)
        axes.set_title(title, color=colour)


NO_WINDOW = "no window can be opened: no display, or neither Tk nor Qt (pip install PySide6)"


def main(argv):
    """Open the window. Raises UserError where there is no display."""
    parser = Parser(description="Sliders for T, w and y, over all cells of a benchmark")
    parser.add_argument("--benchmark", metavar="PATH", help="a file of data/build_benchmark.py")
    args = parser.parse_args(argv)
    benchmark = nas_benchmark.load(args.benchmark)
    import matplotlib.pyplot as plt  # here, for only this needs a display

    matplotlib.rcParams.update(figures.STYLE)
    try:
        figure = plt.figure(figsize=figures.SIZE, dpi=72)  # 768 pixels are enough
    except ImportError:  # MPLBACKEND asks for what cannot be had
        raise UserError(NO_WINDOW) from None
    if plt.get_backend().lower() == "agg":
        raise UserError(NO_WINDOW)
    explorer = Explorer(figure, benchmark)  # kept: its sliders live as long as it does
    plt.show()
    return explorer


if __name__ == "__main__":
    sys.exit(run(main, sys.argv[1:]))
