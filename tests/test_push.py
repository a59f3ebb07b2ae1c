"""Push to a Hub on the loopback through the real huggingface_hub, and merge a real (tiny) model."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy
import pytest
import yaml
from safetensors.numpy import load_file, save_file

from scripts.recipe import ROOT
from tests.hub_server import HubServer, Repo

TOKEN = "hf_TheSecretOfThisTest"
REPO = "someone/greeter"
RECIPE = {
    "task": "greetings",
    "title": "Greets",
    "model": "embedded:smollm2-135m-instruct",
    "data": {"files": {"train": "train.csv", "test": "test.csv"}},
    "prompt": {"end": "</s>"},
    "train": {"lr": 0.001, "batch_size": 1, "block_size": 64, "quantization": None, "lora_r": 4},
    "generate": {"column": "greeting"},
    "judge": {"model": "none", "verdicts": {"llm": "ok"}},
    "hub": {"license": "mit"},
}
CONFIG = {
    "peft_type": "LORA",
    "task_type": "CAUSAL_LM",
    "r": 4,
    "lora_alpha": 8,
    "target_modules": ["q_proj", "v_proj"],
}
GOES_UP = {
    "README.md",
    "adapter_config.json",
    "adapter_model.safetensors",
    "chat_template.jinja",
    "special_tokens_map.json",
    "tokenizer.json",
    "tokenizer_config.json",
}


@pytest.fixture
def recipe(tmp_path: Path) -> Path:
    """A recipe whose run has an adapter, with all the litter that AutoTrain leaves beside one."""
    (tmp_path / "prompt.txt").write_text("{question}\nGreeting:\n{answer}{end}\n", encoding="utf-8")
    adapter = tmp_path / "runs" / "greetings" / "hello" / "train" / "adapter"
    (adapter / "checkpoint-7").mkdir(parents=True)
    (adapter / "autotrain-data").mkdir()
    save_file({"a.lora_A.weight": numpy.arange(4000, dtype=numpy.float32)}, adapter / "adapter_model.safetensors")
    texts = {
        "adapter_config.json": json.dumps(CONFIG | {"base_model_name_or_path": str(tmp_path / "models" / "smol")}),
        "tokenizer.json": json.dumps({"model": {"vocab": {"인사": 0, "/home/x": 1}}}, ensure_ascii=False),
        "tokenizer_config.json": json.dumps({"eos_token": "</s>", "name_or_path": str(tmp_path / "models")}),
        "special_tokens_map.json": json.dumps({"eos_token": "</s>"}),
        "chat_template.jinja": "{{ messages }}",
        "training_params.json": json.dumps({"token": TOKEN}),
        "README.md": "AutoTrain's own card",
        "training_args.bin": "a pickle",
        "tokenizer.model": "98 MB",
        "checkpoint-7/optimizer.pt": "a pickle",
        "autotrain-data/state.json": "{}",
    }
    for name, text in texts.items():
        (adapter / name).write_text(text, encoding="utf-8")
    return write_recipe(tmp_path)


def write_recipe(folder: Path, **changes: object) -> Path:
    path = folder / "hello.yaml"
    path.write_text(yaml.safe_dump(RECIPE | changes), encoding="utf-8")
    return path


def run_of(recipe: Path) -> Path:
    return recipe.parent / "runs" / "greetings" / "hello"


def push(recipe: Path, **env: str) -> subprocess.CompletedProcess[str]:
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("HF_", "HUB_", "HUGGING"))}
    # A Hub home of its own: a login of the person who runs the tests must not count.
    clean |= {"RUNS": str(recipe.parent / "runs"), "HF_HOME": str(recipe.parent / "hf"), "PYTHONPATH": str(ROOT)}
    words = [sys.executable, "-m", "scripts.push", recipe.name]
    return subprocess.run(words, cwd=recipe.parent, env=clean | env, capture_output=True, text=True, timeout=60)


Result = tuple[int, str, str]


@pytest.fixture
def push_here(monkeypatch: pytest.MonkeyPatch, capsys) -> Callable[..., Result]:
    """The same in this process, which is faster: exit code, stdout and stderr."""
    from huggingface_hub import constants

    from scripts.push import main
    from scripts.recipe import run_main

    def run(recipe: Path, HF_ENDPOINT: str = "http://127.0.0.1:9", **env: str) -> Result:
        for name in ("HF_TOKEN", "HUGGING_FACE_HUB_TOKEN", "HUB_REPO"):
            monkeypatch.delenv(name, raising=False)
        for name, value in {"RUNS": str(recipe.parent / "runs"), **env}.items():
            monkeypatch.setenv(name, value)
        # Read from the environment when the library is imported.
        monkeypatch.setattr(constants, "ENDPOINT", HF_ENDPOINT)
        monkeypatch.setattr(constants, "HF_TOKEN_PATH", str(recipe.parent / "no-login"))
        monkeypatch.chdir(recipe.parent)
        monkeypatch.setattr(sys, "argv", ["push", recipe.name])
        try:
            run_main(main)
            code = 0
        except SystemExit as end:
            code = end.code
        return code, *capsys.readouterr()

    return run


def everything_written(folder: Path, without: Path) -> Iterator[bytes]:
    return (path.read_bytes() for path in folder.rglob("*") if path.is_file() and without not in path.parents)


def test_the_hub_holds_exactly_the_folder_byte_for_byte_and_a_second_push_changes_nothing(recipe: Path):
    with HubServer(TOKEN) as hub:
        first = push(recipe, HF_ENDPOINT=hub.url, HF_TOKEN=TOKEN, HUB_REPO=REPO)
        second = push(recipe, HF_ENDPOINT=hub.url, HF_TOKEN=TOKEN, HUB_REPO=REPO)
    assert (first.returncode, second.returncode) == (0, 0), first.stderr + second.stderr
    folder, stored = run_of(recipe) / "hub", hub.repos[REPO]
    assert stored.files == {path.name: path.read_bytes() for path in folder.rglob("*")}
    assert set(stored.files) == GOES_UP
    assert stored.lfs == {"adapter_model.safetensors"}
    assert stored.private and len(stored.commits) == 1
    assert f"{hub.url}/{REPO}" in first.stdout
    assert "nothing has changed" in second.stdout
    assert TOKEN not in first.stdout + first.stderr + second.stdout + second.stderr
    # The adapter's folder holds the token where AutoTrain put it; nothing else may.
    assert not any(
        TOKEN.encode() in content for content in everything_written(recipe.parent, run_of(recipe) / "train" / "adapter")
    )


def test_no_path_of_this_machine_goes_up_and_the_base_model_is_a_hub_id(recipe: Path, push_here):
    assert push_here(recipe)[0] == 0
    folder = run_of(recipe) / "hub"
    assert not any(str(recipe.parent) in path.read_text(errors="replace") for path in folder.iterdir())
    config = json.loads((folder / "adapter_config.json").read_text())
    assert config == CONFIG | {"base_model_name_or_path": "HuggingFaceTB/SmolLM2-135M-Instruct"}
    # A vocabulary may well hold what looks like a path: the tokenizer goes up as it is.
    source = run_of(recipe) / "train" / "adapter"
    for name in ("tokenizer.json", "adapter_model.safetensors"):
        assert (folder / name).read_bytes() == (source / name).read_bytes()


@pytest.mark.parametrize(("model", "base"), [("org/name", "org/name"), ("./models/smol", None), ("/models/smol", None)])
def test_a_hub_id_stays_and_a_local_folder_is_not_taken_for_one(recipe: Path, push_here, model: str, base: str | None):
    front, text = card(write_recipe(recipe.parent, model=model), push_here)
    config = json.loads((run_of(recipe) / "hub" / "adapter_config.json").read_text())
    assert (config["base_model_name_or_path"], front.get("base_model")) == (base, base)
    assert "/models" not in text


def test_what_has_no_business_in_the_folder_is_gone_after_the_next_build(recipe: Path, push_here):
    assert push_here(recipe)[0] == 0
    stray = run_of(recipe) / "hub" / "training_args.bin"
    stray.write_text("a pickle")
    assert push_here(recipe)[0] == 0
    assert not stray.exists()


def test_without_repo_or_token_the_folder_is_built_and_the_way_to_push_is_told(recipe: Path, push_here):
    for env, missing in (({"HF_TOKEN": TOKEN}, "no repo name"), ({"HUB_REPO": REPO}, "no token")):
        code, out, err = push_here(recipe, **env)
        assert code == 0, err
        assert missing in out and "make push RECIPE=hello.yaml" in out
        assert {path.name for path in (run_of(recipe) / "hub").iterdir()} == GOES_UP
        assert TOKEN not in out + err


REFUSALS = [
    ("token with a line break", {"HF_TOKEN": "hf_Wrong Secret"}, {}, "has a space or a non-ASCII character"),
    (
        "no right to write",
        {},
        {"/api/repos/create": 403, "/api/models/": 403},
        "may not write to someone/greeter (403)",
    ),
    ("not found", {}, {"/preupload/": 404}, "knows no someone/greeter"),
    ("upload of the weights refused", {}, {"/upload/": 403}, "may not write to someone/greeter (403)"),
    ("nobody there", {"HF_ENDPOINT": "http://127.0.0.1:9"}, {}, "can't reach http://127.0.0.1:9"),
    ("no such name", {"HUB_REPO": "someone/gre eter"}, {}, "Repo id must"),
    ("no owner", {"HUB_REPO": "greeter"}, {}, "expected user/name"),
]


@pytest.mark.parametrize(("env", "refuse", "said"), [case[1:] for case in REFUSALS], ids=[case[0] for case in REFUSALS])
def test_a_refused_push_is_one_line_without_the_token(recipe: Path, push_here, env: dict, refuse: dict, said: str):
    with HubServer(TOKEN, refuse) as hub:
        code, out, err = push_here(recipe, **({"HF_ENDPOINT": hub.url, "HF_TOKEN": TOKEN, "HUB_REPO": REPO} | env))
    assert code == 2
    assert len(without_bars(err)) == 1 and said in without_bars(err)[0], err
    assert "Secret" not in out + err
    assert not any(stored.files for stored in hub.repos.values())


def without_bars(err: str) -> list[str]:
    return [line for line in err.splitlines() if line.strip() and "it/s" not in line and "B/s" not in line]


def test_a_token_that_the_hub_refuses_appears_nowhere(recipe: Path):
    wrong = "hf_WrongSecret"
    with HubServer(TOKEN) as hub:
        made = push(recipe, HF_ENDPOINT=hub.url, HF_TOKEN=wrong, HUB_REPO=REPO)
    assert made.returncode == 2
    assert len(made.stderr.splitlines()) == 1 and "does not accept the token (401)" in made.stderr, made.stderr
    assert wrong not in made.stdout + made.stderr
    assert not any(wrong.encode() in content for content in everything_written(recipe.parent, recipe.parent / "none"))
    assert not hub.repos


def test_nothing_goes_up_to_a_public_repo_when_the_recipe_says_private(recipe: Path, push_here):
    with HubServer(TOKEN) as hub:
        hub.repos[REPO] = Repo(private=False)
        code, _, err = push_here(recipe, HF_ENDPOINT=hub.url, HF_TOKEN=TOKEN, HUB_REPO=REPO)
    assert code == 2 and "is public" in err
    assert not hub.repos[REPO].files


def card(recipe: Path, push_here: Callable[..., Result]) -> tuple[dict, str]:
    assert push_here(recipe)[0] == 0
    _, front, text = (run_of(recipe) / "hub" / "README.md").read_text(encoding="utf-8").split("---\n", 2)
    return yaml.safe_load(front), text


def test_the_card_tells_base_licence_settings_and_scores_once_there_are_some(recipe: Path, push_here):
    front, text = card(recipe, push_here)
    assert front["base_model"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert (front["library_name"], front["license"]) == ("peft", "mit")
    assert "Not judged yet." in text and "lora_r: 4" in text and "lora_dropout: 0.05" in text
    report = run_of(recipe) / "report"
    report.mkdir()
    summary = {"tuned": {"exact": {"rate": 0.61607, "interval": [0.52, 0.7]}}, "made_in": str(report)}
    (report / "summary.json").write_text(json.dumps(summary), encoding="utf-8")
    (report / "summary.txt").write_text("Note: a stand-in gave the verdicts\n", encoding="utf-8")
    _, text = card(recipe, push_here)
    assert "Note: a stand-in gave the verdicts" in text
    assert "| tuned · exact · rate | 0.6161 |" in text and "| tuned · exact · interval | 0.52 – 0.7 |" in text
    assert "Not judged yet." not in text and str(report) not in text
    answers = run_of(recipe) / "generate"
    answers.mkdir()
    (answers / "tuned.jsonl.manifest.json").write_text(json.dumps({"inputs": {"adapter": "of an earlier one"}}))
    _, text = card(recipe, push_here)
    assert "Not judged yet." in text and "0.6161" not in text


@pytest.mark.parametrize(
    ("spoil", "said"),
    [
        (lambda run: (run / "train/adapter/adapter_model.safetensors").write_bytes(b"half"), "not a whole safetensors"),
        (lambda run: (run / "train/adapter/adapter_model.safetensors").unlink(), "no adapter there"),
        (lambda run: (run / "train/adapter/tokenizer.json").unlink(), "tokenizer.json: no such file"),
        (
            lambda run: (run / "train/manifest.json").write_text('{"inputs": {"train": "of other settings"}}'),
            "trained before `train` changed",
        ),
    ],
    ids=["half-written", "missing", "no tokenizer", "other settings"],
)
def test_an_adapter_that_is_not_whole_or_not_the_recipes_is_refused(recipe: Path, push_here, spoil, said: str):
    spoil(run_of(recipe))
    code, _, err = push_here(recipe)
    assert (code, len(err.splitlines())) == (2, 1)
    assert said in err and "make train" in err
    assert not (run_of(recipe) / "hub").exists()


@pytest.fixture(scope="module")
def tiny(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a random two-layer model, its tokenizer and an adapter for it."""
    import torch
    from peft import LoraConfig, get_peft_model
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import LlamaConfig, LlamaForCausalLM, PreTrainedTokenizerFast

    folder = tmp_path_factory.mktemp("tiny")
    words = {word: number for number, word in enumerate(["<unk>", "</s>", "hello", "good", "day", "Greeting", ":"])}
    backend = Tokenizer(models.WordLevel(words, unk_token="<unk>"))
    backend.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=backend, unk_token="<unk>", eos_token="</s>")
    tokenizer.save_pretrained(folder / "model")
    torch.manual_seed(7)
    shape = {"hidden_size": 32, "intermediate_size": 64, "num_hidden_layers": 2, "num_attention_heads": 4}
    model = LlamaForCausalLM(LlamaConfig(vocab_size=len(words), tie_word_embeddings=True, **shape))
    model.save_pretrained(folder / "model")
    # Weights drawn at random on both sides: a LoRA as it starts changes nothing, and could be lost unseen.
    lora = LoraConfig(
        r=4, lora_alpha=8, target_modules=["q_proj", "v_proj"], init_lora_weights=False, task_type="CAUSAL_LM"
    )
    get_peft_model(model, lora).save_pretrained(folder / "adapter")
    return folder


