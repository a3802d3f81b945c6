"""The choice of the model: each page gets its own model's answers, whatever others do and whatever happens on disk."""

from __future__ import annotations

import gc
import json
import re
import shutil
import threading
import weakref
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import httpx
import pytest
import torch

from app.attention import service as attention_service
from app.common.settings import read_settings
from app.common.strings import Problem
from app.compare.service import FIRST
from app.launch.options import parse_options
from app.models import registry as models_module
from app.models.page_models import MOST_PAGES
from app.models.registry import Models
from app.server.services import Services
from litellama.chat import stop_ids
from litellama.checkpoint import open_checkpoint, save_checkpoint
from litellama.config import ModelConfig, preset
from litellama.model import LiteLlama
from litellama.tokenizer import Tokenizer
from tests.browser.app_server import Page, running_app
from tests.conftest import TINY, random_model

SENT = {"temperature": 0, "top_p": 1, "top_k": 0, "max_tokens": 12, "seed": 1}
QUESTION = "Tom found a red kite. Where is it?"
SHAPES = {  # layers, query heads, key/value heads
    "alpha": (2, 4, 2), "beta": (3, 2, 1), "gamma": (1, 8, 8),
}  # fmt: skip
Save = Callable[..., None]


def shaped(name: str, tokenizer: Tokenizer) -> ModelConfig:
    layers, heads, groups = SHAPES[name]
    return replace(
        TINY, vocab_size=tokenizer.vocab_size, num_hidden_layers=layers, num_attention_heads=heads,
        num_key_value_heads=groups, head_dim=32 // heads,
    )  # fmt: skip


def talkative(config: ModelConfig, tokenizer: Tokenizer, seed: int = 0) -> LiteLlama:
    """An untrained model that finds no end, so that each answers something."""
    model = random_model(config, seed)
    with torch.no_grad():
        model.lm_head.weight[list(stop_ids(model, tokenizer))] = 0  # score 0, and some other token's is always higher
    return model


@pytest.fixture
def save(tmp_path: Path, tokenizer: Tokenizer) -> Save:
    def save(name: str, shape: str, seed: int = 0, card: dict[str, Any] | None = None) -> None:
        model = talkative(shaped(shape, tokenizer), tokenizer, seed)
        save_checkpoint(tmp_path / name, model, tokenizer, card={"name": name.title()} | (card or {}))

    return save


@pytest.fixture
def shelf(tmp_path: Path, save: Save) -> Path:
    """A folder of three models, alpha, beta and gamma."""
    for name in SHAPES:
        save(name, name)
    return tmp_path


@pytest.fixture
def services(shelf: Path) -> Services:
    return Services(open_checkpoint(shelf / "alpha"), shelf)


def ask(services: Services, key: str, text: str = QUESTION) -> dict[str, Any]:
    return list(services.chat.ask(key, text, read_settings(SENT)))[-1].to_json()


def shape(services: Services, key: str) -> tuple[int, int, int]:
    shown = list(services.attention.look(key, QUESTION))[-1]
    return shown["layers"], shown["heads"], shown["groups"]


def names(models: Models) -> list[str]:
    return [one.name for one in models.local_models()]


# --- What there is -----------------------------------------------------------------------------------------------


def test_the_list_is_what_the_folder_holds_now(shelf: Path, save: Save, tokenizer: Tokenizer) -> None:
    save("later", "beta", seed=5)
    shutil.move(shelf / "later", shelf.parent / f"{shelf.name}-later")
    models = Models(open_checkpoint(shelf / "beta"), shelf)
    assert names(models) == ["beta", "alpha", "gamma"], "the first one is first"
    rows = {one.name: one.to_json() for one in models.local_models()}
    for name, row in rows.items():
        count = shaped(name, tokenizer).num_parameters
        assert row == {"name": name, "title": name.title(), "parameters": count, "has_manifest": True}
    shutil.move(shelf.parent / f"{shelf.name}-later", shelf / "later")
    assert names(models) == ["beta", "alpha", "gamma", "later"]
    shutil.rmtree(shelf / "gamma")
    assert names(models) == ["beta", "alpha", "later"]


