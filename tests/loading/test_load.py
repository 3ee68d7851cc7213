"""load finds a model by plugin, folder or hub, and says what it tried."""

import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import huggingface_hub
import pytest
import torch
from tokenizers import Tokenizer as Library
from tokenizers import decoders, models, pre_tokenizers

from gpt2sdk import hookimpl, loading
from gpt2sdk.components.weights import ModelSource
from gpt2sdk.config import GPT2Config
from gpt2sdk.errors import (
    CheckpointError,
    OptionError,
    PluginConflictError,
    PluginContractError,
    TokenizerError,
)
from gpt2sdk.gpt2.export import save_pretrained
from gpt2sdk.gpt2.layout import parameter_shapes
from gpt2sdk.gpt2.model import GPT2
from gpt2sdk.loading import Hub, LoadSettings, locate, parse_device
from gpt2sdk.plugins.registry import Registry
from gpt2sdk.tokenizer.tokenizer import Tokenizer

CONFIG = GPT2Config(vocab_size=257, n_positions=10, n_embd=8, n_head=2, n_layer=1, eos_token_id=0)
COMMITS = {"main": "a" * 40, "small": "b" * 40}
SMALL = ("config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json")


def write_model(folder, dtype=torch.float32, seed=0, config=CONFIG, most=10**9):
    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    vocab = {letter: token for token, letter in enumerate(["<|endoftext|>", *letters])}
    library = Library(models.BPE(vocab, []))
    library.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    library.decoder = decoders.ByteLevel()
    folder.mkdir(parents=True)
    library.save(str(folder / "tokenizer.json"))
    generator = torch.Generator().manual_seed(seed)
    weights = {
        name: torch.randn(shape, generator=generator).to(dtype)
        for name, shape in parameter_shapes(config).items()
    }
    with torch.device("meta"):
        model = GPT2(config)
    model.load_state_dict(weights, strict=True, assign=True)
    save_pretrained(model, config, Tokenizer.from_folder(folder), folder, max_shard_size=most)
    return weights


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models") / "tiny"
    write_model(folder)
    return folder


def load(name, dtype="auto", device="auto", registry=None, **hub):
    """Load without what is installed besides."""
    return loading.load(
        name,
        LoadSettings(dtype=dtype, device=device),
        hub=Hub(**hub),
        registry=registry or Registry(discover=False),
    )


def is_that_of(weights, loaded):
    return torch.equal(weights["wte.weight"], loaded.model.state_dict()["wte.weight"])


# --------------------------------------------------------------------------- folders and types


def test_a_folder_is_loaded_with_all_that_belongs_to_it(tmp_path):
    weights = write_model(tmp_path / "tiny")
    loaded = load(tmp_path / "tiny", device="cpu")

    assert is_that_of(weights, loaded)
    assert "héllo" == loaded.tokenizer.decode(loaded.tokenizer.encode("héllo"))
    named = {"bos_token_id": 0, "eos_token_id": 0}
    assert CONFIG.model_copy(update={"dtype": "float32", "generation": named} | named) == (
        loaded.model.config
    )
    assert ("folder", tmp_path / "tiny", None) == (
        loaded.source.kind,
        loaded.source.path,
        loaded.source.revision,
    )
    assert not loaded.model.training


def test_a_loaded_model_trains_once_it_is_unfrozen(folder):
    tokens = torch.tensor([[3, 1, 4, 1, 5]])
    model = load(folder, device="cpu").model
    fresh = GPT2(CONFIG)
    fresh.load_state_dict(model.state_dict())
    model.prepare()
    frozen = {parameter.requires_grad for parameter in model.train().parameters()}
    model.requires_grad_()
    for each in (model, fresh):
        # Without dropout, both have the same gradients.
        each.eval()(tokens, tokens).loss.backward()

    assert {False} == frozen
    gradients = {name: parameter.grad for name, parameter in fresh.named_parameters()}
    for name, parameter in model.named_parameters():
        torch.testing.assert_close(gradients[name], parameter.grad)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.sub_(0.1 * parameter.grad)
    assert model(tokens, tokens).loss < fresh(tokens, tokens).loss


