"""What makes several processes one job: arguments, and the variables of SLURM and Open MPI. None is started here: see
test_machines.py."""

import pytest

import pcx.training as pxt
from pcx.cli import main
from pcx.training._join import Launcher, launched

SLURM = {"SLURM_JOB_ID": "7", "SLURM_NTASKS": "4", "SLURM_PROCID": "3", "SLURM_LOCALID": "1"}
STEP = {"SLURM_STEP_NODELIST": "node[1-2]", "SLURM_STEP_NUM_TASKS": "4"}
MPI = {"OMPI_COMM_WORLD_SIZE": "2", "OMPI_COMM_WORLD_RANK": "1", "OMPI_COMM_WORLD_LOCAL_RANK": "1"}


@pytest.fixture(autouse=True)
def by_itself(monkeypatch):
    for name in [*SLURM, *STEP, *MPI, "OMPI_MCA_orte_hnp_uri"]:
        monkeypatch.delenv(name, raising=False)


@pytest.mark.parametrize(
    ("variables", "found"),
    [
        ({}, None),
        (SLURM | STEP, Launcher("SLURM", 4, 3, True, 1)),
        (SLURM, None),  # the script of a job, which no srun started
        (SLURM | STEP | {"SLURM_STEP_NUM_TASKS": "1"}, None),  # a shell in a job
        (SLURM | STEP | {"SLURM_NTASKS": "1", "SLURM_PROCID": "0"}, None),
        (MPI, Launcher("Open MPI", 2, 1, False, 1)),
        (MPI | {"OMPI_MCA_orte_hnp_uri": "1531576320.0;tcp://10.0.0.1:34911"}, Launcher("Open MPI", 2, 1, True, 1)),
        (MPI | {"OMPI_COMM_WORLD_SIZE": "1", "OMPI_COMM_WORLD_RANK": "0"}, None),
        (SLURM | MPI, Launcher("Open MPI", 2, 1, False, 1)),  # mpirun in a script of SLURM
    ],
)
def test_launchers(variables, found):
    assert launched(variables) == found


@pytest.mark.parametrize(
    ("given", "error", "words"),
    [
        ({"coordinator": "a:1"}, ValueError, "processes and process are missing"),
        ({"processes": 2, "process": 0}, ValueError, "coordinator is missing"),
        ({"coordinator": "a", "processes": 2, "process": 0}, ValueError, "'host:port'"),
        ({"coordinator": "a:0", "processes": 2, "process": 0}, ValueError, "port from 1 to 65535"),
        ({"coordinator": "a:x", "processes": 2, "process": 0}, ValueError, "'host:port'"),
        ({"coordinator": ":1", "processes": 2, "process": 0}, ValueError, "'host:port'"),
        ({"coordinator": 7, "processes": 2, "process": 0}, TypeError, "a text 'host:port'"),
        ({"coordinator": "a:1", "processes": 2, "process": 2}, ValueError, "from 0 to 1, of 2 processes"),
        ({"coordinator": "a:1", "processes": 0, "process": 0}, ValueError, "at least 1"),
        ({"coordinator": "a:1", "processes": 2.0, "process": 0}, TypeError, "processes must be a whole number"),
        ({"coordinator": "a:1", "processes": 2, "process": True}, TypeError, "process must be a whole number"),
        ({"coordinator": "a:1", "processes": 2, "process": 0, "seconds": 0}, ValueError, "above 0"),
        ({"coordinator": "a:1", "processes": 2, "process": 0, "seconds": float("nan")}, ValueError, "above 0"),
    ],
)
def test_what_is_refused(given, error, words):
    with pytest.raises(error, match=f"^join: .*{words}"):
        pxt.join(**given)


def test_one_process_stays_by_itself():
    assert pxt.join() == 0
    assert pxt.join("localhost:1", 1, 0) == 0


def test_open_mpi_that_does_not_say_where(monkeypatch):
    for name, value in MPI.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(
        ValueError, match=r"^join: Open MPI started this process as number 1 of 2.*give its coordinator"
    ):
        pxt.join()


def test_a_command_that_is_one_process(monkeypatch, capsys, tmp_path):
    for name, value in MPI.items():
        monkeypatch.setenv(name, value)
    words = ["compare", "--data", "two-moons", "--batch-size", "48", "--epochs", "1", "--out", str(tmp_path / "out")]
    assert main(words) == 1
    assert "pcx compare is one process, and Open MPI started 2" in capsys.readouterr().err
    assert not (tmp_path / "out").exists()
