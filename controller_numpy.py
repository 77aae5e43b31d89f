"""Who chooses: an LSTM that writes cells, and REINFORCE, which teaches it, by hand in NumPy.

One network is one cell: 6 operations, chosen one after the other, each from a softmax over 5. The
LSTM sees the operation that it chose before (at first, a start token). After every network,

    loss = -(R - b) sum_t log p_t[a_t] - w sum_t E_t         E_t = -sum_k p_t[k] log p_t[k]

is pushed downhill once by Adam. It is no measure of success: watch the reward instead.

The leading axis is the run. Many searches, of different rewards and seeds, advance in lockstep,
each with its own weights, reward and random stream; no run sees another. To read the code as that
of a single search, drop the letter N.

    letter   meaning                                        shape            here
    N        runs in lockstep                                                16
    S        steps = edges of a cell                                         6
    K        operations to choose from                                       5
    V        tokens: the operations and the start token                      6
    H        hidden units of the LSTM                                        64
    x        input of a step: [one-hot token, h, 1]         (N, S+1, V+H+1)
    W        weights and, in the last row, bias             (N, V+H+1, 4H)
    z        x W; each fourth of it opens one of the gates  (N, S, 4H)
    i f g o  gates: input, forget, cell, output             (N, S, H) each
    c        cell state; c[:, t+1] follows c[:, t]          (N, S+1, H)
    h        hidden state; kept in x, next to the 1         (N, S+1, H)
    Wo       weights and bias from h to the logits          (N, H+1, K)
    p        probability of each operation                  (N, S, K)
    a        chosen operations, one cell per run            (N, S)
    R, b     reward and its baseline; A = R - b, advantage  (N,)
    w, E     entropy weight; entropy of each step           (), (N, S)
    P        parameters of a run, W and Wo in one row                        18,501
    dA       derivative of the loss by A, for any A         as A

LSTM: Hochreiter and Schmidhuber 1997, with the forget gate of Gers et al. 2000. REINFORCE:
Williams 1992. Adam: Kingma and Ba 2015. Left out: layers, attention, batches, PPO."""

import numpy as np

from nas_benchmark import OPERATIONS, cell_to_row

S, K = 6, len(OPERATIONS)
V = K + 1  # token K is the start token
INIT_RANGE = 0.1  # weights start in U(-0.1, 0.1); biases at 0, the forget gate's at 1