def test_a_weight_file_is_loaded_with_what_lies_beside_it(folder):
    loaded = load(folder / "model.safetensors", device="cpu")

    assert 257 == loaded.tokenizer.vocab_size
    assert folder / "model.safetensors" == loaded.source.path


def test_a_name_relative_to_the_working_folder_is_a_folder(folder, monkeypatch):
    monkeypatch.chdir(folder.parent)

    assert "folder" == load("tiny").source.kind
    assert "folder" == load("./tiny").source.kind


@pytest.mark.parametrize(
    ("stored", "asked", "expected", "notes"),
    [
        (torch.float32, "auto", torch.float32, 0),
        (torch.bfloat16, "auto", torch.bfloat16, 0),
        (torch.float16, "auto", torch.float32, 1),
        (torch.float16, "float16", torch.float16, 0),
        (torch.float16, torch.bfloat16, torch.bfloat16, 0),
        (torch.float32, "torch.float64", torch.float64, 0),
    ],
)
def test_the_type_is_the_checkpoints_unless_a_cpu_cannot(tmp_path, stored, asked, expected, notes):
    write_model(tmp_path / "tiny", stored)
    loaded = load(tmp_path / "tiny", dtype=asked, device="cpu")

    assert {expected} == {parameter.dtype for parameter in loaded.model.parameters()}
    assert str(expected) == f"torch.{loaded.model.config.dtype}"
    assert notes == len(loaded.notes)


def test_what_was_chosen_instead_of_float16_is_said(tmp_path):
    write_model(tmp_path / "tiny", torch.float16)
    (note,) = load(tmp_path / "tiny", device="cpu").notes

    assert note.startswith("float16 weights were loaded as float32: ")


def test_the_device_is_the_gpu_if_there_is_one(folder):
    expected = "cuda" if torch.cuda.is_available() else "cpu"

    assert expected == parse_device("auto").type
    assert {expected} == {one.device.type for one in load(folder).model.parameters()}


@pytest.mark.parametrize("device", ["tpu", "cuda:99", "", "cpu:x"])
def test_a_device_that_is_not_there_is_an_error(folder, device):
    with pytest.raises(OptionError, match=f"^device={device!r}: expected one of auto, cpu"):
        load(folder, device=device)


@pytest.mark.parametrize("dtype", ["int8", torch.int8, "half", "float"])
def test_a_type_that_is_none_is_an_error(folder, dtype):
    with pytest.raises(
        OptionError, match=r"^dtype='\w+': expected auto, float64, float32, float16"
    ):
        load(folder, dtype=dtype)


def test_a_tokenizer_with_more_tokens_than_the_model_is_refused(tmp_path):
    write_model(tmp_path / "tiny", config=CONFIG.model_copy(update={"vocab_size": 256}))

    with pytest.raises(TokenizerError, match="has 257 tokens, the model 256: expected the tok"):
        load(tmp_path / "tiny")


def test_a_special_token_beyond_the_model_is_named(tmp_path):
    write_model(tmp_path / "tiny")
    settings = tmp_path / "tiny" / "tokenizer_config.json"
    settings.write_text(json.dumps(json.loads(settings.read_text()) | {"pad_token": "<pad>"}))

    with pytest.raises(TokenizerError, match="has 258 tokens, among them the added <pad>, the"):
        load(tmp_path / "tiny")


def test_a_special_token_without_a_role_may_be_beyond_the_model(tmp_path):
    write_model(tmp_path / "tiny")
    settings = tmp_path / "tiny" / "tokenizer_config.json"
    more = {"additional_special_tokens": ["<image>"]}
    settings.write_text(json.dumps(json.loads(settings.read_text()) | more))
    tokenizer = load(tmp_path / "tiny").tokenizer

    assert 258 == tokenizer.vocab_size
    assert 257 not in tokenizer.encode("an <image>")


def test_a_model_may_have_more_rows_than_there_are_tokens(tmp_path):
    write_model(tmp_path / "tiny", config=CONFIG.model_copy(update={"vocab_size": 264}))

    assert 257 == load(tmp_path / "tiny").tokenizer.vocab_size


