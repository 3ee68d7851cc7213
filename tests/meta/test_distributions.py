"""The distributions agree with each other and with what installs, checks and describes them."""

import importlib
import importlib.metadata
import re

import yaml
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name


def compatible(version):
    """Return the range of versions a plugin of this version accepts: `0.1.0` -> `>=0.1,<0.2`."""
    major, minor = (int(part) for part in version.split(".")[:2])
    return f">={major}.{minor},<{major}.{minor + 1}"


def disagreements(core, plugins):
    """Return where the plugins' metadata deviate from the core's."""
    version = core["project"]["version"]
    needed = f"gpt2sdk{compatible(version)}"
    found = []
    for name, settings in plugins.items():
        project = settings["project"]
        if project["name"] != name:
            found.append(f"{name} calls itself {project['name']}")
        if project["version"] != version:
            found.append(f"{name} has version {project['version']}, not {version}")
        if needed not in project["dependencies"]:
            found.append(f"{name} does not require {needed}")
        if [name.replace("-", "_")] != list(project["entry-points"]["gpt2sdk"].values()):
            found.append(f"{name} has no entry point {name.replace('-', '_')}")
    return found


def test_plugins_are_in_lock_step_with_the_core(core, plugins):
    assert [] == disagreements(core, plugins)


def test_disagreements_are_found(core, plugins):
    name, settings = next(iter(plugins.items()))
    project = {
        **settings["project"],
        "version": "9.0.0",
        "dependencies": ["gpt2sdk"],
        "entry-points": {"gpt2sdk": {"x": "elsewhere"}},
    }

    assert 3 == len(disagreements(core, {name: {"project": project}}))


def test_extras_name_the_plugins(core, plugins):
    extras = core["project"]["optional-dependencies"]
    needed = compatible(core["project"]["version"])

    assert {f"{name}{needed}" for name in plugins} == set(extras["all"])
    assert set(extras["standard"]) <= set(extras["all"])


def test_tools_know_every_plugin(core, plugins, root):
    packages = {name.replace("-", "_") for name in plugins}
    tools = core["tool"]
    linter = tools["importlinter"]
    contracts = {contract["name"]: contract for contract in linter["contracts"]}
    site = yaml.safe_load((root / "mkdocs.yml").read_text())
    handlers = next(p for p in site["plugins"] if "mkdocstrings" in p)["mkdocstrings"]["handlers"]

    assert {"gpt2sdk", *packages} == set(linter["root_packages"])
    assert packages == set(contracts["plugins do not know each other"]["modules"])
    assert {".", *(f"plugins/{name}/src" for name in plugins)} == set(handlers["python"]["paths"])


def test_entry_points_are_installed_and_importable(plugins):
    declared = {
        (key, value)
        for settings in plugins.values()
        for key, value in settings["project"]["entry-points"]["gpt2sdk"].items()
    }
    installed = {(e.name, e.value) for e in importlib.metadata.entry_points(group="gpt2sdk")}

    assert declared <= installed, "an entry point changed: remove .venv/.ready and run make again"
    for _, module in declared:
        assert importlib.import_module(module)


def test_a_plugin_ships_its_types_and_a_readme(plugins, root):
    for name in plugins:
        assert (root / "plugins" / name / "README.md").is_file()
        assert (root / "plugins" / name / "src" / name.replace("-", "_") / "py.typed").is_file()


def test_the_changelog_begins_with_this_version(core, root):
    changelog = (root / "CHANGELOG.md").read_text()
    versions = re.findall(r"^## \[(\d.*?)\]", changelog, re.MULTILINE)

    assert core["project"]["version"] == versions[0]


def test_the_installed_version_is_the_declared_one(core):
    assert core["project"]["version"] == importlib.metadata.version("gpt2sdk")


def unpinned(needs, lines):
    """Return the requirements that no exact pin meets."""
    pins = [Requirement(line) for line in lines if line and not line.startswith("#")]
    versions = {canonicalize_name(pin.name): str(pin.specifier) for pin in pins}
    return [
        str(need)
        for need in needs
        if not re.fullmatch(r"==[\w.]+", versions.get(canonicalize_name(need.name), ""))
        or not need.specifier.contains(versions[canonicalize_name(need.name)][2:])
    ]


def test_everything_that_is_required_is_pinned_within_its_range(core, plugins, root):
    files = [root / "requirements-dev.txt", root / "requirements-test.txt"]
    tools = [line for file in files for line in file.read_text().splitlines()]
    lines = [line.partition("#")[0] for line in tools if not line.startswith("-r")]
    for settings in (core, *plugins.values()):
        lines += settings["project"]["dependencies"]
    needs = [Requirement(line) for line in filter(None, map(str.strip, lines))]

    pins = (root / "constraints.txt").read_text().splitlines()

    assert [] == unpinned([need for need in needs if need.name != "gpt2sdk"], pins)


def test_every_requirement_of_others_has_a_lower_bound(core, plugins):
    projects = [settings["project"] for settings in (core, *plugins.values())]
    needs = [Requirement(need) for project in projects for need in project["dependencies"]]

    assert [] == [str(need) for need in needs if ">=" not in str(need.specifier)]


def test_the_core_and_plugins_state_one_range_for_one_package(core, plugins):
    projects = [settings["project"] for settings in (core, *plugins.values())]
    needs = [Requirement(need) for project in projects for need in project["dependencies"]]
    ranges = {(need.name, str(need.specifier)) for need in needs}

    assert len({name for name, _ in ranges}) == len(ranges)


def test_pins_hold_on_any_index_and_bring_no_cuda_packages(root):
    lines = (root / "constraints.txt").read_text().splitlines()
    pins = [line for line in lines if line and not line.startswith("#")]

    assert [] == [pin for pin in pins if not re.fullmatch(r"[\w.-]+==[\w.]+", pin)]
    assert [] == [pin for pin in pins if pin.startswith(("cuda-", "nvidia-", "triton"))]
    assert sorted(pins[1:], key=str.lower) == pins[1:]


def test_a_missing_or_loose_pin_is_found():
    needs = [Requirement(need) for need in ("a_b>=1", "c>=2", "d", "e", "f>=1")]

    pins = ["a-b==1.5", "c==1.9", "d>=1", "f==1.0+cpu"]

    assert ["c>=2", "d", "e", "f>=1"] == unpinned(needs, pins)
