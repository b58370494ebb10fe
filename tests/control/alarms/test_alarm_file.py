"""``alarms.yaml``: what is good, and what each mistake is told as."""

from pathlib import Path

import pytest

from rawdaq import config
from rawdaq.control.alarms import alarm_file
from rawdaq.control.alarms.settings import EmailTarget, LogTarget, WebhookTarget

GOOD = """\
check_every_s: 5
machine: hut 7
targets:
  log: {kind: log}
  pager: {kind: command, command: [bin/page, --now]}
  duty: {kind: email, host: mail.example.org, sender: rawdaq@example.org, to: [duty@example.org], security: starttls}
  chat: {kind: webhook, url: "https://example.org/hook?id=5", token_file: token}
rules:
  silent: {when: no_data, above: 60, streams: ["XX.*.*.HH?"], raise_after_s: 0, to: [log, duty]}
  clock: {when: clock_quality, below: 70, clear_at: 80}
"""
RULES = "rules: {r: {when: no_data, above: 60}}\n"


@pytest.fixture
def file(tmp_path: Path) -> Path:
    (tmp_path / "token").write_text("secret\n")
    (tmp_path / "token").chmod(0o600)
    return tmp_path / "alarms.yaml"


def test_a_good_file_has_rules_and_targets_with_paths_beside_it(file: Path) -> None:
    file.write_text(GOOD)
    found = alarm_file.load(file)
    assert (found.general.check_every_s, found.general.machine) == (5.0, "hut 7")
    assert list(found.rules) == ["silent", "clock"]
    assert (found.rules["silent"].to, found.rules["clock"].clear_at) == (["log", "duty"], 80.0)
    duty, chat = found.targets["duty"], found.targets["chat"]
    assert isinstance(duty, EmailTarget)
    assert duty.to == ["duty@example.org"]
    assert isinstance(chat, WebhookTarget)
    assert chat.token_file == file.parent / "token"
    assert alarm_file.secret(file.parent / "token") == "secret"


def test_without_targets_alarms_are_logged(file: Path) -> None:
    file.write_text(RULES)
    assert alarm_file.load(file).targets == {"log": LogTarget(kind="log")}