@pytest.fixture
def merging(tiny: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    import shutil

    recipe = write_recipe(tmp_path, model=str(tiny / "model"))
    shutil.copytree(tiny / "adapter", run_of(recipe) / "train" / "adapter")
    rows = [
        {"id": str(i), "question": text, "prompt": text}
        for i, text in enumerate(["hello Greeting :", "good day Greeting :"])
    ]
    (run_of(recipe) / "format").mkdir()
    (run_of(recipe) / "format" / "test.jsonl").write_text("\n".join(map(json.dumps, rows)), encoding="utf-8")
    (tmp_path / "prompt.txt").write_text("{question}\nGreeting:\n{answer}{end}\n", encoding="utf-8")
    monkeypatch.setenv("RUNS", str(tmp_path / "runs"))
    monkeypatch.setattr(sys, "argv", ["merge", str(recipe)])
    return recipe


def merge() -> None:
    from scripts.merge import main
    from scripts.recipe import run_main

    run_main(main)


def logits(model) -> object:
    import torch

    with torch.inference_mode():
        return model(input_ids=torch.tensor([[2, 5, 6]])).logits


def test_the_merged_model_answers_as_base_and_adapter_do_together(merging: Path, tiny: Path, capsys):
    import torch
    from peft import PeftModel
    from transformers import AutoModelForCausalLM, AutoTokenizer

    merge()
    folder = run_of(merging) / "merge"
    assert "merged and unmerged logits differ by" in capsys.readouterr().out
    base = AutoModelForCausalLM.from_pretrained(tiny / "model").eval()
    alone = logits(base)
    expected = logits(PeftModel.from_pretrained(base, tiny / "adapter").eval())
    found = logits(AutoModelForCausalLM.from_pretrained(folder).eval())
    assert torch.allclose(found, expected, atol=1e-5)
    assert not torch.allclose(found, alone, atol=1e-3)
    assert AutoTokenizer.from_pretrained(folder)("hello")["input_ids"] == [2]
    assert not (run_of(merging) / "merge.part").exists()
    merge()
    assert "nothing has changed" in capsys.readouterr().out


def one_missing(weights: dict) -> dict:
    return {name: tensor for name, tensor in weights.items() if "layers.1.self_attn.v_proj.lora_B" not in name}


def one_too_many(weights: dict) -> dict:
    return weights | {name.replace("q_proj", "k_proj"): tensor for name, tensor in weights.items() if "q_proj" in name}


def wrong_shape(weights: dict) -> dict:
    return {name: tensor[:, :-1].copy() for name, tensor in weights.items()}


def not_finite(weights: dict) -> dict:
    return {name: numpy.full_like(tensor, numpy.nan) for name, tensor in weights.items()}


@pytest.mark.parametrize(
    ("broken", "said"),
    [
        (one_missing, "is missing"),
        (one_too_many, "is of no use"),
        (wrong_shape, "does not fit the base model"),
        (not_finite, "infinite or undefined"),
        (None, "not a whole safetensors file"),
    ],
)
def test_a_broken_adapter_is_refused_and_nothing_is_written(merging: Path, broken, said: str, capsys):
    weights = run_of(merging) / "train" / "adapter" / "adapter_model.safetensors"
    if broken:
        save_file(broken(load_file(weights)), weights)
    else:
        weights.write_bytes(weights.read_bytes()[:-100])
    with pytest.raises(SystemExit) as end:
        merge()
    assert end.value.code == 2
    assert said in capsys.readouterr().err
    assert not list(run_of(merging).glob("merge*"))


def test_a_merge_that_loses_the_adapter_is_refused(merging: Path, capsys, monkeypatch: pytest.MonkeyPatch):
    from peft import LoraModel

    monkeypatch.setattr(LoraModel, "merge_and_unload", lambda self, *args, **options: self.unload())
    with pytest.raises(SystemExit) as end:
        merge()
    assert end.value.code == 2
    assert "merged and unmerged logits differ" in capsys.readouterr().err
    assert not list(run_of(merging).glob("merge*"))
