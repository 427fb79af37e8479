"""Downloads: checked, whole or not at all, and only when they are asked for. The net is a server on this machine."""

import gzip
import hashlib
import struct
import sys
import threading
from dataclasses import replace
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer

import numpy as np
import pytest

import pcx.data as pxd
from pcx.data import _download, _images
from pcx.data._download import Remote, download
from pcx.data._sources import CIFAR10, CIFAR100, FASHION_MNIST, MNIST

NAMES = [remote.name for remote in MNIST.remotes]


class Handler(SimpleHTTPRequestHandler):
    asked: list[str]

    def do_GET(self):
        self.asked.append(self.path)
        if self.path.startswith("/cut/"):  # promises more than it sends
            self.send_response(200)
            self.send_header("Content-Length", "1000")
            self.end_headers()
            self.wfile.write(b"begin")
        else:
            super().do_GET()

    def log_message(self, format, *args):
        pass


@pytest.fixture
def server(tmp_path, monkeypatch):
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY", "PCX_DATA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    monkeypatch.setattr("pcx.data._search._SYSTEM", ())
    (tmp_path / "cwd").mkdir()
    monkeypatch.chdir(tmp_path / "cwd")
    folder = tmp_path / "served"
    folder.mkdir()
    handler = type("ThisHandler", (Handler,), {"asked": []})
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(handler, directory=str(folder))) as running:
        thread = threading.Thread(target=running.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{running.server_address[1]}/", folder, handler.asked
        running.shutdown()
        thread.join()


def sums(data):
    return {"md5": hashlib.md5(data).hexdigest(), "sha256": hashlib.sha256(data).hexdigest()}


def serve_mnist(folder, base, monkeypatch):
    remotes = []
    for name, count in zip(NAMES, (5, 5, 2, 2), strict=True):
        array = np.zeros((count, 28, 28) if "images" in name else count, np.uint8)
        head = struct.pack(">BBBB", 0, 0, 8, array.ndim) + struct.pack(f">{array.ndim}I", *array.shape)
        data = gzip.compress(head + array.tobytes())
        (folder / name).write_bytes(data)
        remotes.append(Remote(name, (base,), sums(data)["sha256"]))
    monkeypatch.setattr(_images, "MNIST", replace(MNIST, remotes=tuple(remotes)))


def test_a_data_set_is_fetched_once_and_only_on_demand(server, monkeypatch):
    base, folder, asked = server
    serve_mnist(folder, base, monkeypatch)
    with pytest.raises(FileNotFoundError):
        pxd.mnist()
    assert asked == []
    data = pxd.mnist(download=True)
    assert (len(data.train), len(data.test)) == (5, 2)
    assert data.origin == str(pxd.cache_folder() / "mnist")
    assert asked == [f"/{name}" for name in NAMES]
    assert sorted(path.name for path in (pxd.cache_folder() / "mnist").iterdir()) == sorted(NAMES)
    assert len(pxd.mnist().train) == len(pxd.mnist(download=True).train) == 5
    (pxd.cache_folder() / "mnist" / NAMES[2]).unlink()
    assert len(pxd.mnist(download=True).test) == 2
    assert asked[4:] == [f"/{NAMES[2]}"]  # only what is missing


def test_a_wrong_checksum_leaves_nothing(server, monkeypatch):
    base, folder, _ = server
    serve_mnist(folder, base, monkeypatch)
    (folder / NAMES[0]).write_bytes(b"something else")
    with pytest.raises(pxd.DataError, match=f"mnist: .*{NAMES[0]}: what came has the SHA-256 .* thrown away"):
        pxd.mnist(download=True)
    assert list((pxd.cache_folder() / "mnist").iterdir()) == []


@pytest.mark.parametrize("kind", ["md5", "sha256"])
def test_the_next_address_is_tried(server, tmp_path, kind):
    base, folder, asked = server
    (folder / "f").write_bytes(b"content")
    remote = Remote("f", (base + "missing/", base + "cut/", base), sums(b"content")[kind])
    assert download(remote, tmp_path / "to").read_bytes() == b"content"
    assert asked == ["/missing/f", "/cut/f", "/f"]
    assert [path.name for path in (tmp_path / "to").iterdir()] == ["f"]


def test_a_file_that_is_nowhere(server, tmp_path):
    base, _, _ = server
    with pytest.raises(OSError, match=r"/f: HTTP Error 404.*; .*b/f: HTTP Error 404"):
        download(Remote("f", (base, base + "b/"), "0" * 64), tmp_path / "to")
    assert not (tmp_path / "to").exists()


def test_offline(server, monkeypatch):
    _, folder, _ = server
    serve_mnist(folder, "http://127.0.0.1:9/", monkeypatch)  # nobody listens there
    with pytest.raises(FileNotFoundError) as error:
        pxd.mnist(download=True)
    for part in (NAMES[0], str(pxd.cache_folder()), "http://127.0.0.1:9/", "The download failed", "Put them into"):
        assert part in str(error.value)
    assert not pxd.cache_folder().exists()


def test_without_rich(server, tmp_path, monkeypatch):
    base, folder, _ = server
    (folder / "f").write_bytes(b"content")
    for name in ("rich", "rich.console", "rich.progress"):
        monkeypatch.setitem(sys.modules, name, None)
    assert download(Remote("f", (base,), sums(b"content")["md5"]), tmp_path).is_file()
    with _download._progress("f", None) as advance:
        advance(3)


def test_the_published_checksums_are_well_formed():
    remotes = [one for source in (FASHION_MNIST, MNIST, CIFAR10, CIFAR100) for one in source.remotes]
    assert len({one.checksum for one in remotes}) == len(remotes) == 10
    for one in remotes:
        assert len(bytes.fromhex(one.checksum)) in (16, 32)
        assert all(base.endswith("/") for base in one.bases)
