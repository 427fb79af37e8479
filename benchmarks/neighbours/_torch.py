"""Plain PyTorch, written by hand and run eagerly: backpropagation, and descent on the values of all layers."""

import torch
import torch.nn.functional as F
from _worker import main
from _workloads import LEARN, MOMENTUM, RATE


class Torch:
    packages = ("torch",)

    def __init__(self, work, rule, weights, x, y):
        self.now = [tuple(torch.from_numpy(a.copy()).requires_grad_() for a in pair) for pair in weights]
        self.x, self.y = torch.from_numpy(x), torch.from_numpy(y)
        self.T = work.T
        self.update = self.settled if rule == "pc" else self.loss

    def layer(self, i, h):
        w, b = self.now[i]
        if w.ndim == 4:
            return F.max_pool2d(F.gelu(F.conv2d(h, w, b, padding=1), approximate="tanh"), 2)
        u = F.linear(h.flatten(1), w, b)
        return u if i == len(self.now) - 1 else torch.tanh(u)

    def loss(self):
        """Half the squared error of the outputs, mean over the batch."""
        h = self.x
        for i in range(len(self.now)):
            h = self.layer(i, h)
        return 0.5 * (self.y - h).square().sum() / len(self.x)

    def total(self, values):
        """The energy of all samples."""
        pairs = zip([self.x, *values], [*values, self.y], strict=True)
        return sum(0.5 * (above - self.layer(i, below)).square().sum() for i, (below, above) in enumerate(pairs))

    def settled(self):
        """The mean energy after the inference steps, as a function of the weights."""
        values, h = [], self.x
        with torch.no_grad():
            for i in range(len(self.now) - 1):
                h = self.layer(i, h)
                values.append(h)
        for _ in range(self.T):
            values = [v.requires_grad_() for v in values]
            gradients = torch.autograd.grad(self.total(values), values)
            with torch.no_grad():
                values = [v - RATE * g for v, g in zip(values, gradients, strict=True)]
        return self.total(values) / len(self.x)

    def begin(self):
        self.optimiser = torch.optim.SGD([a for pair in self.now for a in pair], lr=LEARN, momentum=MOMENTUM)
        self.step()

    def step(self):
        self.optimiser.zero_grad()
        value = self.update()
        value.backward()
        self.optimiser.step()
        self.value = value.detach()

    def energy(self):
        return float(self.value)

    def weights(self):
        return [tuple(a.detach().numpy().copy() for a in pair) for pair in self.now]


if __name__ == "__main__":
    main(Torch)