def test_a_folder_without_a_tokenizer_is_refused(tmp_path):
    write_model(tmp_path / "tiny")
    (tmp_path / "tiny" / "tokenizer.json").unlink()

    with pytest.raises(TokenizerError, match=r"expected tokenizer.json, vocab.json with merges"):
        load(tmp_path / "tiny")


# -------------------------------------------------------------------------------------- sources


class Shelf(ModelSource):
    """Has the folders of one place."""

    place: str

    def names(self):
        return tuple(sorted(path.name for path in Path(self.place).iterdir()))

    def resolve(self, name):
        return Path(self.place, name) if name in self.names() else None


class Other(Shelf):
    """The same under another name."""


class Broken(ModelSource):
    """Raises, or answers with something that is no folder."""

    answer: str = ""

    def names(self):
        return ()

    def resolve(self, name):
        if not self.answer:
            raise ZeroDivisionError("division by zero")
        return Path(self.answer)


def shelved(at):
    """Return a registry with a shelf at a place."""

    class Here(Shelf):
        place: str = str(at)

    class Plugin:
        @hookimpl
        def gpt2sdk_components(self):
            return (Here,)

    return Registry([Plugin()], discover=False)


def test_a_source_is_asked_first(folder, tmp_path, monkeypatch):
    write_model(tmp_path / "tiny", seed=1)
    monkeypatch.chdir(tmp_path)
    source = load("tiny", registry=shelved(folder.parent)).source

    assert ("source", folder) == (source.kind, source.path)
    assert "folder" == load("tiny", registry=shelved(folder)).source.kind


def test_a_name_that_two_sources_claim_is_a_conflict(folder):
    place = str(folder.parent)

    with pytest.raises(PluginConflictError, match=r"tiny: several model sources .*: shelf, other"):
        locate("tiny", sources=[Shelf(place=place), Other(place=place)])


@pytest.mark.parametrize(
    ("answer", "message"),
    [
        ("", "the model source broken failed on tiny: division by zero"),
        ("nowhere", r"gave PosixPath\('nowhere'\) for tiny: expected an existing folder"),
    ],
)
def test_a_source_that_fails_is_named(answer, message):
    with pytest.raises(PluginContractError, match=message) as error:
        locate("tiny", sources=[Broken(answer=answer)])

    assert "broken" == error.value.plugin


# ------------------------------------------------------------------------------------- offline


def cache_entry(cache, name, folder, revision="main"):
    """Lay a model into a cache as the hub's client does."""
    place = cache / f"models--{name.replace('/', '--')}"
    snapshot = place / "snapshots" / COMMITS[revision]
    (place / "refs").mkdir(parents=True, exist_ok=True)
    (place / "refs" / revision).write_text(COMMITS[revision])
    snapshot.mkdir(parents=True)
    for file in folder.iterdir():
        blob = place / "blobs" / f"{revision}-{file.name}"
        blob.parent.mkdir(exist_ok=True)
        blob.write_bytes(file.read_bytes())
        (snapshot / file.name).symlink_to(blob)


@pytest.mark.parametrize("local", [True, False])
def test_what_is_in_the_cache_is_loaded_offline(folder, tmp_path, local):
    cache_entry(tmp_path, "owner/tiny", folder)
    source = load("owner/tiny", cache_dir=tmp_path, local_files_only=local).source

    assert ("hub", COMMITS["main"]) == (source.kind, source.revision)


def test_a_revision_in_the_cache_is_loaded_offline(folder, tmp_path):
    cache_entry(tmp_path, "owner/tiny", folder, "small")

    for revision in ("small", COMMITS["small"]):
        source = load("owner/tiny", revision=revision, cache_dir=tmp_path).source
        assert COMMITS["small"] == source.revision
    with pytest.raises(CheckpointError, match="not in the cache, and the hub is offline"):
        load("owner/tiny", cache_dir=tmp_path)


