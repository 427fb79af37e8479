"""The notebooks of `docs/notebooks/`, executed, as pages of the site.

Each is a Python file in Jupytext's percent format, with a paired `.ipynb` for those who open it elsewhere. As a program
this executes notebooks and keeps what they put out in `.cache/notebooks/`, by a hash of the notebook, of pcx and of
what it stands on, so that nothing is executed twice and nothing goes stale:

    python docs/hooks/notebooks.py                        all that are not kept
    python docs/hooks/notebooks.py docs/notebooks/01*.py  these; --again: also if they are kept

The build of the site with PCX_NOTEBOOKS=run does that by itself, and fails where a notebook does. Otherwise it executes
nothing, and takes what is kept, or what the paired file holds of the same cells.
"""

import argparse
import base64
import hashlib
import html as escapes
import os
import re
import sys
import tempfile
import time
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from importlib.metadata import version
from pathlib import Path

import jupytext
import nbformat
from mkdocs.config.defaults import MkDocsConfig
from mkdocs.structure.files import File, Files
from mkdocs.structure.pages import Page
from nbformat import NotebookNode

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "notebooks"
KEPT = ROOT / ".cache" / "notebooks"
STANDS_ON = ("jax", "jaxlib", "equinox", "optax", "numpy", "matplotlib")
PICTURES = {"image/png": "png", "image/gif": "gif", "image/jpeg": "jpg", "image/svg+xml": "svg"}
NOT_RUN = "This site was built without running the notebook, so that what it prints and draws isn't shown."
SECONDS = 900
"""How long a cell may take."""


def paths() -> list[Path]:
    """The notebooks, in order."""
    return sorted(FOLDER.glob("[0-9]*.py"))


def read(path: Path) -> NotebookNode:
    """A notebook without outputs, from its Python file."""
    return jupytext.read(path)


def same_cells(a: NotebookNode, b: NotebookNode) -> bool:
    """Whether two notebooks have the same cells, whatever these put out."""
    return [(c.cell_type, c.source) for c in a.cells] == [(c.cell_type, c.source) for c in b.cells]


@cache
def surroundings() -> str:
    """A hash of pcx and of what it stands on."""
    found = hashlib.sha256(repr((sys.version_info[:2], [version(name) for name in STANDS_ON])).encode())
    for path in sorted((ROOT / "src").rglob("*.py")):
        found.update(path.read_bytes())
    return found.hexdigest()


def kept_at(path: Path) -> Path:
    """Where what a notebook puts out is kept."""
    cells = "\0".join(f"{c.cell_type}\0{c.source}" for c in read(path).cells)
    return KEPT / f"{path.stem}-{hashlib.sha256((cells + surroundings()).encode()).hexdigest()[:16]}.ipynb"


def execute(path: Path) -> float:
    """Execute a notebook in a process and a folder of its own, and keep it. Returns the seconds that it took."""
    from nbclient import NotebookClient

    notebook, start = read(path), time.perf_counter()
    with tempfile.TemporaryDirectory() as folder:
        # The kernel is this interpreter, whatever kernels a user has.
        client = NotebookClient(
            notebook, timeout=SECONDS, kernel_name="python3", resources={"metadata": {"path": folder}}
        )
        client.execute(cwd=folder)
    KEPT.mkdir(parents=True, exist_ok=True)
    for old in KEPT.glob(f"{path.stem}-*.ipynb"):
        old.unlink()
    nbformat.write(notebook, kept_at(path))
    return time.perf_counter() - start


def executed(path: Path) -> NotebookNode | None:
    """A notebook with what its cells put out, if that is known."""
    if kept_at(path).exists():
        return nbformat.read(kept_at(path), as_version=4)
    pair = path.with_suffix(".ipynb")
    if pair.exists():
        found = nbformat.read(pair, as_version=4)
        code = [c for c in found.cells if c.cell_type == "code"]
        if same_cells(found, read(path)) and any(c.outputs for c in code):
            return found
    return None


def shown(output: NotebookNode, name: str, alt: str, files: dict[str, bytes], raw: list[str]) -> str:
    """An output as Markdown. Pictures are added to `files`, HTML to `raw`."""
    if output.output_type == "stream":
        return f"```text\n{output.text.rstrip()}\n```"
    if output.output_type == "error":
        plain = re.sub(r"\x1b\[[\d;]*m", "", "\n".join(output.traceback))
        return f"```text\n{plain}\n```"
    data = output.data
    for kind, ending in PICTURES.items():
        if kind in data:
            text = "".join(data[kind])
            files[name := f"{name}.{ending}"] = text.encode() if ending == "svg" else base64.b64decode(text)
            return f'<div class="output"><img src="{name}" alt="{escapes.escape(alt)}" loading="lazy"></div>'
    if "text/html" in data:
        raw.append("".join(data["text/html"]))
        return f'<div class="output" data-raw="{len(raw) - 1}"></div>'
    if "text/markdown" in data:
        return "".join(data["text/markdown"])
    return f"```text\n{''.join(data.get('text/plain', '')).rstrip()}\n```"


def merged(outputs: list[NotebookNode]) -> list[NotebookNode]:
    """The outputs of a cell, with texts that follow each other as one, and without what goes to stderr."""
    found: list[NotebookNode] = []
    for output in outputs:
        if output.output_type == "stream":
            if output.name == "stderr":
                continue
            if found and found[-1].output_type == "stream":
                found[-1].text += output.text
                continue
            output = NotebookNode(output)
        # A figure's or an animation's own text, such as `<Figure size 640x480 with 1 Axes>`, says nothing.
        found.append(output)
    return found


