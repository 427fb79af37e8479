"""What is public, and which way imports point."""

import ast
import importlib
import sys
from pathlib import Path

import pytest

SOURCE = Path(__file__).parents[1] / "src" / "pcx"

PUBLIC = {
    "pcx": """RKG BaseModule BaseParam Module Param ParamCache ParamDict RandomKeyGenerator StaticParam __version__ get
        set static tree_apply tree_extract tree_inject tree_ref tree_unref""",
    "pcx.analysis": """Curvature Drawing EquilibratedEnergy Finding Health Meter Regime Saddle Spectrum Summary
        Thresholds Trace activity curvature deep_activity draw equilibrated_energy equilibrium
        expected_activity health plot_activity plot_alignment plot_confusion plot_cost
        plot_decision_boundary plot_energy_flow plot_energy_share plot_equilibrated_energy
        plot_images plot_saddle plot_seeds plot_spectrum plot_weights regime saddle_at_zero spectrum
        summary trace weight_curvature""",
    "pcx.analysis.report": "Group Network NoRun Record files_of is_report page policy read",
    "pcx.data": """ArrayBatches Augmentation Batches DataError Dataset DivisibleBatches Position Scaling Split
        as_batches cache_folder cifar10 cifar100 compose crop digits fashion_mnist flip mnist search_path shuffled
        standardise stream two_moons""",
    "pcx.energy": """Bound Energies ForwardPass Graph Inputs Landscape LocalVJPs Node Nodes OverErrors OverFixedErrors
        OverSharedValues OverValues Problem Samples Stacks WeightGradient Weights""",
    "pcx.experiments": """Arm Data EXPERIMENTS Experiment FirstSteps Measure Outcome Plan Record Settings Trained
        Verified Where first_steps images run verify""",
    "pcx.functional": "cond jit scan switch value_and_grad vmap while_loop",
    "pcx.inference": """AllNodes Descent DescentLike Flow GradientNorm Langevin LayerTime Optax Plan Plateau RESULT
        Schedule Segment Solution Solver SolverLike Steps Stop Sweeps WaveFront linear_equilibrium relax where_bad""",
    "pcx.learning": """Bound Clamp Coordinates DTypePolicy Errors FixedErrors Forward Hard Info Kept
        LearnedPrecision Memory Nudged OUTCOME Phase Precision PredictiveCoding References Rule Settling Start
        State Targets Update Values Zeros backprop bind bpc epc explain fpa hil hybrid ipc mcpc nudged pc stack
        unstack weight_gradient zil""",
    "pcx.models": """AlexNet Decoder DeconvDecoder GenerativeHierarchy HopfieldMemory MLP MuMLP PCMemory Pair ResNet VGG
        alexnet from_equinox resnet18 to_equinox vgg5 vgg7 vgg9""",
    "pcx.nn": """AdaptiveAvgPool2d AdaptiveMaxPool2d AdaptivePool AvgPool2d BatchNorm Conv Conv1d Conv2d Conv3d
        ConvTranspose ConvTranspose1d ConvTranspose2d ConvTranspose3d Dropout Layer LayerNorm LayerParam LayerState
        Linear MaxPool2d Pool StateParam StatefulLayer shared""",
    "pcx.predictive_coding": """Energy EnergyFn EnergyModule Huber Laplace Poisson STATUS Ruleset Vode VodeParam
        ce_energy se_energy zero_energy""",
    "pcx.training": """CheckpointError Checkpoints Choice Dispatch EarlyStopping EventFiles Fit FitOptions Integers
        LearningRule Log Probe ProcessLost Report RunExists Sweep Uniform View accuracy fit join load_run load_weights
        save_weights sweep versions""",
    "pcx.utils": "M M_has M_hasnot M_is Optim OptimTree load_params save_params step",
}

