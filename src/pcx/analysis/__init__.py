"""pxa: what a network is doing: its regime and health, the curvature of its energy, theory, pictures."""

# What `__all__` does not list is for other rooms, and not public.

from ._activity import activity, deep_activity, expected_activity
from ._curvature import Curvature, curvature
from ._drawing import Drawing, draw
from ._equilibrated_energy import EquilibratedEnergy, equilibrated_energy
from ._equilibrium import equilibrium
from ._health import Health, health
from ._meter import Meter
from ._paired import paired  # noqa: F401
from ._plot_alignment import plot_alignment
from ._plot_boundary import plot_decision_boundary
from ._plot_confusion import plot_confusion
from ._plot_cost import plot_cost
from ._plot_energy_flow import plot_energy_flow
from ._plot_energy_share import plot_energy_share
from ._plot_images import plot_images
from ._plot_seeds import plot_seeds
from ._plot_spectrum import plot_spectrum
from ._plot_theory import plot_activity, plot_equilibrated_energy, plot_saddle
from ._plot_weights import plot_weights
from ._reasons import Finding
from ._record import Regime
from ._regime import regime
from ._saddle import Saddle, saddle_at_zero
from ._spectrum import Spectrum, spectrum
from ._summary import Summary, summary
from ._trace import Trace, trace
from ._verdict import Thresholds
from ._weight_curvature import weight_curvature

__all__ = [
    "Curvature",
    "Drawing",
    "EquilibratedEnergy",
    "Finding",
    "Health",
    "Meter",
    "Regime",
    "Saddle",
    "Spectrum",
    "Summary",
    "Thresholds",
    "Trace",
    "activity",
    "curvature",
    "deep_activity",
    "draw",
    "equilibrated_energy",
    "equilibrium",
    "expected_activity",
    "health",
    "plot_activity",
    "plot_alignment",
    "plot_confusion",
    "plot_cost",
    "plot_decision_boundary",
    "plot_energy_flow",
    "plot_energy_share",
    "plot_equilibrated_energy",
    "plot_images",
    "plot_saddle",
    "plot_seeds",
    "plot_spectrum",
    "plot_weights",
    "regime",
    "saddle_at_zero",
    "spectrum",
    "summary",
    "trace",
    "weight_curvature",
]