def test_what_is_not_in_the_cache_is_one_line_that_says_what_to_do(tmp_path):
    with pytest.raises(CheckpointError) as error:
        load("owner/tiny", revision="v1", cache_dir=tmp_path, registry=shelved(tmp_path))

    assert str(error.value) == (
        "owner/tiny: not found: no model source has it (they have: none), no folder owner/tiny, "
        "it is not in the cache at revision v1, and the hub is offline: go online once"
    )


def test_a_file_that_is_missing_from_the_cache_is_named(folder, tmp_path):
    cache_entry(tmp_path, "owner/tiny", folder)
    (tmp_path / "models--owner--tiny/snapshots" / COMMITS["main"] / "model.safetensors").unlink()

    with pytest.raises(CheckpointError, match="expected weights"):
        load("owner/tiny", cache_dir=tmp_path)


@pytest.mark.parametrize(
    "name", ["./tiny", "/nowhere/tiny", "a/b/c", "~/nowhere", "tiny.safetensors", "a\\b"]
)
def test_a_path_that_is_not_there_is_not_looked_for_on_the_hub(name):
    with pytest.raises(CheckpointError, match=r"no folder .*, and it is no hub id$"):
        load(name)


@pytest.mark.parametrize("name", ["a b", "owner/-tiny", "x--y", "a" * 200])
def test_a_name_that_cannot_be_a_hub_id_is_an_error(name, tmp_path):
    with pytest.raises(CheckpointError, match=r"no folder .*, and it is no hub id$"):
        load(name, cache_dir=tmp_path)


# --------------------------------------------------------------------------------------- online


class HubHandler(BaseHTTPRequestHandler):
    """The few routes of the hub that a download needs."""

    def do_HEAD(self):
        self.answer(body=False)

    def do_GET(self):
        self.answer(body=True)

    def log_message(self, *_):
        """Say nothing."""

    def answer(self, *, body):
        path = self.path.split("?")[0].strip("/")
        self.server.requests[f"{self.command} {path}"] += 1
        self.server.tokens.add(self.headers.get("Authorization"))
        if path.startswith("api/models/"):
            self.api(path.removeprefix("api/models/").split("/"))
        else:
            owner, name, _, revision, file = path.split("/")
            self.file(f"{owner}/{name}", revision, file, body=body)

    def api(self, parts):
        name, rest = "/".join(parts[:2]), parts[2:] or ["revision", "main"]
        found = self.found(name, rest[1])
        if not found:
            return
        commit, folder = found
        if rest[0] == "tree":
            self.json(
                [
                    {
                        "type": "file",
                        "path": file.name,
                        "size": file.stat().st_size,
                        "oid": "0" * 40,
                    }
                    for file in folder.iterdir()
                ]
            )
        else:
            files = [{"rfilename": file.name} for file in folder.iterdir()]
            self.json({"id": name, "modelId": name, "sha": commit, "siblings": files})

    def found(self, name, revision):
        """Return commit and folder, or answer why there is none."""
        refused = {"gated": (403, "GatedRepo"), "failing": (500, "")}.get(name.split("/")[0])
        if name.startswith("private/") and self.headers.get("Authorization") != "Bearer right":
            refused = (401, "RepoNotFound")
        revisions = {} if refused else self.server.models.get(name)
        for known, folder in (revisions or {}).items():
            if revision in (known, COMMITS[known]):
                return COMMITS[known], folder
        missing = "RepoNotFound" if revisions is None else "RevisionNotFound"
        self.refuse(*(refused or (404, missing)))
        return None

    def file(self, name, revision, file, *, body):
        found = self.found(name, revision)
        if not found:
            return
        commit, folder = found
        if not (folder / file).is_file():
            self.refuse(404, "EntryNotFound")
            return
        data = (folder / file).read_bytes()
        etag = f'"{commit[:4]}-{file}"'
        self.head(200, {"X-Repo-Commit": commit, "ETag": etag, "Content-Length": str(len(data))})
        if body:
            self.wfile.write(data)

    def json(self, value):
        data = json.dumps(value).encode()
        self.head(200, {"Content-Type": "application/json", "Content-Length": str(len(data))})
        self.wfile.write(data)

    def refuse(self, status, code):
        self.head(status, {"X-Error-Code": code, "Content-Length": "0"})

    def head(self, status, headers):
        self.send_response(status)
        for key, value in headers.items():
            self.send_header(key, value)
        self.end_headers()


