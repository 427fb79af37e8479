"""The devices that a command trains on: what doesn't fit is said in the words of its options."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

from ..learning import NotByLayer
from ..training import Layout, mesh_by_layer
from ._failures import Refused
from ._settings import Experiment


def check_devices(options: Experiment) -> None:
    """Refuse, before there is a folder, devices that there are not, or that networks and batches can't be shared out
    among.

    **Raises:** `Refused`.
    """
    asked = "--layer-devices" if options.devices is None else "--devices"
    try:
        mesh = mesh_by_layer(options.devices, options.layer_devices, asked)
        Layout.of(mesh, len(options.all_seeds)).check_batch(options.batch_size)
    except ValueError as error:
        raise Refused(str(error).removeprefix("fit: ")) from error


@contextlib.contextmanager
def layers_in_words(options: Experiment) -> Iterator[None]:
    """Say what keeps layers from being shared out over `--layer-devices` in the words of the options.

    **Raises:** `Refused`.
    """
    try:
        yield
    except NotByLayer as error:
        raise Refused(f"--layer-devices {options.layer_devices}: {_reason(error, options)}") from error


def _reason(error: NotByLayer, options: Experiment) -> str:
    hidden = len(options.hidden)
    if not error.take or options.model not in ("mlp", "mu-mlp") or len(set(options.hidden)) > 1:
        return f"{error.why}, by --devices" if error.why.endswith("instead") else error.why
    first = " (the first has another input width)" if options.model == "mlp" and error.equal == hidden - 1 else ""
    take = " or ".join(str(hidden - error.equal + size) for size in error.take)
    return (
        f"{error.equal} of the {hidden} hidden layers are equal{first}, and these can't be shared out evenly; take "
        f"--hidden with {take} widths, or another number of devices"
    )
