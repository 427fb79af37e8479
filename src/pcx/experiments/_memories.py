"""Associative memories: a generative one, which learns images, and a Hopfield one, whose weights they are.

A *generative* memory (Salvatori et al. 2021) predicts an image from hidden nodes, and these from a memory vector that
it learns. To recall, the pixels that are known are clamped, and all else settles, the other pixels included. A
*Hopfield* memory (Ramsauer et al. 2021) keeps the images themselves as the weights of one layer; its energy has a
valley at each.

```bibtex
@inproceedings{salvatori2021associative,
    author    = {Tommaso Salvatori and Yuhang Song and Yujian Hong and Lei Sha and Simon Frieder and Zhenghua Xu and
                 Rafal Bogacz and Thomas Lukasiewicz},
    title     = {Associative Memories via Predictive Coding},
    booktitle = {Advances in Neural Information Processing Systems}, year = {2021},
}
@inproceedings{ramsauer2021hopfield,
    author    = {Hubert Ramsauer and Bernhard Sch{\"a}fl and Johannes Lehner and others},
    title     = {Hopfield Networks is All You Need},
    booktitle = {International Conference on Learning Representations}, year = {2021},
}
```
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
import optax

from .. import inference as pxi
from .. import learning as pxl
from .. import nn as pxnn
from .. import predictive_coding as pxc
from ..core import seeded
from ..models import GenerativeHierarchy
from ._images import packed, shape_of, unpacked
from ._memory import Memory, MemorySettings
from .frame import Arm, Data, FirstSteps, Record, Trained, draw_with_images

_SHOWN = 10  # images in the figure


@dataclass(frozen=True)
class Valleys(pxc.Energy):
    """The energy `-1/b log sum exp(b u)` of similarities u: low where one of them is high.

    **Arguments:**

    - `b`: how sharp it is.
    """

    b: float

    def elements(self, h: jax.Array, u: jax.Array) -> jax.Array:
        total = -jax.nn.logsumexp(self.b * u, axis=-1, keepdims=True) / self.b
        return jnp.broadcast_to(total / u.shape[-1], h.shape)


class HopfieldMemory(pxc.EnergyModule):
    """An image h has the energy `-1/b log sum_i exp(-b/2 |h - image_i|^2)`. Of that, `1/2 |h - c|^2` is of its own
    node, which the centre c of all images predicts, and the rest of the node of its similarities to them. A step of
    descent of size 1 is the update of a modern Hopfield network, `h <- sum_i softmax_i image_i`.

    **Arguments:**

    - `images`: what is stored, `[images, features]`.
    - `b`: how sharp the valleys are.
    """

    def __init__(self, images: np.ndarray, b: float) -> None:
        super().__init__()
        centre = images.mean(axis=0)
        self.centre = pxnn.LayerParam(jnp.asarray(centre))
        self.layer = pxnn.Linear(images.shape[1], len(images))
        self.layer.nn.weight.set(jnp.asarray(images - centre))
        self.layer.nn.bias.set(jnp.asarray(-0.5 * np.sum((images - centre) ** 2, axis=1)))
        self.data = pxc.Vode(output=True)
        self.similarity = pxc.Vode(Valleys(b))

    def __call__(self, x: None) -> jax.Array:
        h = self.data(self.centre.get())
        self.similarity(self.layer(h - self.centre.get()))
        return h


def top_half(features: int) -> np.ndarray:
    """Return a mask of one image, `[features]`: True in the upper half of its rows.

    **Arguments:**

    - `features`: of the image, see `shape_of`.
    """
    known = np.zeros(shape_of(features), bool)
    known[..., : known.shape[-2] // 2, :] = True
    return known.reshape(-1)


def from_half(memory: pxc.EnergyModule, descent: optax.GradientTransformation, images: Any, steps: int) -> np.ndarray:
    """Recall images of which the upper half is clamped, and the rest settles.

    **Arguments:**

    - `memory`: either one.
    - `descent`, `steps`: how values settle.
    - `images`: `[images, features]`.

    **Returns:** what the memory gives, likewise.
    """
    rule = pxl.pc(optax.sgd(1.0), descent, steps)
    known = top_half(images.shape[1])[None]
    return np.asarray(rule.predict(memory, None, settle=True, hold={"data": (known, np.where(known, images, 0))}))


def from_noise(memory: pxc.EnergyModule, descent: optax.GradientTransformation, noisy: Any, steps: int) -> np.ndarray:
    """Recall images from noisy ones. A generative memory predicts what is clamped at the noisy image; in a Hopfield
    memory the image itself settles, from the noisy one on.

    **Arguments:**

    - `memory`, `descent`, `steps`: as of `from_half`.
    - `noisy`: `[images, features]`.

    **Returns:** what the memory gives, likewise.
    """
    noisy = jnp.asarray(noisy)
    bound = pxl.bind(memory, (None, noisy))
    start = bound.start()
    if not isinstance(memory, HopfieldMemory):
        landscape = bound.landscape(start.targets)
        nodes = pxi.relax(landscape, start.h, descent=descent, stop=steps).nodes
        return np.asarray(bound.predictions(nodes)["data"])
    landscape = bound.landscape({"data": noisy}, hold={"data": np.zeros((1, 1), bool)})
    begin = {**start.h, "data": noisy}
    return np.asarray(pxi.relax(landscape, begin, descent=descent, stop=steps).nodes["data"])


def noisy_of(images: np.ndarray, noise: float) -> np.ndarray:
    """Return images with normal noise of that deviation, the same at every call."""
    drawn = np.random.default_rng(0).normal(scale=noise, size=images.shape)
    return (images + drawn).astype(np.float32)


@dataclass
class Judge:
    """A judge of what memories recall.

    **Arguments:**

    - `settings`: of the experiment.
    - `images`: those that it stores, `[images, features]`.
    - `descent`: how values settle.
    - `shown`: what the first memory that was judged gave, for the figure.
    """

    settings: MemorySettings
    images: np.ndarray
    descent: optax.GradientTransformation
    shown: dict[str, np.ndarray] | None = None

    def recalls(self, memory: pxc.EnergyModule) -> dict[str, np.ndarray]:
        """Return what a memory gives, `[images, features]`, from a half and from noise."""
        steps, noisy = self.settings.recall_T, noisy_of(self.images, self.settings.noise)
        half = from_half(memory, self.descent, self.images, steps)
        return {"half": half, "noise": from_noise(memory, self.descent, noisy, steps)}

    def numbers(self, memory: pxc.EnergyModule) -> dict[str, float]:
        """Return the shares of recalled images and the errors, by the names of the experiment's measures."""
        missing = ~top_half(self.images.shape[1])
        recalls, found = self.recalls(memory), {}
        self.shown = self.shown or recalls
        for cue, given in recalls.items():
            squared = (given - self.images) ** 2
            each = squared.mean(axis=1)
            found[cue] = float(np.mean(each < self.settings.bound))
            found |= {f"{cue}_error": float(each.mean()), f"{cue}_worst_error": float(each.max())}
            if cue == "half":
                found["half_missing_error"] = float(squared[:, missing].mean())
        return found

    def kept(self) -> dict[str, Any]:
        """Return some images of the first memory for the figure, by row."""
        assert self.shown is not None
        images, known = self.images[:_SHOWN], top_half(self.images.shape[1])
        found = {name: each[:_SHOWN] for name, each in self.shown.items()}
        cues = {"half": np.where(known, images, 0), "noise": noisy_of(self.images, self.settings.noise)[:_SHOWN]}
        rows = {"stored": images}
        for cue in cues:
            rows |= {f"cue: {cue}": cues[cue], f"from {cue}": found[cue]}
        return {name: packed(each) for name, each in rows.items()}