class Controller:
    """N LSTM policies over cells, one per generator in `rngs`; float64 is for checking gradients.

    W and Wo are views into `theta` (N, P), all parameters, as dW and dWo are into `grad` (N, P)."""

    def __init__(self, rngs, hidden=64, dtype=np.float32):
        self.N, self.H = N, H = len(rngs), hidden
        self.theta = np.empty((N, (V + H + 1) * 4 * H + (H + 1) * K), dtype)
        self.grad = np.zeros_like(self.theta)
        self.W, self.Wo = self._views(self.theta)
        self.dW, self.dWo = self._views(self.grad)
        for theta, rng in zip(self.theta, rngs, strict=True):
            theta[:] = rng.uniform(-INIT_RANGE, INIT_RANGE, theta.size)
        self.W[:, -1] = 0.0
        self.W[:, -1, H : 2 * H] = 1.0  # remember by default
        self.Wo[:, -1] = 0.0

        def zeros(steps, width):
            """(N, steps, width), in memory step by step: each step (N, width) is contiguous."""
            return np.zeros((steps, N, width), dtype).swapaxes(0, 1)

        self.x, self.c, self.tanh_c = zeros(S + 1, V + H + 1), zeros(S + 1, H), zeros(S, H)
        self.z = zeros(S, 4 * H)  # each z is replaced by the gate that it opens
        self.dz, self.logits = zeros(S, 4 * H), zeros(S, K)
        self.h = self.x[:, :, V:-1]  # (N, S+1, H); h[:, 0] and c[:, 0] are 0 unless you set them
        self.x[:, 0, K] = 1.0  # the start token
        self.x[:, :, -1] = 1.0  # what multiplies the bias
        self.a = np.zeros((N, S), int)
        self.one_hot = np.eye(K, V, dtype=dtype)
        self.scale = np.repeat(np.array([0.5, 0.5, 1.0, 0.5], dtype), H)  # (4H,), see _activate
        self.shift = np.repeat(np.array([0.5, 0.5, 0.0, 0.5], dtype), H)

    def _views(self, flat):
        """Split (N, P) into (N, V+H+1, 4H) and (N, H+1, K), sharing memory."""
        N, H = self.N, self.H
        cut = (V + H + 1) * 4 * H
        return flat[:, :cut].reshape(N, V + H + 1, 4 * H), flat[:, cut:].reshape(N, H + 1, K)

    def _activate(self, z):
        """i, f, o = sigmoid(z) and g = tanh(z), in place, for z (..., 4H): four views (..., H)."""
        z *= self.scale
        np.tanh(z, out=z)  # one tanh serves all four: sigmoid(z) = 1/2 + tanh(z/2) / 2
        z *= self.scale
        z += self.shift
        return self._split(z)

    def _split(self, z):
        """(..., 4H) -> the parts of i, f, g and o, (..., H) each, as views."""
        H = self.H
        return z[..., :H], z[..., H : 2 * H], z[..., 2 * H : 3 * H], z[..., 3 * H :]

    # --- forward ------------------------------------------------------------------------------

    def sample(self, noise):
        """Draw one cell per run, a (N, S), from Gumbel noise (N, S, K).

        For argmax(logits + noise) is a draw from softmax(logits). Keeps what `gradient` needs."""
        x, z, h, c, tanh_c, logits = self.x, self.z, self.h, self.c, self.tanh_c, self.logits
        for t in range(S):
            np.matmul(x[:, t, None], self.W, out=z[:, t, None])  # z = x W
            i, f, g, o = self._activate(z[:, t])  # (N, H) each
            c[:, t + 1] = f * c[:, t] + i * g  # c' = f c + i g
            tanh_c[:, t] = np.tanh(c[:, t + 1])
            h[:, t + 1] = o * tanh_c[:, t]  # h' = o tanh(c')
            np.matmul(x[:, t + 1, None, V:], self.Wo, out=logits[:, t, None])  # logits = [h', 1] Wo
            self.a[:, t] = (logits[:, t] + noise[:, t]).argmax(axis=1)
            x[:, t + 1, :V] = self.one_hot[self.a[:, t]]
        return self.a

    # --- backward -----------------------------------------------------------------------------

    def gradient(self, advantage, entropy_weight):
        """Gradient of the loss for the cells just sampled, advantage (N,) = R - b: `grad` (N, P).

        Each reverse line stands below the forward line that it undoes. Left out, as is usual:
        that earlier choices also decide which entropies are met later."""
        A = advantage.astype(self.theta.dtype)[:, None, None]  # (N, 1, 1)

        # loss = -A log p[a] - w E
        log_p = _log_softmax(self.logits)  # (N, S, K)
        p = np.exp(log_p)
        entropy = -(p * log_p).sum(axis=2, keepdims=True)  # (N, S, 1)
        chosen = self.x[:, 1:, :K]  # (N, S, K), one-hot: each choice is the next step's input
        dlogits = A * (p - chosen) + entropy_weight * p * (log_p + entropy)  # (N, S, K)

        # logits = [h', 1] Wo
        np.matmul(self.x[:, 1:, V:].swapaxes(1, 2), dlogits, out=self.dWo)
        dh_out = dlogits @ self.Wo[:, :-1].swapaxes(1, 2)  # (N, S, H)

        # Local derivatives, all steps at once: dz = J dc for i, f, g; dz = J dh for o; dc = Jc dh
        i, f, g, o = self._split(self.z)  # (N, S, H) each
        Ji = g * i * (1 - i)  # c' = f c + i g,  i = sigmoid(z)
        Jf = self.c[:, :-1] * f * (1 - f)  #     f = sigmoid(z)
        Jg = i * (1 - g * g)  #                  g = tanh(z)
        Jo = self.tanh_c * o * (1 - o)  # h' = o tanh(c'),  o = sigmoid(z)
        Jc = o * (1 - self.tanh_c * self.tanh_c)

        Wh_T = self.W[:, V:-1].swapaxes(1, 2)  # (N, 4H, H)
        dc = 0.0
        for t in reversed(range(S)):
            dh = dh_out[:, t]  # (N, H): h' feeds the logits,
            if t + 1 < S:  # and the next step: z = x W, x = [one-hot, h', 1]; c' = f c + i g
                dh = dh + (self.dz[:, t + 1, None] @ Wh_T)[:, 0]
                dc = dc * f[:, t + 1]
            dc = dc + dh * Jc[:, t]  # (N, H)
            self.dz[:, t] = np.hstack([Ji[:, t] * dc, Jf[:, t] * dc, Jg[:, t] * dc, Jo[:, t] * dh])

        # z = x W, all steps at once
        np.matmul(self.x[:, :-1].swapaxes(1, 2), self.dz, out=self.dW)
        return self.grad

    # --- the whole policy ---------------------------------------------------------------------

    def enumerate(self):
        """Probability of every cell under the present policy: (N, 15625), by row."""
        return np.stack([self._enumerate(n) for n in range(self.N)])

    def _enumerate(self, n):
        """Run n's: (15625,). Cells share 1 + 5 + ... + 3125 beginnings: one batch B per length."""
        Wx, Wh1 = self.W[n, :V], self.W[n, V:]  # (V, 4H), (H+1, 4H)
        h1, c = self.x[n, :1, V:], self.c[n, :1]  # (B, H+1), (B, H) with B = 1
        token = Wx[K:]  # (1, 4H): what the next token adds to z; the start token alone
        log_p = np.zeros(1, self.theta.dtype)  # (B,)
        for _ in range(S):
            z = ((h1 @ Wh1)[:, None] + token).reshape(-1, 4 * self.H)  # (B, 4H)
            i, f, g, o = self._activate(z)
            c = f * np.repeat(c, len(token), axis=0) + i * g  # (B, H)
            h1 = np.ones((len(c), self.H + 1), c.dtype)
            h1[:, :-1] = o * np.tanh(c)
            log_p = (log_p[:, None] + _log_softmax(h1 @ self.Wo[n])).ravel()  # (B,) -> (5 B,)
            token = Wx[:K]  # (K, 4H): from now on, every operation is tried
        return np.exp(log_p)