# What each room may import of the others. Nothing points back.
ROOMS = {
    "core": set(),
    "data": set(),
    "functional": {"core"},
    "predictive_coding": {"core"},
    "energy": {"core", "predictive_coding"},
    "nn": {"core", "functional"},
    "utils": {"core", "functional", "nn"},  # nn for LayerParam, what files hold if nothing else is said
    "inference": {"core", "energy"},
    "learning": {"core", "energy", "inference", "nn", "predictive_coding"},
    "models": {"core", "nn", "predictive_coding"},
    "training": {"core", "data", "energy", "learning", "nn", "predictive_coding"},
    "analysis": {"core", "energy", "inference", "learning", "models", "nn", "predictive_coding", "training"},
    "experiments": {
        "analysis",
        "core",
        "data",
        "energy",
        "inference",
        "learning",
        "models",
        "nn",
        "predictive_coding",
        "training",
    },
    "cli": {
        "",
        "analysis",
        "core",
        "data",
        "energy",
        "experiments",
        "functional",
        "inference",
        "learning",
        "models",
        "nn",
        "predictive_coding",
        "training",
        "utils",
    },
}
# The exceptions: a file that uses a room above it, in a function, where that is asked for.
ASKED_FOR = {"training/_probe.py": "analysis"}  # `fit(regime=500)` stands for `fit(regime=pcx.analysis.Meter(500))`
# What each room may import beside the standard library.
LIBRARIES = {
    "core": {"jax", "numpy"},
    "data": {"jax", "numpy", "jaxtyping", "rich", "sklearn"},  # the last two where they are used, if they are there
    "functional": {"jax", "numpy"},
    "predictive_coding": {"jax", "numpy", "jaxtyping"},
    "energy": {"jax", "jaxtyping", "numpy"},
    "nn": {"jax", "numpy", "equinox", "jaxtyping"},
    "utils": {"jax", "numpy", "optax", "jaxtyping"},
    "inference": {"jax", "jaxtyping", "numpy", "optax", "diffrax"},  # the last where it is used, if it is there
    "learning": {"jax", "jaxtyping", "numpy", "optax"},
    "models": {"jax", "numpy", "equinox", "jaxtyping"},
    # matplotlib for types, for new axes, and in the reports, which draw; jinja2 and markupsafe there alone.
    "analysis": {"jax", "jaxtyping", "numpy", "optax", "matplotlib", "jinja2", "markupsafe", "scipy"},
    "experiments": {"jax", "jaxtyping", "matplotlib", "numpy", "optax", "scipy"},
    # All but the first two where they are used.
    "training": {
        "jax",
        "numpy",
        "jaxtyping",
        "matplotlib",
        "optuna",
        "orbax",
        "rich",
        "safetensors",
        "sqlalchemy",
        "tensorboardX",
    },
}
STANDARD = sys.stdlib_module_names


