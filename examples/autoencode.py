"""Learn images without labels, and fill in what is missing of new ones. Run: python examples/autoencode.py

A decoder has no encoder: its latent settles until it explains the image, and what it settles to is the image's code.
"""

import argparse

import jax
import jax.numpy as jnp
import numpy as np
import optax

import pcx as px
import pcx.data as pxd
import pcx.inference as pxi
import pcx.learning as pxl
import pcx.models as pxm
import pcx.training as pxt


def reconstruct(model: pxm.Decoder, images: jax.Array, optim_h: optax.GradientTransformation, T: int):
    """Return codes `[batch, latents]` and reconstructions `[batch, pixels]`: predictions at the settled values."""
    bound = pxl.bind(model, (None, images))
    start = bound.start()
    landscape = bound.landscape(start.targets)
    values = pxi.relax(landscape, start.h, descent=optim_h, stop=T).nodes
    return values["latent"], bound.predictions(values, start.targets)["image"]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--latents", type=int, default=16)
    parser.add_argument("--epochs", type=int, default=30)
    parser.add_argument("--picture", help="a file to draw the images into, such as images.png")
    given = parser.parse_args()

    data = pxd.digits(flat=True)
    px.RKG.seed(0)
    model = pxm.Decoder([given.latents, 64, 64])
    optim_h = optax.sgd(0.1)
    rule = pxl.pc(optax.adam(3e-3), optim_h, T=20)
    run = pxt.fit(model, rule, (None, data.train.x), epochs=given.epochs, batch_size=64, show=False)
    print(
        f"{run.ended}; energy {run.last('energy')[0]:.3f}, of which each node has its share:",
        run.history[-1]["energies"],
    )

    images = jnp.asarray(data.test.x)
    codes, made = reconstruct(model, images, optim_h, T=100)
    print(f"codes {codes.shape}, mean squared error of the reconstructions {jnp.mean((made - images) ** 2):.4f}")

    # The upper half is held, and the lower one settles together with the latent.
    known = (np.arange(64) < 32)[None]
    filler = pxl.pc(optax.adam(3e-3), optim_h, T=200)
    filled = filler.predict(model, None, settle=True, hold={"image": (known, images)})
    mean = jnp.mean((jnp.mean(data.train.x, axis=0) - images)[:, 32:] ** 2)
    print(f"lower half: error {jnp.mean((filled - images)[:, 32:] ** 2):.4f}, of the mean image {mean:.4f}")

    if given.picture:
        import pcx.analysis as pxa

        rows = {"original": images, "made": made, "known": jnp.where(known, images, 0.5), "filled in": filled}
        pxa.plot_images(rows, shape=(8, 8), limits=(0, 1)).figure.savefig(given.picture, bbox_inches="tight")


if __name__ == "__main__":
    main()
