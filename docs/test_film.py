"""Tests of the animation. Each test's docstring names the bug that it catches."""

import sys
from pathlib import Path

sys.path[:0] = [str(Path(__file__).parents[1] / folder) for folder in ("", "docs")]

import film
import numpy as np
import PIL.Image
import pytest

from figures import Figure
from nas_benchmark import N_CELLS
from nas_search import Problem, run_searches
from test_all import COLUMNS, LIGHT, SURROGATE, made_up_runs


def test_a_policy_on_the_landscape():
    """Catches dots on other cells, or of another area; a mean that is not the policy's."""
    rng = np.random.default_rng(0)
    history = rng.dirichlet(np.full(N_CELLS, 0.1), size=2)  # (windows, 15625)
    accuracy, ms = COLUMNS
    cells = np.stack([ms, 100 * accuracy], axis=1)  # (15625, 2)
    axes = Figure().subplots()
    dots, trail, mean = film.draw_policy(axes, SURROGATE, list(history), "black")
    likely = history[1] > 1 / 15_625
    assert np.array(dots.get_offsets()) == pytest.approx(cells[likely])
    assert dots.get_sizes() == pytest.approx(12_000 * history[1][likely])
    assert trail.get_xydata() == pytest.approx(history @ cells)
    assert mean.get_xydata() == pytest.approx(history[1:] @ cells)


def test_the_seed_that_ends_as_most_do():
    """Catches a film of a seed at the edge, or one that is chosen by random search."""
    runs = made_up_runs(["tunas"], seeds=5, samples=300)
    runs.seeds = [7, 8, 9, 10, 11]
    accuracy, ms = np.full((5, 300), 0.3), np.full((5, 300), 3.0)
    runs.points = lambda: dict(tunas=(accuracy, ms), random=(accuracy, ms[::-1]))
    ms.T[250:] = 12, 4, 7.9, 8, 33  # the last window, by seed
    accuracy.T[250:] = 0.4, 0.5, 0.6, 0.45, 0.35
    assert film.median_seed(runs) == 10
    ms.T[250:] = 10, 10.5, 9, 9.4, 12  # seed 7 by ms alone
    accuracy.T[250:] = 0.5, 0.3, 0.301, 0.302, 0.299
    assert film.median_seed(runs) == 8  # accuracy counts as much, though it varies by less


def test_animation(tmp_path):
    """Catches a film that does not move, shows one reward only, or is too large for README."""
    path = tmp_path / "search.gif"
    problem = Problem(SURROGATE, ["mnasnet", "proposed"], 17.0)
    film.animate(path, run_searches(problem, [0], 600, 1, LIGHT))
    with PIL.Image.open(path) as gif:
        assert gif.n_frames == 8  # after 0, 25, 50, 100, 175, 250, 500 and 600 samples
        first = np.array(gif.convert("RGB"))
        gif.seek(7)
        moved = first != np.array(gif.convert("RGB"))
    assert moved.shape == (540, 960, 3)
    assert moved[:, :480].any()
    assert moved[:, 480:].any()
    assert path.stat().st_size < 8 * 150_000  # 25 frames of a whole search: 3 MB
