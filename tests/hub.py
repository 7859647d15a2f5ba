"""A stand-in for the Hugging Face hub and GitHub: a folder served as they serve theirs, for the real clients.

ROOT/models/OWNER/NAME/REVISION/files…      a branch of a model repository
ROOT/datasets/OWNER/NAME/REVISION/files…    a branch of a data set
ROOT/github/OWNER/NAME/files…               a GitHub repository
ROOT/pages/OWNER/NAME.json                  what the hub's page of a model says beside its files
"""

import hashlib
import http.server
import json
import re
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import unquote

RANGE = re.compile(r"bytes=(\d+)-(\d*)")


def commit_of(revision: str) -> str:
    """A made-up commit of a branch."""
    return hashlib.sha1(revision.encode()).hexdigest()


class Hub(http.server.BaseHTTPRequestHandler):
    """Answers what huggingface_hub and the GitHub client ask."""

    root: Path
    sent: dict[str, int]
    protocol_version = "HTTP/1.1"

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers.get("Content-Length", 0)))
        parts = self._parts()
        if parts[:1] == ["api"] and "paths-info" in parts:
            at = parts.index("paths-info")
            folder = self._revision(parts[1], "/".join(parts[2:at]), "/".join(parts[at + 1 :]))
            asked = json.loads(body)["paths"] if body[:1] == b"{" else re.findall(rb"paths=([^&]+)", body)
            names = [unquote(name.decode()) if isinstance(name, bytes) else name for name in asked]
            if folder is not None:
                entries = [_entry(folder / name, folder) for name in names if (folder / name).exists()]
                return self._json(entries)
        return self._missing()

    def do_GET(self) -> None:
        parts = self._parts()
        if parts[:1] == ["api"] and len(parts) > 3:
            return self._api(parts)
        if parts[:1] == ["repos"]:
            return self._github(parts)
        if parts[:1] == ["raw"]:
            owner, name, _, *path = parts[1:]
            return self._file(self.root / "github" / owner / name / "/".join(path), "")
        if "resolve" in parts:
            at = parts.index("resolve")
            kind = "datasets" if parts[0] == "datasets" else "models"
            repository = "/".join(parts[1 if kind == "datasets" else 0 : at])
            for length in range(1, len(parts) - at - 1):
                folder = self._revision(kind, repository, "/".join(parts[at + 1 : at + 1 + length]))
                if folder is not None:
                    return self._file(folder / "/".join(parts[at + 1 + length :]), commit_of(folder.name))
        return self._missing()

    def _api(self, parts: list[str]) -> None:
        kind, repository, action, *rest = parts[1], "/".join(parts[2:4]), *(parts[4:] or ["revision"])
        home = self.root / kind / repository
        if action == "refs" and home.is_dir():
            branches = [
                {"name": f.name, "ref": f"refs/heads/{f.name}", "targetCommit": commit_of(f.name)}
                for f in sorted(home.iterdir())
            ]
            return self._json({"branches": branches, "converts": [], "tags": []})
        folder = self._revision(kind, repository, rest[0] if rest else "main")
        if folder is None:
            return self._missing()
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        if action == "revision":
            names = [{"rfilename": str(file.relative_to(folder))} for file in files]
            page = self.root / "pages" / f"{repository}.json"
            known = json.loads(page.read_text()) if page.exists() else {}
            return self._json({"id": repository, "sha": commit_of(folder.name), "siblings": names, **known})
        if action == "tree":
            under = folder / "/".join(rest[1:])
            inside = sorted(under.rglob("*") if "recursive=true" in self.path.lower() else under.iterdir())
            return self._json([_entry(file, folder) for file in inside])
        return self._missing()

    def _github(self, parts: list[str]) -> None:
        if parts[3:5] == ["git", "trees"]:
            return self._tree(self.root / "github" / "/".join(parts[1:3]))
        folder = self.root / "github" / "/".join(parts[1:3]) / "/".join(parts[4:])
        if not folder.is_dir():
            return self._missing()
        kinds = {True: "dir", False: "file"}
        entries = [
            {"name": f.name, "type": kinds[f.is_dir()], "size": f.stat().st_size} for f in folder.iterdir()
        ]
        return self._json(entries)

    def _tree(self, folder: Path) -> None:
        if not folder.is_dir():
            return self._missing()
        files = sorted(file for file in folder.rglob("*") if file.is_file())
        tree = []
        for file in files:
            content = file.read_bytes()
            sha = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
            path = file.relative_to(folder).as_posix()
            tree.append({"path": path, "type": "blob", "size": len(content), "sha": sha})
        return self._json({"sha": "0", "tree": tree, "truncated": False})

    def _revision(self, kind: str, repository: str, revision: str) -> Path | None:
        """The folder of a branch or of its commit."""
        home = self.root / kind / repository
        if not home.is_dir():
            return None
        return next((f for f in home.iterdir() if unquote(revision) in (f.name, commit_of(f.name))), None)

    def _parts(self) -> list[str]:
        return [unquote(part) for part in self.path.split("?")[0].strip("/").split("/")]

    def _json(self, document: Any) -> None:
        self._send(200, json.dumps(document).encode(), {"Content-Type": "application/json"})

    def _file(self, file: Path, commit: str) -> None:
        if not file.is_file():
            return self._missing()
        content = file.read_bytes()
        headers = {"ETag": f'"{hashlib.sha256(content).hexdigest()}"', "X-Repo-Commit": commit}
        headers |= {"Accept-Ranges": "bytes"}
        asked = RANGE.fullmatch(self.headers.get("Range", ""))
        if asked:
            first = int(asked[1])
            last = min(int(asked[2] or len(content)), len(content) - 1)
            headers["Content-Range"] = f"bytes {first}-{last}/{len(content)}"
            return self._send(206, content[first : last + 1], headers, file)
        return self._send(200, content, headers, file)

    def _missing(self) -> None:
        self._send(404, b"{}", {"X-Error-Code": "EntryNotFound"})

    def _send(self, code: int, body: bytes, headers: dict[str, str], file: Path | None = None) -> None:
        self.send_response(code)
        for name, value in {"Content-Length": str(len(body)), **headers}.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
            if file is not None:
                name = str(file.relative_to(self.root))
                self.sent[name] = self.sent.get(name, 0) + len(body)

    def log_message(self, *_: object) -> None:
        """Quiet."""


