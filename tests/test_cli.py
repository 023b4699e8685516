"""The frame of the command line: help, loading of commands, errors."""

import json
import os
import subprocess
import sys
from importlib.metadata import EntryPoint
from pathlib import Path

import pytest
import typer
from typer.testing import CliRunner

from s2i_core import cli
from s2i_core.errors import DecodeError

HEAVY = ("torch", "pyarrow", "boto3", "ray", "prefect", "diffusers", "numpy", "jinja2")


def failing():
    """A command that fails as commands do."""
    raise DecodeError("s3://a/b.mp3", "it is empty", "Upload it again.")


def unwritable():
    """A command that meets a file it may not write."""
    Path("/no/such/folder/file").write_text("")


def greet(name: str, loud: bool = typer.Option(False, "--json")):
    """Greet somebody."""
    typer.echo(f"hello {name} {loud}")


group = typer.Typer(help="A group of commands.")
group.command("one")(greet)
group.command("two")(failing)


def invoke(*arguments):
    return CliRunner().invoke(cli.app, list(arguments), terminal_width=120)


@pytest.fixture
def commands(monkeypatch):
    """Entry points for the names given, into this module or where told."""

    def install(**targets):
        points = [EntryPoint(name, f"{__name__}:{target}", cli.ENTRY_POINTS) for name, target in targets.items()]
        points.append(EntryPoint("broken", "no_such_package:nothing", cli.ENTRY_POINTS))
        monkeypatch.setattr(cli, "entry_points", lambda group: points)

    return install


def test_help_tells_a_stranger_what_there_is_in_the_order_of_need():
    result = invoke("--help")
    assert result.exit_code == 0
    places = [result.output.index(f" {name} ") for name in ("demo", "illustrate", "run", "status", "store", "styles")]
    assert places == sorted(places)
    assert "Examples" in result.output
    assert "s2i demo" in result.output


SHAPING = {"--preset", "--style", "--checkpoint", "--library", "--images-per-hour", "--set"}


@pytest.mark.parametrize(
    ("command", "more"),
    [
        ("run", {"--limit", "--retry-failed", "--deadline", "--gpu-seconds", "--cost", "--s3-requests", "--address"}),
        ("plan", {"--limit", "--retry-failed"}),
        ("deploy", {"--limit", "--deadline", "--gpu-seconds", "--cost", "--s3-requests", "--address"}),
        ("illustrate", {"--seed"}),
        ("demo", set()),
        ("serve", set()),
        ("serve config", set()),
    ],
)
def test_what_shapes_a_run_has_the_same_options_everywhere(command, more):
    asked = CliRunner().invoke(cli.app, [*command.split(), "--help"], terminal_width=200, env={"COLUMNS": "200"}).output
    assert {option for option in SHAPING | more if option not in asked} == set()


def test_a_user_without_a_name_and_a_home_can_use_it(tmp_path):
    """As in containers: a user id without an entry in passwd."""
    alone = ["unshare", "--user", "--map-user=12345"]
    if subprocess.run([*alone, "true"], capture_output=True, check=False).returncode:
        pytest.skip("user namespaces are not allowed here")
    environment = {"PATH": os.environ["PATH"], "S2I_HOME": str(tmp_path)}
    ask = (
        "import sys, getpass, pathlib, s2i_core.cli as c; sys.argv = ['s2i', '--version']\n"
        "try: c.main()\nexcept SystemExit: print(getpass.getuser(), pathlib.Path.home())\nimport prefect.settings"
    )
    command = [*alone, sys.executable, "-c", ask]
    asked = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    assert asked.returncode == 0, asked.stderr
    assert asked.stdout.splitlines()[-1] == f"uid-12345 {tmp_path}/home"


def test_help_imports_nothing_heavy():
    loaded = "import sys, s2i_core.cli as c\ntry: c.app(['--help'])\nexcept SystemExit: print(sorted(sys.modules))"
    out = subprocess.run([sys.executable, "-c", loaded], capture_output=True, text=True, check=True).stdout
    modules = set(json.loads(out.splitlines()[-1].replace("'", '"')))
    assert "s2i_core.cli" in modules
    assert not modules.intersection(HEAVY)


def test_help_comes_at_once():
    # Processor time, not the clock, so that a busy machine does not decide.
    measured = (
        "import time, s2i_core.cli as c\ntry: c.app(['--help'])\nexcept SystemExit: print(f'\\n{time.process_time()}')"
    )
    out = subprocess.run([sys.executable, "-c", measured], capture_output=True, text=True, check=True).stdout
    assert float(out.splitlines()[-1]) < 1.0


def test_upper_layers_add_functions_and_groups(commands):
    commands(greet="greet", more="group")
    assert invoke("greet", "Ada").output == "hello Ada False\n"
    assert invoke("more", "one", "Bob", "--json").output == "hello Bob True\n"
    listed = invoke("--help").output
    assert "Greet somebody." in listed
    assert "A group of commands." in listed


def test_a_broken_layer_says_why_when_called_and_spoils_nothing_else(commands):
    commands(greet="greet")
    listed = invoke("--help")
    assert listed.exit_code == 0
    assert "Not available" in listed.output
    assert invoke("greet", "Ada").exit_code == 0
    for arguments in (["broken"], ["broken", "s3://a", "--limit", "3"], ["broken", "--help"]):
        called = invoke(*arguments)
        assert called.exit_code == 2
        assert "s2i broken: cannot be loaded" in called.stderr
        assert "no_such_package" in called.stderr


@pytest.mark.parametrize("arguments", [["failing"], ["more", "two"]])
def test_an_error_is_one_clear_line(commands, arguments):
    commands(failing="failing", more="group")
    result = invoke(*arguments)
    assert result.exit_code == 2
    assert result.stdout == ""
    assert result.stderr == "error: s3://a/b.mp3: it is empty. Upload it again.\n"


def test_an_error_is_json_on_demand(commands):
    commands(failing="failing")

    result = invoke("illustrate", "/no/such/file.mp3", "--out", "/tmp", "--preset", "none", "--json")
    assert result.exit_code == 2
    error = json.loads(result.stdout)
    assert error["error"] == "ConfigError"
    assert error["subject"] == "preset 'none'"
    assert set(error) == {"error", "subject", "reason", "remedy", "transient"}


def test_a_file_that_cannot_be_used_is_an_error_of_the_same_kind(commands):
    commands(unwritable="unwritable")
    result = invoke("unwritable")
    assert result.exit_code == 2
    assert result.stderr.startswith("error: /no/such/folder/file: ")


def test_an_unknown_command_gets_a_suggestion(commands):
    commands(greet="greet")
    assert "'greet'" in invoke("gret").output
    assert "'store'" in invoke("stor").output
    assert invoke("gret").exit_code == 2


def test_the_stores_commands_are_the_cores():
    result = invoke("store", "--help")
    assert result.exit_code == 0
    for name in ("up", "down", "status", "env"):
        assert f" {name} " in result.output


def test_version():
    assert invoke("--version").output.startswith("s2i ")