def test_what_is_not_whole_is_not_offered(shelf: Path) -> None:
    first = open_checkpoint(shelf / "alpha")
    for name, gone in (("no-weights", "model.safetensors"), ("no-words", "tokenizer.json")):
        shutil.copytree(shelf / "beta", shelf / name)
        (shelf / name / gone).unlink()
    for name, text in (("garbage", "{"), ("other-kind", '{"model_type": "gpt2"}')):
        shutil.copytree(shelf / "beta", shelf / name)
        (shelf / name / "config.json").write_text(text, encoding="utf-8")
    shutil.copytree(shelf / "beta", shelf / ".unfinished")
    (shelf / "a file").write_text("", encoding="utf-8")
    models = Models(first, shelf)
    assert names(models) == ["alpha", "beta", "gamma"]
    assert names(Models(first)) == ["alpha"]
    assert names(Models(first, shelf / "nowhere")) == ["alpha"]


@pytest.mark.parametrize("card", ["{", "[]", '{"name": 3}', '{"name": " "}', "[" * 50_000, "\udcff"])
def test_a_card_without_a_name_leaves_the_folders(shelf: Path, card: str) -> None:
    (shelf / "beta" / "card.json").write_bytes(card.encode("utf-8", "surrogateescape"))
    models = Models(open_checkpoint(shelf / "alpha"), shelf)
    assert [one.title for one in models.local_models()] == ["Alpha", "beta", "Gamma"]


def test_a_foreign_model_is_not_verified(shelf: Path) -> None:
    (shelf / "beta" / "manifest.json").unlink()
    (shelf / "beta" / "card.json").write_text('{"name": "B", "trust": {"methods": {}}}', encoding="utf-8")
    models = Models(open_checkpoint(shelf / "alpha"), shelf)
    assert [one.has_manifest for one in models.local_models()] == [True, False, True]
    told = models.describe("beta")
    assert (told["title"], told["verified"], told["trust"]) == ("B", False, None)


def test_a_page_is_told_what_its_model_is(shelf: Path, save: Save, tokenizer: Tokenizer) -> None:
    save("town", "gamma", card={"corpus": "tinytown-3", "trust": {"methods": {}}})
    models = Models(open_checkpoint(shelf / "alpha"), shelf)
    told = models.describe("town")
    assert told == {
        "name": "town", "title": "Town", "parameters": shaped("gamma", tokenizer).num_parameters, "verified": True,
        "tinytown": True, "form": "chat", "litellama": False, "trouble": "", "trust": {"methods": {}}, "first": False,
        "problem": None, "corrected": None, "device": "CPU", "refused_device": None, "small": False, "context": 128,
        "knobs": {"temperature": 0.7, "top_p": 0.95, "top_k": 0, "repetition_penalty": 1.0},
    }  # fmt: skip
    assert models.describe()["first"]
    assert not models.describe("beta")["tinytown"]
    told = models.describe("nobody")
    assert (told["name"], told["first"], told["problem"]["key"]) == ("alpha", True, "problem.no_model")
    assert "nobody" in told["problem"]["english"]


def test_a_page_is_told_what_was_put_right(shelf: Path) -> None:
    """A foreign folder whose config names ordinary tokens as the ends of texts."""
    (shelf / "beta" / "manifest.json").unlink()
    values = json.loads((shelf / "beta" / "config.json").read_text(encoding="utf-8"))
    values |= {"bos_token_id": 300, "eos_token_id": 301}
    (shelf / "beta" / "config.json").write_text(json.dumps(values), encoding="utf-8")
    told = Models(open_checkpoint(shelf / "alpha"), shelf).describe("beta")
    assert re.fullmatch(r".+ \(300\), .+ \(301\)", told["corrected"]["named"])
    assert told["corrected"]["instead"] == "<|end|> (2)"


