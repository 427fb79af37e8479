"""`pcx watch`: what is answered, to whom, and how it ends."""

import http.client
import json
import os
import signal
import socket
import threading
from pathlib import Path

import pytest

from pcx.cli._failures import CommandError

from .commands import call, start


@pytest.fixture
def run(tmp_path):
    folder = tmp_path / "first"
    folder.mkdir()
    (folder / "config.json").write_text(json.dumps({"command": "train", "options": {"rule": "pc"}, "epochs": 2}))
    return folder


@pytest.fixture
def server(run):
    from pcx.cli._watch import serving

    with serving([run], 0) as made:
        thread = threading.Thread(target=made.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def ask(server, method="GET", path="/", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=20)
    try:
        connection.request(method, path, headers=headers)
        answer = connection.getresponse()
        return answer, answer.read().decode()
    finally:
        connection.close()


def test_it_serves_the_page_and_says_when_nothing_is_new(server, run):
    answer, text = ask(server)
    assert (answer.status, answer.headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert "first has no epoch yet" in text
    assert "data-refresh" in text
    again, nothing = ask(server, **{"If-None-Match": answer.headers["ETag"]})
    assert (again.status, nothing) == (304, "")
    (run / "metrics.jsonl").write_text('{"epoch": 1, "network": 0, "note": 0.25}\n')
    newer, text = ask(server, **{"If-None-Match": answer.headers["ETag"]})
    assert (newer.status, newer.headers["ETag"] != answer.headers["ETag"]) == (200, True)
    assert "0.25" in text
    (run / "config.json").unlink()
    gone, text = ask(server)
    assert gone.status == 503
    assert "holds no run" in text


@pytest.mark.parametrize(
    ("method", "path", "headers", "status"),
    [
        ("GET", "/", {"Host": "evil.example"}, 421),
        ("GET", "/", {"Host": "127.0.0.1"}, 421),
        ("GET", "/", {"Host": "127.0.0.1.evil.example:80"}, 421),
        ("GET", "/config.json", {}, 404),
        ("GET", "/../../etc/passwd", {}, 404),
        ("GET", "/?x", {}, 404),
        ("GET", "/favicon.ico", {}, 404),
        ("POST", "/", {}, 405),
        ("OPTIONS", "/", {}, 405),
        ("HEAD", "/", {}, 405),
        ("<b>", "/", {}, 405),
    ],
)
def test_nothing_else_is_answered(server, method, path, headers, status):
    answer, text = ask(server, method, path, **headers)
    assert answer.status == status
    assert "<" not in text
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert "default-src 'none'" in answer.headers["Content-Security-Policy"]
    assert "frame-ancestors 'none'" in answer.headers["Content-Security-Policy"]
    assert "Access-Control-Allow-Origin" not in answer.headers


def test_it_answers_to_localhost_and_listens_on_the_loopback_address_alone(server):
    assert ask(server, Host=f"localhost:{server.server_port}")[0].status == 200
    assert server.server_address[0] == "127.0.0.1"


def test_a_request_without_a_host_is_refused(server):
    with socket.create_connection(server.server_address, timeout=20) as connection:
        connection.sendall(b"GET / HTTP/1.0\r\n\r\n")
        assert b" 421 " in connection.recv(4096)


def test_what_is_refused(run, server, capsys, tmp_path):
    assert call("watch", run, "--port", server.server_port) == 1
    assert f"port {server.server_port} is in use" in capsys.readouterr().err
    assert call("watch", run, "--port", 70000) == 2
    (tmp_path / "empty").mkdir()
    assert call("watch", tmp_path / "empty") == 1
    assert "holds no run" in capsys.readouterr().err
    for place in (run / "config.json" / "inside", "x" * 300, "a\0b"):
        assert call("watch", place) == 1
        assert "can't be a run" in capsys.readouterr().err
    assert call("watch") == 2


def test_a_run_that_has_not_begun_is_waited_for(run, tmp_path, monkeypatch):
    from pcx.cli._watch import Watched

    monkeypatch.chdir(tmp_path)
    watched = Watched([run, Path("runs/second")], [Path("runs/second")])
    tag, page = watched.page()
    assert "Waiting for runs/second to begin." in page.decode()
    assert "first has no epoch yet" in page.decode()
    assert "<title>first, runs/second – pcx report</title>" in page.decode()
    (tmp_path / "runs" / "second").mkdir(parents=True)
    assert watched.page()[0] == tag
    assert "<table" not in Watched([Path("runs/second")], [Path("runs/second")]).page()[1].decode()
    (tmp_path / "runs" / "second" / "config.json").write_text((run / "config.json").read_text())
    newer, page = watched.page()
    assert newer != tag
    assert "second has no epoch yet" in page.decode()
    assert "Waiting" not in page.decode()
    (tmp_path / "runs" / "second" / "config.json").unlink()
    with pytest.raises(CommandError, match="holds no run"):
        watched.page()


@pytest.mark.hasty
@pytest.mark.skipif(os.name != "posix", reason="needs signals")
@pytest.mark.parametrize(("number", "status"), [(signal.SIGINT, 0), (signal.SIGTERM, 143)])
def test_it_ends_in_order(run, number, status):
    process = start("watch", run, "later", "--port", 0, cwd=run)
    assert process.stdout is not None
    assert process.stdout.readline() == "waiting for later to begin\n"
    assert "at http://127.0.0.1:" in process.stdout.readline()
    process.send_signal(number)
    out, error = process.communicate(timeout=60)
    assert (process.returncode, out, error) == (status, "ended; the runs go on as they did\n", "")
