"""The reports inside JupyterLab's server: only for who is logged in, only below the folder of runs, policy kept."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urljoin

import pytest

import rx580lab as rx
from rx580lab.jupyter.__main__ import lab_arguments
from rx580lab.report import render_run
from rx580lab.report.style import POLICY
from tests.jupyter.lab import Lab, running_lab
from tests.report import synthetic
from tests.tree import ROOT, tracked

PLACE = "/rx580lab/reports/"


@pytest.fixture(scope="module")
def lab(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lab]:
    """A server with one run, and things near it that are nobody's business."""
    folder = tmp_path_factory.mktemp("server")
    (folder / "secret.html").write_text("secret")
    run = synthetic.gemm_run(folder / "reports")
    render_run(run)
    (run / "program.js").write_text("secret")
    (run / ".hidden.html").write_text("secret")
    (run / "outside.html").symlink_to(folder / "secret.html")
    (run / "hostile.html").write_text("<script>alert(1)</script>")
    with running_lab(folder) as found:
        yield found


@pytest.fixture
def run(lab: Lab) -> str:
    """The run's address on the server."""
    (folder,) = (lab.reports / "bench/gemm").iterdir()
    return f"{PLACE}bench/gemm/{folder.name}/"


def links(page: str) -> list[str]:
    return [link for link in re.findall(r'href="([^"#]+)"', page) if ":" not in link]


def test_runs_are_listed_and_each_link_of_their_pages_opens(lab: Lab, run: str) -> None:
    status, _, index = lab.get(PLACE)
    assert status == 200
    assert f"{run}report.html" in [urljoin(PLACE, link) for link in links(index)]
    status, _, report = lab.get(f"{run}report.html")
    assert status == 200
    assert report == (lab.reports / run.removeprefix(PLACE) / "report.html").read_text(encoding="utf-8")
    found = [urljoin(f"{run}report.html", link) for link in links(report)]
    assert len(found) > 5
    assert [link for link in found if lab.get(link)[0] != 200] == []
    folder = lab.get(f"{run}points/")[2]
    assert [link for link in links(folder) if lab.get(urljoin(f"{run}points/", link))[0] != 200] == []


@pytest.mark.parametrize("page", ["", "report.html", "hostile.html", "manifest.json", "points/"])
def test_every_answer_carries_the_reports_own_policy(lab: Lab, run: str, page: str) -> None:
    _, headers, _ = lab.get(f"{run}{page}")
    assert headers["content-security-policy"] == f"{POLICY}; frame-ancestors 'self'"
    assert "script-src" not in POLICY
    assert headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("page", ["", "report.html", "manifest.json", "points/"])
def test_who_is_not_logged_in_gets_nothing(lab: Lab, run: str, page: str) -> None:
    status, headers, body = lab.get(f"{run}{page}", token=False)
    assert status == 302
    assert headers["location"].startswith("/login")
    assert body == ""


@pytest.mark.parametrize(
    "path",
    [
        "../secret.html", "%2e%2e/secret.html", "..%2fsecret.html", "bench/../../secret.html", "..%5csecret.html",
        "bench/%2e%2e/%2e%2e/secret.html", "%00", "bench//gemm/", "/etc/passwd", "//etc/passwd", "bench/gemm/%2e/",
        "nothing.html", "{run}outside.html", "{run}.hidden.html", "{run}program.js", "{run}report.html/",
    ],
)  # fmt: skip
def test_what_is_not_a_file_of_a_run_is_not_there(lab: Lab, run: str, path: str) -> None:
    status, headers, body = lab.get(PLACE + path.format(run=run.removeprefix(PLACE)))
    assert status in (400, 404)
    assert headers["content-type"].startswith("text/plain") or not body
    assert "secret" not in body or "secret" in path


def test_no_news_no_updates_no_extension_list(lab: Lab) -> None:
    page = lab.get("/lab")[2]
    assert '"disabledExtensions": ["@jupyterlab/apputils-extension:announcements"]' in page
    schema = lab.api("/lab/api/settings/@jupyterlab/apputils-extension:notification")["schema"]["properties"]
    assert (schema["fetchNews"]["default"], schema["checkForUpdates"]["default"]) == ("false", False)
    assert "--LabApp.extension_manager=readonly" in lab_arguments()


def test_make_lab_starts_this() -> None:
    recipe = re.search(r"^lab:.*\n((?:\t.*\n)+)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.MULTILINE)
    assert recipe is not None
    assert recipe[1].strip() == "@$(BIN)/python -m rx580lab.jupyter"
    (opened,) = re.findall(r"/lab/tree/(.*)", " ".join(lab_arguments()).split(" --")[1])
    assert Path(opened) in tracked("notebooks/tour/*.ipynb")


def test_a_notebook_frames_the_list(monkeypatch: pytest.MonkeyPatch) -> None:
    assert 'src="/rx580lab/reports/"' in rx.jupyter.reports()._repr_html_()
    monkeypatch.setenv("JUPYTERHUB_SERVICE_PREFIX", "/user/ada/")
    frame = rx.jupyter.reports('a"b/report.html')
    assert 'src="/user/ada/rx580lab/reports/a%22b/report.html"' in frame._repr_html_()
    assert "/user/ada/rx580lab/reports/" in repr(frame)