def imports(path: Path) -> set[str]:
    """The absolute names of the modules that a file imports, wherever in it."""
    package = ["pcx", *path.relative_to(SOURCE).parts[:-1]]
    found = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            found.update(alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            module = ".".join([*base, *([node.module] if node.module else [])])
            # `from ..core import RKG` may name a module as well.
            found.update(f"{module}.{alias.name}" for alias in node.names)
    return found


def room_of(module: str) -> str:
    """The room that a module of pcx is in, "" for the package itself."""
    parts = module.split(".")
    return parts[1] if len(parts) > 1 and (SOURCE / parts[1]).is_dir() else ""


FILES = sorted(SOURCE.rglob("*.py"))


@pytest.mark.parametrize("module", PUBLIC)
def test_public_names(module):
    package = importlib.import_module(module)
    assert sorted(package.__all__) == sorted(PUBLIC[module].split())
    for name in package.__all__:
        assert getattr(package, name) is not None


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_imports_point_one_way(path):
    room = path.relative_to(SOURCE).parts[0] if path.parent != SOURCE else ""
    for module in imports(path):
        top = module.split(".")[0]
        if top == "pcx":
            allowed = {"core"} if room == "" else {room, *ROOMS.get(room, ROOMS["cli"])}
            allowed |= {ASKED_FOR.get(path.relative_to(SOURCE).as_posix(), room)}
            assert room_of(module) in allowed, f"{module} is above {room or 'pcx'}"
        elif room in LIBRARIES:
            assert top in STANDARD or top in LIBRARIES[room], f"{room} stands on {LIBRARIES[room]}, not on {top}"


@pytest.mark.parametrize("name", ASKED_FOR)
def test_rooms_above_are_imported_where_they_are_asked_for(name):
    body = ast.parse((SOURCE / name).read_text(encoding="utf-8")).body
    outside = [node for node in body if isinstance(node, ast.Import | ast.ImportFrom)]
    assert ASKED_FOR[name] not in {str(getattr(node, "module", "")).split(".")[0] for node in outside}
    assert any(room_of(module) == ASKED_FOR[name] for module in imports(SOURCE / name))


def test_core_lists_what_other_rooms_use():
    core = importlib.import_module("pcx.core")
    listed = {f"pcx.core.{name}" for name in core._HOME}
    read_by_editors = {name for name in imports(SOURCE / "core" / "__init__.py") if name.startswith("pcx.core.")}
    assert {f"pcx.core.{name.rpartition('.')[2]}" for name in read_by_editors} == listed
    assert all(getattr(core, name) is not None for name in core._HOME)
    for path in FILES:
        if path.parent not in (SOURCE, SOURCE / "core"):
            used = {name for name in imports(path) if name.startswith("pcx.core.")}
            assert used <= listed, f"{path.relative_to(SOURCE)} uses {sorted(used - listed)}, which core doesn't list"


def test_the_reader_of_imports_sees_them():
    assert "jax" in imports(SOURCE / "core" / "_arrays.py")
    assert "pcx.core._parameter.BaseParam" in imports(SOURCE / "core" / "_plan.py")
    assert "pcx.nn.LayerParam" in imports(SOURCE / "utils" / "_files.py")
    assert "pcx.core.RKG" in imports(SOURCE / "predictive_coding" / "_vode.py")
    assert room_of("pcx.core._parameter.BaseParam") == "core"
    assert room_of("pcx.Module") == ""


BELOW = {
    "pcx.core._module": "Module BaseModule",
    "pcx.core._parameter": "BaseParam Param ParamDict ParamCache get set",
    "pcx.core._static": "StaticParam static",
    "pcx.core._random": "RKG RandomKeyGenerator",
    "pcx.core._tree": "tree_apply tree_extract tree_inject tree_ref tree_unref",
    "pcx.nn._parameter": "LayerParam LayerState",
    "pcx.predictive_coding._vode": "Vode",
    "pcx.predictive_coding._energy": "se_energy ce_energy zero_energy",
    "pcx.predictive_coding._parameter": "VodeParam",
    "pcx.utils._mask": "M M_is M_has M_hasnot",
    "pcx.utils._optim": "Optim OptimTree",
}


@pytest.mark.parametrize("module", BELOW)
def test_programs_find_names_in_the_files_below(module):
    assert [n for n in BELOW[module].split() if not hasattr(importlib.import_module(module), n)] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: path.relative_to(SOURCE).as_posix())
def test_rooms_use_what_others_list(path):
    """Rooms import of each other what an `__init__` names, not from modules inside."""
    room = path.relative_to(SOURCE).parts[0]
    for module in imports(path):
        parts = module.split(".")
        if parts[0] == "pcx" and room_of(module) not in ("", room) and path.parent != SOURCE:
            assert len(parts) <= 3, module
            inside = (
                parts[2].startswith("_") and (SOURCE / parts[1] / f"{parts[2]}.py").exists()
                if len(parts) == 3
                else False
            )
            assert not inside, module