def generative(settings: MemorySettings, data: Data) -> Trained:
    """Return the arm of the generative memory."""
    images = data.train[1]
    widths = (*settings.hidden, images.shape[1])
    descent = optax.sgd(settings.state_lr, momentum=settings.state_momentum)
    judge = Judge(settings, images, descent)

    def memory(state: pxl.State) -> GenerativeHierarchy:
        with seeded(0):
            made = GenerativeHierarchy(widths)
        state.write_to(made)
        return made

    return Trained(
        lambda: GenerativeHierarchy(widths),
        pxl.pc(optax.adam(settings.lr), descent, settings.T),
        Data(data.name, data.train, data.train, data.sha256),
        settings.epochs,
        settings.batch_size,
        after=lambda state: judge.numbers(memory(state)),
        keep=lambda state: judge.kept(),
        looks=False,
    )


class Hopfield(Arm):
    """The arm of the Hopfield memory, which is made and not trained: all seeds are alike.

    **Arguments:**

    - `settings`, `data`: of the experiment.
    """

    def __init__(self, settings: MemorySettings, data: Data) -> None:
        self.images = data.train[1]
        self.memory = HopfieldMemory(self.images, settings.sharpness)
        self.judge = Judge(settings, self.images, optax.sgd(1.0))

    def train(self, folder: Path, seeds: Sequence[int], show: bool) -> Record:
        numbers = self.judge.numbers(self.memory)
        return Record(
            [{"seed": seed, "epoch": 0} for seed in seeds],
            after={name: [value] * len(seeds) for name, value in numbers.items()},
            kept=self.judge.kept(),
            made_of={"rule": None, "weights": int(sum(a.size for a in jax.tree.leaves(self.memory)))},
        )

    def first_steps(self, seed: int, count: int) -> FirstSteps:
        """Take the first steps of a recall from a half: the error of the image after each."""
        known = top_half(self.images.shape[1])[None]
        cues = jnp.asarray(np.where(known, self.images, 0))
        bound = pxl.bind(self.memory, (None, cues))
        landscape = bound.landscape({"data": cues}, hold={"data": known})

        def error(nodes: Mapping[str, Any]) -> dict[str, Any]:
            return {"error": jnp.mean((nodes["data"] - self.images) ** 2, axis=1)}

        found = pxi.relax(landscape, bound.start().h, descent=self.judge.descent, stop=count, trace=error)
        errors = np.asarray((found.trace or {})["error"]).mean(axis=1)[1:]
        bits = hashlib.sha256(np.asarray(found.nodes["data"]).tobytes()).hexdigest()
        return FirstSteps({"error": errors.tolist()}, {}, bits)


def draw(path: Path, records: Mapping[str, Record]) -> None:
    """Draw the share of images that each memory recalls from a half, and what each gives.

    **Arguments:**

    - `path`: of the PNG file.
    - `records`: by arm.
    """
    rows: dict[str, np.ndarray] = {}
    for name, record in records.items():
        for row, images in record.kept.items():
            if row.startswith("from") or row not in rows:
                rows[f"{name} {row}" if row.startswith("from") else row] = unpacked(images)
    draw_with_images(path, Memory.measures[0], records, rows)