def test_the_first_one_stands_before_its_namesake(shelf: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    elsewhere = tmp_path_factory.mktemp("elsewhere") / "beta"
    shutil.copytree(shelf / "gamma", elsewhere)
    models = Models(open_checkpoint(elsewhere), shelf)
    assert names(models) == ["beta", "alpha", "gamma"]
    assert models.open("beta").opened.folder == elsewhere


# --- Two pages, two models ---------------------------------------------------------------------------------------


def test_two_pages_get_their_own_models_answers(services: Services, shelf: Path) -> None:
    alone = {name: Services(open_checkpoint(shelf / name)) for name in SHAPES}
    services.page_models.choose("two", "beta")
    services.page_models.choose("three", "gamma")
    pages = {"one": "alpha", "two": "beta", "three": "gamma"}  # the first one chose nothing
    for key, name in pages.items():  # each asks before any goes on
        assert ask(services, key)["tokens"] == ask(alone[name], "x")["tokens"]
        list(services.attention.look(key, QUESTION))
        services.attribution.read(key, QUESTION)
    for key, name in pages.items():
        other = alone[name]
        again = ask(services, key, "And who has it?")
        assert again["tokens"] == ask(other, "x", "And who has it?")["tokens"], "it remembers its own conversation"
        assert services.chat.alternatives(key, again["turn"], 0) == other.chat.alternatives("x", again["turn"], 0)
        assert shape(services, key) == SHAPES[name] == shape(other, "x")
        assert services.attention.head(key, "head", 0, 1) == other.attention.head("x", "head", 0, 1)
        assert services.layers.guess(key, QUESTION) == other.layers.guess("x", QUESTION)
        assert services.step.trace(key, {"text": QUESTION}) == other.step.trace("x", {"text": QUESTION})
        begun = services.intervene.begin(key, QUESTION)
        assert begun == other.intervene.begin("x", QUESTION)
        read = other.attribution.read("x", QUESTION)
        wanted = {"method": "ablation", "unit": "word", "start": read["answer_start"], "end": len(read["tokens"])}
        found, expected = (
            list(services.attribution.explain(key, wanted))[-1],
            list(other.attribution.explain("x", wanted))[-1],
        )
        assert found["scores"] == expected["scores"]
        assert services.attribution.put_to_the_test(key) == other.attribution.put_to_the_test("x")


def test_another_choice_forgets_what_the_model_before_said(services: Services) -> None:
    turn = ask(services, "a")["turn"]
    list(services.attention.look("a", QUESTION))
    services.attribution.read("a", QUESTION)
    services.step.trace("a", {"text": QUESTION})
    services.intervene.begin("a", QUESTION)
    for same in (None, "alpha"):  # the first one, unsaid and by its name
        services.page_models.choose("a", same)
        assert services.chat.alternatives("a", turn, 0)
        assert services.attention.head("a", "head", 0, 0)
    services.page_models.choose("a", "beta")
    everything: tuple[Callable[[], object], ...] = (
        lambda: services.chat.alternatives("a", turn, 0), lambda: services.attention.head("a", "head", 0, 0),
        lambda: services.attribution.put_to_the_test("a"), lambda: services.step.trace("a", {}),
        lambda: list(services.intervene.worth("a")), lambda: list(services.chat.redo("a", None, read_settings(SENT))),
    )  # fmt: skip
    for forgotten in everything:
        with pytest.raises(Problem):
            forgotten()
    assert shape(services, "a") == SHAPES["beta"]
    services.page_models.choose("a", None)
    assert shape(services, "a") == SHAPES["alpha"]


def test_a_choice_ends_the_reply_under_way(services: Services) -> None:
    running = services.chat.ask("a", QUESTION, read_settings(SENT | {"max_tokens": 60}))
    next(running)
    services.page_models.choose("a", "beta")
    assert list(running)[-1].to_json()["state"] == "stopped"


def test_clearing_the_chat_keeps_the_model(services: Services) -> None:
    services.page_models.choose("a", "beta")
    ask(services, "a")
    services.chat.erase("a")
    assert services.chat.conversation("a").turns == []
    assert services.page_models.opened("a") is services.models.open("beta").opened


def test_a_page_that_was_forgotten_comes_back_as_the_first(services: Services) -> None:
    """The page names its model with each request, so that it is never answered by another."""
    services.page_models.choose("a", "beta")
    list(services.attention.look("a", QUESTION))
    services.attribution.read("a", QUESTION)
    for number in range(MOST_PAGES):
        services.page_models.choose(f"page {number}", "gamma")
    for forgotten in (
        lambda: services.attention.head("a", "head", 0, 0),
        lambda: services.attribution.put_to_the_test("a"),
    ):
        with pytest.raises(Problem):
            forgotten()
    assert services.page_models.opened("a").folder.name == "alpha"
    services.page_models.choose("a", "beta")
    assert services.page_models.opened("a").folder.name == "beta"
    assert len(services.page_models._chosen.items()) <= MOST_PAGES


FORGED = ("", ".", "..", "../{shelf}/beta", "{folder}/beta", "beta/", "./beta", "beta\0", ".secret", "x" * 9999)


@pytest.mark.parametrize("forged", FORGED)
def test_a_forged_name_opens_nothing(
    services: Services, shelf: Path, forged: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.copytree(shelf / "beta", shelf / ".secret")
    monkeypatch.setattr(models_module, "open_for_use", lambda folder, **_: pytest.fail(f"{folder} was opened"))
    services.page_models.choose("a", forged.format(shelf=shelf.name, folder=shelf))
    with pytest.raises(Problem, match="There is no model called") as problem:
        ask(services, "a")
    assert len(str(problem.value)) < 140
    assert services.chat.conversation("a").turns == []


@pytest.mark.parametrize("forged", [3, True, ["beta"], {"name": "beta"}, 0.5])
def test_a_name_is_a_text(services: Services, forged: object) -> None:
    with pytest.raises(Problem, match="does not understand"):
        services.page_models.choose("a", forged)


# --- Opened once, held while there is room -------------------------------------------------------------------------


class Opening:
    """Stands for `open_checkpoint`: counts, and waits when it is told to."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.opened: list[str] = []
        self.begun, self.go = threading.Event(), threading.Event()
        self.go.set()
        monkeypatch.setattr(models_module, "open_for_use", self)

    def __call__(self, folder: Path, **_: Any) -> Any:
        self.opened.append(folder.name)
        self.begun.set()
        assert self.go.wait(20)
        return open_checkpoint(folder)


def test_pages_that_ask_at_once_open_it_once(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    opening = Opening(monkeypatch)
    opening.go.clear()
    got: list[Any] = []
    threads = [threading.Thread(target=lambda: got.append(services.models.open("beta"))) for _ in range(6)]
    for thread in threads:
        thread.start()
    assert opening.begun.wait(20)
    assert ask(services, "another page")["count"] > 0, "it need not wait for what others open"
    assert services.models.open("alpha") is services.models.first
    assert got == []
    opening.go.set()
    for thread in threads:
        thread.join(20)
    assert opening.opened == ["beta"]
    assert len(got) == 6
    assert all(one is got[0] for one in got)


def test_the_least_recently_used_make_room(shelf: Path, save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    save("delta", "beta", seed=9)
    opening = Opening(monkeypatch)
    sizes = {one.name: one.parameters * 4 for one in Models(open_checkpoint(shelf / "alpha"), shelf).local_models()}
    models = Models(open_checkpoint(shelf / "alpha"), shelf, most_bytes=2 * sizes["beta"])
    assert models.open("beta").bytes == sizes["beta"]
    models.open("gamma")
    models.open("beta")  # so that gamma is the one that was not used for longest
    gone, kept = (weakref.ref(models.open(name).opened.model) for name in ("gamma", "beta"))
    models.open("delta")
    gc.collect()
    assert gone() is None
    assert kept() is not None
    models.open("beta")
    models.open("alpha")
    assert opening.opened == ["beta", "gamma", "delta"], "what is held is not opened again, the first one never"
    models.open("gamma")
    assert opening.opened[-1] == "gamma"

    models = Models(open_checkpoint(shelf / "alpha"), shelf, most_bytes=1)
    models.open("beta")
    assert models.open("beta") is models.open("beta"), "the last one stays, however large"
    assert models.open("alpha") is models.first


def test_a_model_that_does_not_fit_is_refused(services: Services, monkeypatch: pytest.MonkeyPatch) -> None:
    needed = next(one for one in services.models.local_models() if one.name == "beta").parameters * 4
    monkeypatch.setattr(models_module, "free_memory", lambda device: needed)
    services.page_models.choose("a", "beta")
    with pytest.raises(Problem, match=r"“Beta” would take 0\.0 GB of the 0\.0 GB of memory that are free"):
        ask(services, "a")
    assert services.models.describe("beta")["problem"]["key"] == "problem.model_too_large"
    assert ask(services, "b")["count"] > 0, "the first one is there already"
    monkeypatch.setattr(models_module, "free_memory", lambda device: 2 * needed)
    assert ask(services, "a")["count"] > 0


def test_free_memory_is_this_machines() -> None:
    assert 2**20 < models_module.free_memory() < 2**50


# --- What happens on disk ------------------------------------------------------------------------------------------


def test_a_replaced_folder_is_opened_anew(services: Services, shelf: Path, save: Save) -> None:
    services.page_models.choose("old", "beta")
    turn = ask(services, "old")["turn"]
    before = services.page_models.opened("old")
    assert services.models.open("beta").opened is before
    save("beta", "gamma", seed=4, card={"name": "New"})
    assert services.models.describe("beta")["title"] == "New"
    services.page_models.choose("new", "beta")
    assert shape(services, "new") == SHAPES["gamma"]
    assert services.page_models.opened("new") is not before
    for use in (lambda: ask(services, "old"), lambda: services.chat.alternatives("old", turn, 0)):
        with pytest.raises(Problem, match="“New” was replaced meanwhile; please reload"):
            use()
    assert ask(services, "new")["tokens"] == ask(Services(open_checkpoint(shelf / "beta")), "x")["tokens"]


def test_the_first_one_can_be_replaced_as_well(services: Services, save: Save) -> None:
    ask(services, "old")
    save("alpha", "beta", seed=4)
    assert shape(services, "new") == SHAPES["beta"]
    assert services.models.first.opened.config.num_hidden_layers == SHAPES["beta"][0]
    assert services.models.open() is services.models.open("alpha") is services.models.first
    with pytest.raises(Problem, match="replaced meanwhile"):
        ask(services, "old")


def test_the_same_files_saved_again_are_the_same_model(services: Services, save: Save) -> None:
    services.page_models.choose("a", "beta")
    turn, before = ask(services, "a")["turn"], services.page_models.opened("a")
    save("beta", "beta")
    assert services.page_models.opened("a") is before
    assert services.chat.alternatives("a", turn, 0)


def test_a_foreign_folder_is_watched_by_its_files(shelf: Path, save: Save) -> None:
    (shelf / "beta" / "manifest.json").unlink()
    models = Models(open_checkpoint(shelf / "alpha"), shelf)
    before = models.open("beta")
    assert models.open("beta") is before
    shutil.copy(shelf / "gamma" / "config.json", shelf / "beta" / "config.json")
    shutil.copy(shelf / "gamma" / "model.safetensors", shelf / "beta" / "model.safetensors")
    assert models.open("beta").opened.config.num_hidden_layers == SHAPES["gamma"][0]


def test_who_has_a_model_keeps_it_when_its_folder_is_gone(services: Services, shelf: Path) -> None:
    for key, name in (("a", "beta"), ("b", "alpha")):
        services.page_models.choose(key, name)
        ask(services, key)
        shutil.rmtree(shelf / name)
        assert ask(services, key, "And now?")["count"] > 0
    services.page_models.choose("c", "gamma")
    shutil.rmtree(shelf / "gamma")
    with pytest.raises(Problem, match="no model called “gamma”"):
        ask(services, "c")


def test_a_damaged_model_is_a_sentence(services: Services, shelf: Path, caplog: pytest.LogCaptureFixture) -> None:
    weights = bytearray((shelf / "beta" / "model.safetensors").read_bytes())
    weights[-1] ^= 1
    (shelf / "beta" / "model.safetensors").write_bytes(weights)
    assert "beta" in names(services.models), "this cannot be seen without reading it all"
    services.page_models.choose("a", "beta")
    with pytest.raises(Problem, match="“Beta” could not be opened"):
        ask(services, "a")
    assert "SHA-256" in caplog.text
    told = services.models.describe("beta")
    assert (told["name"], told["problem"]["key"]) == ("alpha", "problem.model_broken")
    services.page_models.choose("a", "gamma")
    assert ask(services, "a")["count"] > 0


def test_roles_are_each_models_own(services: Services, save: Save, monkeypatch: pytest.MonkeyPatch) -> None:
    measured: list[int] = []
    measure = attention_service.head_roles

    def counting(model: Any, tokenizer: Tokenizer) -> Any:
        measured.append(model.config.num_hidden_layers)
        return measure(model, tokenizer)

    monkeypatch.setattr(attention_service, "head_roles", counting)

    def roles(key: str, name: str) -> list[Any]:
        services.page_models.choose(key, name)
        return list(services.attention.look(key, QUESTION))[-1]["roles"]

    for key, name in (("a", "alpha"), ("b", "beta"), ("c", "alpha"), ("d", "beta")):
        layers, heads, _ = SHAPES[name]
        found = roles(key, name)
        assert [len(row) for row in found] == [heads] * layers
    assert measured == [SHAPES["alpha"][0], SHAPES["beta"][0]]
    save("beta", "gamma", seed=3)
    assert [len(row) for row in roles("e", "beta")] == [8]
    for key in "bd":
        services.lifecycle.forget(key)
    gc.collect()
    assert len(services.attention._roles) == 2, "the old one's are gone with it"


# --- Over the network -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory, tokenizer: Tokenizer) -> Path:
    folder = tmp_path_factory.mktemp("models")
    for name in ("alpha", "beta"):
        model = talkative(shaped(name, tokenizer), tokenizer)
        save_checkpoint(folder / name, model, tokenizer, card={"name": name.title()})
    for name, hours in (("town", 1.5), ("village", 3.0)):
        card = {"name": name, "hours": hours, "machine": "2 cores of AMD EPYC"}
        save_checkpoint(folder / name, random_model(preset("tinytown")), tokenizer, card=card)
    return folder


@pytest.fixture(scope="module")
def client(folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    log = tmp_path_factory.mktemp("app") / "app.log"
    with (
        running_app(folder / "alpha", log, "--models", str(folder)) as address,
        httpx.Client(base_url=address, timeout=30) as client,
    ):
        yield client
    assert "Traceback" not in log.read_text(), log.read_text()


def test_the_page_can_list_and_open(client: httpx.Client) -> None:
    assert [one["name"] for one in client.get("/models.json").json()] == ["alpha", "beta", "town", "village"]
    assert client.post("/model.json").json()["name"] == "alpha"
    told = client.post("/model.json", params={"name": "beta"}).json()
    assert (told["title"], told["verified"], told["problem"]) == ("Beta", True, None)
    told = client.post("/model.json", params={"name": "../beta"}).json()
    assert (told["name"], told["problem"]["key"]) == ("alpha", "problem.no_model")
    assert client.get("/model.json", params={"name": "beta"}).status_code >= 400, "no mere link opens a model"
    forged = {"origin": "https://evil.example"}
    assert client.post("/model.json", params={"name": "beta"}, headers=forged).status_code == 400


def test_every_request_names_its_model(client: httpx.Client) -> None:
    for name, (layers, heads, _) in ((name, SHAPES[name]) for name in ("alpha", "beta")):
        page = Page(client)
        sent = {"model": name, "text": QUESTION}
        assert page.call("ask", sent | {"request": "1", "settings": SENT})["count"] > 0
        shown = page.call("look", sent)
        assert (shown["layers"], shown["heads"]) == (layers, heads)
        closer = {"model": name, "view": "head", "layer": layers - 1, "head": heads - 1}
        assert page.call("closer", closer)["layer"] == layers - 1
        assert len(page.call("guess", sent)["rows"]) == layers + 1
        assert page.call("trace", sent)["heads"] == heads
        assert page.call("begin", sent)["heads"] == heads
        read = page.call("read", sent)
        wanted = {"method": "ablation", "unit": "word", "start": read["answer_start"], "end": len(read["tokens"])}
        assert page.call("explain", {"model": name} | wanted)["state"] == "done"
        assert page.call("test", {"model": name})["blanked"]


@pytest.mark.parametrize(
    "event", "ask redo look closer guess trace begin read explain compare test compare_models".split()
)
@pytest.mark.parametrize("forged", ["../beta", ["beta"]])
def test_no_request_is_answered_by_another_model(client: httpx.Client, event: str, forged: object) -> None:
    sent = {"model": forged, "text": QUESTION, "settings": SENT, **FIRST}
    expected = "problem.no_model" if isinstance(forged, str) else "problem.request"
    page = Page(client)
    answer = page.call(event, sent)
    nothing_yet = event in ("closer", "explain", "compare", "test") and isinstance(forged, str)
    assert answer["problem"]["key"] == expected or nothing_yet, answer
    assert "problem" in answer


def test_the_embedded_models_row_is_the_pages(client: httpx.Client) -> None:
    page = Page(client)

    def training(name: str | None) -> float | None:
        costs = page.call("compare_models", {**FIRST, "model": name})["costs"]
        (row,) = (one for one in costs["models"] if one["key"] == "tinytown")
        return row["training"] and row["training"]["value"]

    town, village = training("town"), training("village")
    assert town
    assert village == pytest.approx(2 * town)
    assert training("beta") == training(None), "of another shape"
    assert json.dumps(training("beta")) != json.dumps(town)


def test_the_folder_must_be_there(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert parse_options([]).models is None
    assert parse_options(["--models", str(tmp_path)]).models == tmp_path
    with pytest.raises(SystemExit):
        parse_options(["--models", str(tmp_path / "none")])
    assert "a folder that holds checkpoint folders" in capsys.readouterr().err
