"""``control-rawdaq web``: what it refuses, what it prints, and what it leaves behind."""

import re
import signal
import ssl
import stat
import subprocess
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest

from rawdaq.control.rest.token_file import new_token, read_token, write_token
from rawdaq.errors import ComponentError, InvalidValue
from tests.control.cli_words import Said
from tests.control.web.server.served import TOKEN
from tests.helpers import start_cli, wait_for

CERTIFICATE = Path(__file__).parents[3] / "datalink_server" / "localhost.pem"
FAR = ["web", "--listen", "192.0.2.1"]


@pytest.fixture(name="token_file")
def _token_file(tmp_path: Path) -> Path:
    file = tmp_path / "token"
    file.write_text(f"{TOKEN}\n")
    file.chmod(0o600)
    return file


def test_what_lets_others_in_by_mistake_is_refused(
    capsys: pytest.CaptureFixture[str], token_file: Path, tmp_path: Path
) -> None:
    said = Said(capsys)
    far = [*FAR, "--token-file", str(token_file)]
    for args, text in (
        (["web", "--host", "192.0.2.1"], "192.0.2.1 is no loopback address; --listen 192.0.2.1 lets other machines in"),
        (["web", "--host", "example.com"], "is no loopback address"),
        (FAR, "needs a token that stays"),
        (["web", "--listen", "0.0.0.0", "--token-file", str(token_file)], "needs --allow-host NAME"),
        ([*FAR, "--token-file", str(tmp_path / "none")], "No such file"),
        ([*far, "--cert", "a.pem"], "--cert and --key belong together"),
    ):
        status, _, err = said.run(*args)
        assert (status, text in " ".join(err.split())) == (2, True), err
    token_file.chmod(0o644)
    status, _, err = said.run(*far)
    assert (status, f"run: chmod 600 {token_file}" in " ".join(err.split())) == (2, True), err


def test_an_address_that_is_not_here_is_an_error(
    capsys: pytest.CaptureFixture[str], token_file: Path, tmp_path: Path
) -> None:
    said = Said(capsys)
    status, _, err = said.run(*FAR, "--token-file", str(token_file), "--port", "0", "-c", str(tmp_path))
    assert status == 1
    assert "the token can be read on the network" in err
    assert re.search(r"cannot listen on http://192\.0\.2\.1:\d+: Cannot assign requested address", err), err
    status, _, err = said.run("web", "--cert", str(tmp_path / "no.pem"), "--key", str(tmp_path / "no.pem"))
    assert (status, "cannot be used" in err) == (1, True), err


@pytest.mark.parametrize(
    ("content", "text"),
    [
        ("", "is empty; write a token to it"),
        ("two words", "holds no token"),
        ("ü", "holds no token"),
        ("x" * 300, "holds no token"),
    ],
)
def test_a_token_file_holds_one_word(tmp_path: Path, content: str, text: str) -> None:
    file = tmp_path / "token"
    file.write_text(content)
    file.chmod(0o600)
    with pytest.raises(InvalidValue, match=text):
        read_token(file)
    file.write_bytes(b"\xff")
    with pytest.raises(InvalidValue, match="it is no text"):
        read_token(file)


def test_a_new_token_replaces_the_old_one_and_others_cannot_read_it(tmp_path: Path) -> None:
    file = tmp_path / "token"
    file.write_text("old")
    file.chmod(0o644)
    token = new_token()
    assert len(token) >= 43
    write_token(file, token)
    assert stat.S_IMODE(file.stat().st_mode) == 0o600
    assert read_token(file) == token != new_token()
    with pytest.raises(ComponentError, match=r"none/token cannot be written: No such file"):
        write_token(tmp_path / "none" / "token", token)


def _started(args: list[str], env: Mapping[str, str]) -> tuple["subprocess.Popen[str]", str]:
    process = start_cli(["control-rawdaq", "web", "--port", "0", *args], env=env)
    assert process.stdout is not None
    return process, process.stdout.readline()


def test_the_printed_address_opens_the_page_and_nothing_is_left(tmp_path: Path) -> None:
    (tmp_path / "a.yaml").write_text("station: {network: XX, code: A}\n")
    run = tmp_path / "run"
    env = {"RAWDAQ_RUNTIME_DIR": str(run), "RAWDAQ_LOG_DIR": str(tmp_path / "log")}
    process, line = _started(["-c", str(tmp_path)], env)
    with process:
        try:
            match = re.fullmatch(r"(http://127\.0\.0\.1:(\d+))/#token=(\S+)\n", line)
            assert match, (line, process.stderr)
            url, port, token = match.groups()
            kept = run / f"web.{port}.token"
            assert (kept.read_text().strip(), stat.S_IMODE(kept.stat().st_mode)) == (token, 0o600)
            with httpx.Client(base_url=url, trust_env=False) as http:
                headers = {"Authorization": f"Bearer {token}"}
                answer = http.get("/api/v1/components", headers=headers)
                assert (answer.status_code, answer.json()["components"]) == (200, [])
                assert http.get("/api/v1/components").status_code == 401
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
        wait_for(lambda: not kept.exists())
        assert process.stderr is not None
        err = process.stderr.read()
        assert token not in err
        assert "Traceback" not in err


def test_connections_are_encrypted_with_a_certificate(tmp_path: Path, token_file: Path) -> None:
    env = {"RAWDAQ_RUNTIME_DIR": str(tmp_path / "run"), "RAWDAQ_LOG_DIR": str(tmp_path / "log")}
    args = [
        "--cert",
        str(CERTIFICATE),
        "--key",
        str(CERTIFICATE),
        "--token-file",
        str(token_file),
        "--host",
        "127.0.0.1",
    ]
    process, line = _started([*args, "--allow-host", "Localhost", "-c", str(tmp_path)], env)
    with process:
        try:
            match = re.match(r"(https://localhost:\d+)/ \(with #token= and the token in ", line)
            assert match, line
            context = ssl.create_default_context(cafile=str(CERTIFICATE))
            with httpx.Client(base_url=match[1], verify=context, trust_env=False) as http:
                headers = {"Authorization": f"Bearer {TOKEN}", "Origin": match[1]}
                assert http.get("/api/v1/events", headers=headers).status_code == 200
                assert http.get("/api/v1/events", headers={**headers, "Origin": "http://localhost"}).status_code == 403
        finally:
            process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0