@pytest.mark.parametrize(
    ("text", "told"),
    [
        ("", ["alarms.yaml: is empty; it has rules, such as `silent: {when: no_data, above: 60}`"]),
        ("[]", ["alarms.yaml:1: [] is wrong; it should be a mapping of `rules` and `targets`"]),
        ("rules: [", ["alarms.yaml:1: is not YAML: "]),
        (
            "targets: {log: {kind: log}}",
            ["alarms.yaml:1: rules: is missing or empty; it should be a mapping of names to rules, such as `silent: {"],
        ),
        (
            f"{RULES}targets: {{}}",
            ["alarms.yaml:2: targets: is missing or empty; it should be a mapping of names to t"],
        ),
        (f"{RULES}rule: 5", ["alarms.yaml:2: rule: unknown key; did you mean 'rules'? known: rules, targets, check_e"]),
        (f"{RULES}check_every_s: 0", ["alarms.yaml:2: check_every_s: 0 is wrong; it should be greater than or equal"]),
        (
            "rules:\n  a b: {when: no_data, above: 1}",
            ["alarms.yaml:2: rules.a b: is not a name; it should be 1-48 char"],
        ),
        (
            "rules:\n  r: {when: nodata, above: 1}",
            ["alarms.yaml:2: rules.r.when: 'nodata' is no condition; did you mean 'no_data'? known: no_data, late"],
        ),
        ("rules:\n  r: {when: no_data}", ["alarms.yaml:2: rules.r: has no limit; add above: NUMBER (s)"]),
        (
            "rules:\n  r: {when: problem_number, above: .inf}",
            ["alarms.yaml:2: rules.r: has no limit; add above: NUMBER"],
        ),
        (
            "rules:\n  r: {when: clock_quality, above: 5}",
            [
                "alarms.yaml:2: rules.r.above: does not go with clock_quality, of which below a limit is bad; write",
                "alarms.yaml:2: rules.r: has no limit; add below: NUMBER (%)",
            ],
        ),
        (
            "rules:\n  r: {when: no_data, above: 5, clear_at: 6}",
            ["alarms.yaml:2: rules.r.clear_at: is a bad value itself; it should be at most 5"],
        ),
        (
            "rules:\n  r: {when: clock_quality, below: 5, clear_at: 4}",
            ["alarms.yaml:2: rules.r.clear_at: is a bad value itself; it should be at least 5"],
        ),
        (
            "rules:\n  r: {when: problem_number, above: 5, streams: [a]}",
            ["alarms.yaml:2: rules.r.streams: selects nothing of problem_number, which is of components; remove it"],
        ),
        (
            "rules:\n  r: {when: no_data, above: 5, to: [duty]}",
            ["alarms.yaml:2: rules.r.to.0: no target is called 'duty'; known: log"],
        ),
        ("rules:\n  r: {when: no_data, abov: 5}", ["alarms.yaml:2: rules.r.abov: unknown key; did you mean 'above'?"]),
        (
            'rules:\n  r: {when: no_data, above: "5"}',
            ["alarms.yaml:2: rules.r.above: '5' is wrong; it should be a valid"],
        ),
        (f"{RULES}targets: {{t: 5}}", ["alarms.yaml:2: targets.t: 5 is wrong; it should be a mapping with `kind`"]),
        (
            f"{RULES}targets: {{t: {{}}}}",
            ["alarms.yaml:2: targets.t: has no `kind`; known: log, command, email, webhook"],
        ),
        (
            f"{RULES}targets: {{t: {{kind: sms}}}}",
            ["alarms.yaml:2: targets.t.kind: 'sms' is not a kind of target; known:"],
        ),
        (
            f"{RULES}targets: {{t: {{kind: command, command: []}}}}",
            ["alarms.yaml:2: targets.t.command: is empty; it should have at least 1 item"],
        ),
        (
            f"{RULES}targets: {{t: {{kind: email, host: h, sender: me, to: [a@b]}}}}",
            ["alarms.yaml:2: targets.t.sender: 'me' is not an e-mail address; it should look like duty@example.org"],
        ),
        (
            f"{RULES}targets: {{t: {{kind: email, host: h, sender: a@b, to: [a@b], user: u}}}}",
            ["alarms.yaml:2: targets.t.user: needs the password of this user: add `password_file`"],
        ),
        (
            f"{RULES}targets: {{t: {{kind: webhook, url: 'ftp://h/'}}}}",
            ["alarms.yaml:2: targets.t.url: 'ftp://h/' is not an address of a web server; it should look like https:"],
        ),
        (
            f"{RULES}targets: {{t: {{kind: webhook, url: 'http://h:99999/'}}}}",
            ["alarms.yaml:2: targets.t.url: 'http://h:99999/' is not an address of a web server"],
        ),
        (
            f'{RULES}targets: {{t: {{kind: webhook, url: "http://h/", headers: {{"X-A": "a\\nb"}}}}}}',
            ["alarms.yaml:2: targets.t.headers.X-A: 'a\\nb' cannot stand in a header; take printable ASCII letters"],
        ),
        (
            f"{RULES}targets: {{t: {{kind: webhook, url: 'http://h/', token_file: missing}}}}",
            ["alarms.yaml:2: targets.t.token_file: "],
        ),
    ],
)
def test_each_mistake_is_told_with_line_and_key(text: str, told: list[str], file: Path) -> None:
    file.write_text(text)
    with pytest.raises(config.ConfigError) as caught:
        alarm_file.load(file)
    lines = [line.replace(f"{file.parent}/", "") for line in str(caught.value).splitlines()]
    assert len(lines) == len(told)
    for line, begin in zip(lines, told, strict=True):
        assert line.startswith(begin)


def test_a_missing_file_is_told_with_what_to_do(file: Path) -> None:
    with pytest.raises(
        config.ConfigError, match=r"alarms\.yaml: does not exist; write it, or name another with --alarms"
    ):
        alarm_file.load(file)


@pytest.mark.parametrize(
    ("content", "mode", "reason"),
    [
        ("secret", 0o644, "can be read by others; run: chmod 600"),
        ("", 0o600, "has to be a file of one line"),
        ("two\nlines", 0o600, "has to be a file of one line"),
        ("s" * 5000, 0o600, "has to be a file of one line"),
    ],
)
def test_a_secret_that_is_none_is_refused(content: str, mode: int, reason: str, file: Path) -> None:
    token = file.parent / "token"
    token.write_text(content)
    token.chmod(mode)
    file.write_text(GOOD)
    with pytest.raises(config.ConfigError, match=reason):
        alarm_file.load(file)
    token.unlink()
    token.mkdir()
    with pytest.raises(config.ConfigError, match="is not a plain file"):
        alarm_file.load(file)


def test_the_file_of_alarms_is_no_station_file(file: Path) -> None:
    file.write_text(GOOD)
    station = file.with_name("XX.A.yaml")
    station.write_text("station: {network: XX, code: A}\nRaw: {Receiver: {class: RawReceiver, channels: {1: HHZ}}}\n")
    assert [each.path for each in config.load_all(file.parent)] == [station]
    assert alarm_file.beside(station) == alarm_file.beside(file.parent) == file