def go_online_at(endpoint, monkeypatch):
    """Do what `HF_ENDPOINT` and `HF_HUB_OFFLINE=0` do when the client is imported."""
    constants = huggingface_hub.constants
    template = constants.HUGGINGFACE_CO_URL_TEMPLATE.replace(constants.ENDPOINT, endpoint)
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "ENDPOINT", endpoint)
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", False)


@pytest.fixture
def hub(monkeypatch, tmp_path_factory):
    """Serve models on this machine, and let the client go there."""
    place = tmp_path_factory.mktemp("hub")
    write_model(place / "main", seed=1)
    write_model(place / "small", seed=2)
    write_model(place / "sharded", most=500)
    old = place / "old"
    write_model(old)
    from safetensors.torch import load_file

    torch.save(load_file(old / "model.safetensors"), old / "pytorch_model.bin")
    (old / "model.safetensors").unlink()
    for name in ("pytorch_model.bin", "tf_model.h5", "model.onnx", "README.md"):
        (place / "main" / name).write_text("not wanted")
    (place / "empty").mkdir()
    (place / "empty" / "README.md").write_text("nothing here")
    server = ThreadingHTTPServer(("127.0.0.1", 0), HubHandler)
    server.requests, server.tokens = Counter(), set()
    server.models = {
        "owner/tiny": {"main": place / "main", "small": place / "small"},
        "owner/sharded": {"main": place / "sharded"},
        "owner/old": {"main": old},
        "owner/empty": {"main": place / "empty"},
        "private/tiny": {"main": place / "main"},
    }
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    server.endpoint = f"http://127.0.0.1:{server.server_port}"
    go_online_at(server.endpoint, monkeypatch)
    yield server
    huggingface_hub.close_session()
    server.shutdown()
    server.server_close()
    thread.join()


def weights_of(hub, name, revision="main"):
    folder = hub.models[name][revision]
    return load(folder).model.state_dict()


def fetched(hub):
    return {
        path.rpartition("/")[2]
        for path in hub.requests
        if path.startswith("GET") and "resolve" in path
    }


def test_a_model_is_fetched_from_the_hub_once(hub, tmp_path):
    first = load("owner/tiny", cache_dir=tmp_path)

    assert is_that_of(weights_of(hub, "owner/tiny"), first)
    assert ("hub", COMMITS["main"]) == (first.source.kind, first.source.revision)
    assert {*SMALL, "model.safetensors"} == fetched(hub)

    hub.requests.clear()
    assert first.source == load("owner/tiny", cache_dir=tmp_path).source
    assert set() == fetched(hub)


def test_what_was_fetched_is_there_offline(hub, tmp_path, monkeypatch):
    online = load("owner/tiny", cache_dir=tmp_path)
    hub.requests.clear()

    assert online.source == load("owner/tiny", cache_dir=tmp_path, local_files_only=True).source
    monkeypatch.setattr(huggingface_hub.constants, "HF_HUB_OFFLINE", True)
    assert online.source == load("owner/tiny", cache_dir=tmp_path).source
    assert not hub.requests


def test_a_revision_is_followed(hub, tmp_path):
    loaded = load("owner/tiny", revision="small", cache_dir=tmp_path)

    assert is_that_of(weights_of(hub, "owner/tiny", "small"), loaded)
    assert COMMITS["small"] == loaded.source.revision


@pytest.mark.parametrize("name", ["owner/old", "owner/sharded"])
def test_other_kinds_of_weights_are_fetched(hub, tmp_path, name):
    assert is_that_of(weights_of(hub, name), load(name, cache_dir=tmp_path))


def test_an_endpoint_can_be_given(hub, tmp_path, monkeypatch):
    go_online_at("http://127.0.0.1:1", monkeypatch)
    source = locate("owner/tiny", hub=Hub(cache_dir=tmp_path, endpoint=hub.endpoint))

    assert COMMITS["main"] == source.revision