def _log_softmax(logits):
    """log softmax over the last axis, (..., K) -> (..., K)."""
    shifted = logits - logits.max(axis=-1, keepdims=True)
    return shifted - np.log(np.exp(shifted).sum(axis=-1, keepdims=True))


class Adam:
    """Adam (Kingma and Ba 2015) on theta (N, P); m and v are theirs less the factors 1 - beta."""

    def __init__(self, theta, learning_rate, beta1=0.9, beta2=0.999, epsilon=1e-8):
        self.theta, self.learning_rate, self.epsilon = theta, learning_rate, epsilon
        self.beta1, self.beta2 = beta1, beta2
        self.m, self.v = np.zeros_like(theta), np.zeros_like(theta)  # (N, P)
        self.work, self.t = np.empty_like(theta), 0

    def step(self, grad):
        """theta -= learning_rate * m^ / (sqrt(v^) + epsilon), for grad (N, P)."""
        self.t += 1
        m_scale = (1 - self.beta1) / (1 - self.beta1**self.t)  # m^ = m_scale * m
        v_scale = (1 - self.beta2) / (1 - self.beta2**self.t)  # v^ = v_scale * v
        m, v, work = self.m, self.v, self.work
        m *= self.beta1
        m += grad  # m = beta1 m + g
        v *= self.beta2
        v += np.multiply(grad, grad, out=work)  # v = beta2 v + g^2
        np.sqrt(v, out=work)
        work += self.epsilon / v_scale**0.5
        np.divide(m, work, out=work)  # m / (sqrt(v) + epsilon / sqrt(v_scale))
        work *= self.learning_rate * m_scale / v_scale**0.5
        self.theta -= work


class Reinforce:
    """Searches in lockstep, one per integer in `seeds`.

    Runs with the same seed start from the same weights and draw the same noise, whatever their
    rewards: the comparison of two rewards is paired."""

    def __init__(self, seeds, hidden, learning_rate, entropy_weight, baseline_decay):
        self.rngs = [np.random.default_rng(seed) for seed in seeds]
        self.controller = Controller(self.rngs, hidden)
        self.adam = Adam(self.controller.theta, learning_rate)
        self.entropy_weight, self.baseline_decay = entropy_weight, baseline_decay
        self.baseline = None  # (N,), from the first reward on

    def search(self, reward, samples):
        """Draw `samples` cells per run, learning from each; returns rows (N, samples).

        reward (N, 15625): what each run is paid for each cell, by row."""
        runs = np.arange(len(self.rngs))
        rows = np.empty((len(runs), samples), np.int32)
        noise = np.stack([rng.gumbel(size=(samples, S, K)) for rng in self.rngs], axis=1)
        for n, gumbel in enumerate(noise.astype(np.float32)):  # (N, S, K) each
            rows[:, n] = cell_to_row(self.controller.sample(gumbel))
            self.learn(reward[runs, rows[:, n]])
        return rows

    def learn(self, R):
        """One REINFORCE update from the rewards R (N,) of the cells just sampled."""
        if self.baseline is None:
            self.baseline = R.copy()
        self.adam.step(self.controller.gradient(R - self.baseline, self.entropy_weight))
        self.baseline += (1 - self.baseline_decay) * (R - self.baseline)  # moving average of R
