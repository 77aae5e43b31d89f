"""A tabular policy: one row of logits per edge, and nothing else; a first step before the LSTM.

    search = LogitsReinforce(range(8), **nas_search.HYPERPARAMETERS)
    rows = search.search(reward_tables, samples=5000)  # (8, 5000), for reward_tables (8, 15625)

Edge t gets its operation from softmax(theta[t]), whatever was chosen before: 30 numbers, where the
LSTM has 18,501. Adam, the baseline and the search are those of controller_numpy.py, and so are the
loss and the letters. study/beyond.md says what the LSTM adds."""

import tables  # noqa: F401  # first: it finds the other folders  # isort: skip
import numpy as np

from controller_numpy import Adam, K, Reinforce, S, log_softmax


class Logits:
    """N policies over cells, without memory; theta (N, S, K) are the logits."""

    def __init__(self, N):
        self.theta = np.zeros((N, S, K))  # softmax(0): every cell is as likely

    def sample(self, noise):
        """Draw one cell per run, a (N, S), from Gumbel noise (N, S, K), as the LSTM does."""
        self.a = (self.theta + noise).argmax(axis=2)
        return self.a

    def gradient(self, advantage, entropy_weight):
        """Gradient of -A log P(cell) - w sum_t E_t for the cells just sampled, (N, S, K)."""
        A = advantage[:, None, None]  # (N, 1, 1)
        log_p = log_softmax(self.theta)  # (N, S, K)
        p = np.exp(log_p)
        E = -(p * log_p).sum(axis=2, keepdims=True)  # (N, S, 1)
        one_hot = np.eye(K)[self.a]  # (N, S, K)
        return A * (p - one_hot) + entropy_weight * p * (log_p + E)


class LogitsReinforce(Reinforce):
    """Searches in lockstep with a table of logits; `hidden` is not used: it has no hidden units."""

    def __init__(self, seeds, hidden, learning_rate, entropy_weight, baseline_decay):
        super().__init__(seeds, 1, learning_rate, entropy_weight, baseline_decay)
        self.controller = Logits(len(seeds))
        self.adam = Adam(self.controller.theta, learning_rate)