def _entry(path: Path, folder: Path) -> dict[str, Any]:
    name = str(path.relative_to(folder))
    oid = hashlib.sha1(name.encode() + (path.read_bytes() if path.is_file() else b"")).hexdigest()
    if path.is_dir():
        return {"type": "directory", "path": name, "size": 0, "oid": oid}
    return {"type": "file", "path": name, "size": path.stat().st_size, "oid": oid}


class Served:
    """The stand-in's address, and how many bytes of each file it has sent."""

    def __init__(self, address: str, root: Path, sent: dict[str, int]) -> None:
        self.address, self.root, self.sent = address, root, sent

    def environment(self, home: Path) -> dict[str, str]:
        """Environment variables with which another process asks the stand-in, with caches in `home`."""
        import os

        found = {**os.environ, "HF_ENDPOINT": self.address, "HF_HUB_OFFLINE": "0", "NO_PROXY": "127.0.0.1"}
        return found | {"HOME": str(home), "HF_HOME": str(home / "hf"), "HF_HUB_CACHE": str(home / "hf/hub")}

    def use(self, monkeypatch: Any, home: Path) -> None:
        """Make the clients of this process ask the stand-in, with caches in `home`."""
        from huggingface_hub import constants

        from neuneu import hub

        template = f"{self.address}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
        monkeypatch.setattr(constants, "ENDPOINT", self.address)
        monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
        monkeypatch.setattr(constants, "HF_HUB_CACHE", str(home / "hf/hub"))
        monkeypatch.setattr(hub, "GITHUB_API", self.address)
        monkeypatch.setattr(hub, "GITHUB_FILES", f"{self.address}/raw")
        monkeypatch.setenv("NO_PROXY", "127.0.0.1")
        monkeypatch.setenv("HOME", str(home))


@contextmanager
def serve(root: Path) -> Iterator[Served]:
    """Serve a folder until the block ends."""
    sent: dict[str, int] = {}
    handler = type("Handler", (Hub,), {"root": root, "sent": sent})
    server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield Served(f"http://127.0.0.1:{server.server_port}", root, sent)
    finally:
        server.shutdown()
        server.server_close()