def test_a_token_is_sent(hub, tmp_path):
    loaded = load("private/tiny", token="right", cache_dir=tmp_path)  # noqa: S106 - not a secret

    assert COMMITS["main"] == loaded.source.revision
    assert {"Bearer right"} == hub.tokens


def test_no_token_is_sent_unless_one_is_given(hub, tmp_path):
    load("owner/tiny", token=False, cache_dir=tmp_path)

    assert {None} == hub.tokens


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        (
            "owner/none",
            {},
            "no folder owner/none, and no such model on the hub .a private one need",
        ),
        ("private/tiny", {"token": "wrong"}, "and no such model on the hub .a private one needs"),
        ("gated/tiny", {}, "shows it only to those who were granted access: give token="),
        ("owner/tiny", {"revision": "v9"}, "the hub's repository has no revision v9"),
        ("owner/empty", {}, "expected config.json with model.safetensors .* found README.md$"),
        ("failing/tiny", {}, "it is not in the cache, and the hub cannot be reached"),
    ],
)
def test_what_the_hub_refuses_is_one_line(hub, tmp_path, name, options, message):
    with pytest.raises(CheckpointError, match=message) as error:
        load(name, cache_dir=tmp_path, **options)

    assert "\n" not in str(error.value)
    assert str(error.value).startswith(f"{name}: ")
    assert hub.requests


@pytest.mark.usefixtures("hub")
def test_a_hub_that_is_not_there_leaves_the_cache(tmp_path, monkeypatch):
    online = load("owner/tiny", cache_dir=tmp_path).source
    go_online_at("http://127.0.0.1:1", monkeypatch)

    assert online == load("owner/tiny", cache_dir=tmp_path).source
    with pytest.raises(CheckpointError, match="not in the cache, and the hub cannot be reached"):
        load("owner/other", cache_dir=tmp_path)


def test_models_of_transformers_are_fetched_likewise(hub, tmp_path):
    pytest.importorskip("gpt2sdk_transformers", reason="what loads these models comes from there")
    from transformers import LlamaConfig, LlamaForCausalLM

    from gpt2sdk import Generator
    from gpt2sdk.testing import tiny_tokenizer

    sizes = {"hidden_size": 32, "intermediate_size": 48, "num_hidden_layers": 2}
    networks = {}
    for number, revision in enumerate(("main", "small")):
        torch.manual_seed(number)
        config = LlamaConfig(vocab_size=278, num_attention_heads=2, eos_token_id=277, **sizes)
        folder = tmp_path / revision
        networks[revision] = LlamaForCausalLM(config).eval()
        networks[revision].save_pretrained(folder, max_shard_size="40KB")
        tiny_tokenizer().save(folder)
        for name in ("pytorch_model.bin", "modeling_llama.py", "README.md", "model.onnx"):
            (folder / name).write_text("raise SystemExit")
    shards = {file.name for file in (tmp_path / "small").glob("model-*.safetensors")}
    assert len(shards) > 1
    hub.models["owner/llama"] = {name: tmp_path / name for name in networks}
    options = {"revision": "small", "cache_dir": tmp_path / "cache", "dtype": "float32"}
    gen = Generator.from_pretrained("owner/llama", **options)

    small = {*SMALL, "model.safetensors.index.json"} & {each.name for each in folder.iterdir()}
    assert small | shards == fetched(hub)
    tokens = [3, 4, 5, 6]
    found = gen.model.score(gen.model.make_cache(1), [tokens], [4]).logits
    with torch.no_grad():
        wanted = networks["small"](torch.tensor([tokens])).logits[0]
    assert torch.allclose(found, wanted, atol=1e-4)
    hub.requests.clear()
    again = Generator.from_pretrained("owner/llama", local_files_only=True, **options)
    assert torch.equal(found, again.model.score(again.model.make_cache(1), [tokens], [4]).logits)
    assert not hub.requests
    with pytest.raises(CheckpointError, match="to those who were granted access: give token="):
        Generator.from_pretrained("gated/llama", cache_dir=tmp_path / "cache")