def as_markdown(notebook: NotebookNode, stem: str, raw: list[str]) -> tuple[str, dict[str, bytes]]:
    """A notebook as a page, and its pictures by their places beside it.

    A cell's metadata may say `alt="..."`, what its picture shows; tags `hide-input` and `hide-output` do that.
    """
    parts, files, heading = [], {}, stem
    for i, cell in enumerate(notebook.cells):
        tags = cell.metadata.get("tags", [])
        if cell.cell_type == "markdown":
            headings = re.findall(r"^#+ (.*)$", cell.source, re.MULTILINE)
            heading = headings[-1] if headings else heading
            # What stands in HTML is Markdown to Jupyter, but to a page of the site only where it says so.
            parts.append(cell.source.replace("<details>", '<details markdown="1">'))
            continue
        if cell.cell_type != "code" or not cell.source.strip():
            continue
        if "hide-input" not in tags:
            parts.append(f"```py\n{cell.source}\n```")
        if "hide-output" in tags:
            continue
        alt = cell.metadata.get("alt", f"What the code above draws: {heading}")
        for j, output in enumerate(merged(cell.get("outputs", []))):
            parts.append(shown(output, f"{stem}_files/{i}-{j}", alt, files, raw))
    return "\n\n".join(parts) + "\n", files


def title_of(path: Path) -> str:
    """The first heading of a notebook."""
    for cell in read(path).cells:
        found = re.search(r"^# (.*)$", cell.source, re.MULTILINE) if cell.cell_type == "markdown" else None
        if found:
            return found[1]
    return path.stem


RAW: dict[str, list[str]] = {}
"""The HTML that notebooks put out, by page; put in where Markdown is done with."""


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Fill the part "Notebooks" of the navigation, and execute the notebooks, if that is asked for."""
    for entry in config.nav or []:
        if isinstance(entry, dict) and "Notebooks" in entry:
            pages: list[str | dict[str, str]] = [{title_of(path): f"notebooks/{path.stem}.md"} for path in paths()]
            entry["Notebooks"] = [{"All notebooks": "notebooks/index.md"}, *pages]
    wanted = os.environ.get("PCX_NOTEBOOKS", "kept")
    if wanted not in ("kept", "run"):
        raise ValueError(f"PCX_NOTEBOOKS must be kept or run, got {wanted!r}")
    if wanted == "run":
        run(paths(), again=False)
    return config


def on_files(files: Files, config: MkDocsConfig) -> Files:
    """Add the pages of the notebooks, their pictures, and the notebooks themselves."""
    rows = []
    for path in paths():
        found, raw = executed(path), []
        text, pictures = as_markdown(found or read(path), path.stem, raw)
        head, body = re.match(r"(# .*\n)?((?:.|\n)*)", text).groups()  # pyright: ignore[reportOptionalMemberAccess]
        name = f"{path.stem}.ipynb"
        if not path.with_suffix(".ipynb").exists():
            content = nbformat.writes(read(path))
            files.append(File.generated(config, f"notebooks/{name}", content=content))
        said = "" if found else f"!!! note\n\n    {NOT_RUN}\n\n"
        page = f"notebooks/{path.stem}.md"
        text = (head or "") + f"\n[Download the notebook]({name})\n{{ .notebook-links }}\n\n" + said + body
        files.append(File.generated(config, page, content=text))
        for place, content in pictures.items():
            files.append(File.generated(config, f"notebooks/{place}", content=content))
        RAW[page] = raw
        rows.append(f"- [{title_of(path)}]({path.stem}.md)")
    if "notebooks/index.md" not in {file.src_uri for file in files}:
        text = "# Notebooks\n\nEach takes a few minutes to read and less than two to run.\n\n" + "\n".join(rows) + "\n"
        files.append(File.generated(config, "notebooks/index.md", content=text))
    return files


def on_page_content(html: str, page: Page, config: MkDocsConfig, files: Files) -> str:
    """Return the page with the HTML that its cells put out."""
    for i, text in enumerate(RAW.get(page.file.src_uri, [])):
        html = html.replace(f'data-raw="{i}">', f'tabindex="0">{text}', 1)
    return html


def run(chosen: list[Path], again: bool, at_once: int = 1) -> None:
    """Execute notebooks that are not kept, and say how long each took."""
    wanted = [path for path in chosen if again or not kept_at(path).exists()]
    with ThreadPoolExecutor(at_once) as pool:  # each notebook is a process of its own
        for path, seconds in zip(wanted, pool.map(execute, wanted), strict=True):
            print(f"{path.name}: {seconds:.0f} s", flush=True)


def main() -> None:
    """Execute notebooks, and lay out their pictures to look at."""
    parser = argparse.ArgumentParser(description="Execute notebooks of docs/notebooks, and keep what they put out.")
    parser.add_argument("notebooks", nargs="*", type=Path, help="which; all, if none is given")
    parser.add_argument("--again", action="store_true", help="also those that are kept")
    parser.add_argument("-n", type=int, default=1, help="how many at once")
    parser.add_argument("--pictures", type=Path, help="a folder to put the pictures in, to look at")
    given = parser.parse_args()
    chosen = [path.resolve() for path in given.notebooks] or paths()
    run(chosen, given.again, given.n)
    for path in chosen if given.pictures else []:
        for place, content in as_markdown(nbformat.read(kept_at(path), as_version=4), path.stem, [])[1].items():
            (given.pictures / place).parent.mkdir(parents=True, exist_ok=True)
            (given.pictures / place).write_bytes(content)
            print(given.pictures / place)


if __name__ == "__main__":
    main()
