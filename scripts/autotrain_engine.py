"""The one module that knows AutoTrain.

`autotrain llm --train …` is the engine of every recipe. Its last release (0.8.36) needs the repairs below to train on
today's libraries, to train on a CPU in sensible time, and to be trusted: each is a few lines with its reason. All else
in this repository depends only on the contract: a CSV with a `text` column goes in, an adapter folder comes out.

How it hangs together: `train()` starts `python -m scripts.autotrain_engine llm --train …` (AutoTrain's own command
line, `_cli`), AutoTrain starts `accelerate launch … -m scripts.autotrain_engine --training_config …` (its own trainer,
`_worker`), and what that worker must know beyond AutoTrain's flags stands in the file named by SLLM_ENGINE.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

from scripts.models import pick_dtype, threads
from scripts.recipe import ROOT, Recipe, UserError, shown

# AutoTrain allows letters, digits and hyphens only, so every run has this name in a folder of its own.
PROJECT = "adapter"

FLAGS = ("peft", "disable_gradient_checkpointing", "use_flash_attention_2")
NOT_AUTOTRAIN = (
    "dequantize_on_cpu",
    "lora_layers",
    "completion_only_loss",
    "save_steps",
    "max_steps",
    "compute_dtype",
)


def command(recipe: Recipe, model: str, data: str) -> list[str]:
    """The `autotrain llm` command line that says the same as the recipe's `train` section."""
    words = ["autotrain", "llm", "--train", "--project-name", PROJECT, "--model", model, "--data-path", data]
    words += ["--text-column", "text", "--log", "none"]
    for key, value in recipe.train.model_dump().items():
        if key in NOT_AUTOTRAIN or value is None or value is False:
            continue
        flag = "--" + key.replace("_", "-")
        words += [flag] if key in FLAGS else [flag, str(value)]
    return words


def train(recipe: Recipe, model: str, data: Path, folder: Path, answer_after: str) -> Path:
    """Fine-tune `model` on `data/train.csv` (column `text`) and return the adapter's folder.

    `answer_after` is the literal text that stands between prompt and answer, the same in every row; with
    `completion_only_loss` only what follows its last occurrence is learnt. A run that was cut off goes on from its
    last checkpoint. Everything that AutoTrain prints goes to `folder/train.log`; the progress bar goes to the screen.
    Raises UserError with the worker's own reason when training fails, whatever AutoTrain's exit code says.
    """
    folder.mkdir(parents=True, exist_ok=True)
    failure, log = folder / "failure.txt", folder / "train.log"
    failure.unlink(missing_ok=True)
    settings = {
        "answer_after": answer_after if recipe.train.completion_only_loss else None,
        "end": recipe.prompt.end,
        "dequantize_on_cpu": recipe.train.dequantize_on_cpu,
        "lora_layers": recipe.train.lora_layers,
        "save_steps": recipe.train.save_steps,
        "max_steps": recipe.train.max_steps,
        "dtype": recipe.train.compute_dtype,
        "failure": str(failure),
        "parent": os.getpid(),
        "history": str(folder / "loss.jsonl"),
    }
    (folder / "engine.json").write_text(json.dumps(settings, indent=2), encoding="utf-8")
    words = command(recipe, model, str(data))
    env = {
        **os.environ,
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])),
        # AutoTrain calls `accelerate` by name: the one of this environment must be found first.
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", "")]),
        "SLLM_ENGINE": str(folder / "engine.json"),
        # `accelerate launch --cpu` sets one thread where the variable is unset.
        "OMP_NUM_THREADS": os.environ.get("OMP_NUM_THREADS", str(threads())),
        # AutoTrain runs a model's own code by default; a recipe's model must not need that.
        "ALLOW_REMOTE_CODE": "false",
        "TOKENIZERS_PARALLELISM": "false",
    }
    # Training needs no judge's key, and what a process does not have it can't write down.
    env.pop("OPENAI_API_KEY", None)
    with log.open("a", encoding="utf-8") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "scripts.autotrain_engine", *words[1:]],
            cwd=folder,
            env=env,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        try:
            code = _watch(process, folder / "loss.jsonl")
        except BaseException:
            # The worker is a grandchild: ending the group ends the launcher and the trainer with it.
            os.killpg(process.pid, signal.SIGTERM)
            process.wait()
            raise
    if failure.exists():
        reason = " ".join(failure.read_text(encoding="utf-8").split())
        raise UserError(f"training failed: {reason} (everything it said: {shown(log)})")
    if code or not (folder / PROJECT / "adapter_model.safetensors").is_file():
        reason = "the trainer was ended from outside; was memory short? A smaller train.batch_size needs less"
        raise UserError(f"training failed: {reason} (everything it said: {shown(log)})")
    return folder / PROJECT


def read_history(path: Path) -> list[dict]:
    """The loss history, one dict a step (step, steps, loss, lr, seconds), in order.

    A run that went on from a checkpoint has done some steps twice; the last time counts.
    """
    steps: dict[int, dict] = {}
    if path.is_file():
        for line in path.read_text(encoding="utf-8").splitlines():
            try:
                row = json.loads(line)
            except json.JSONDecodeError:
                continue  # the line that a killed run was writing
            steps[row["step"]] = row
    return [steps[step] for step in sorted(steps)]


def _watch(process: subprocess.Popen, history: Path) -> int:
    """Show a progress bar with loss and time left until `process` ends; its exit code."""
    from tqdm import tqdm

    before = history.stat().st_size if history.exists() else 0
    bar = tqdm(desc="train", unit="step", bar_format="{l_bar}{bar}| {n}/{total} [{elapsed}<{remaining}{postfix}]")
    while True:
        try:
            return process.wait(timeout=1)
        except subprocess.TimeoutExpired:
            pass
        finally:
            # Only what this run has written: an old history's bar would start at its end.
            if history.exists() and history.stat().st_size > before and (steps := read_history(history)):
                last = steps[-1]
                if bar.total is None:
                    bar.total, bar.initial = last["steps"], last["step"] - 1
                    bar.n = bar.initial
                bar.set_postfix(loss=f"{last['loss']:.3f}", refresh=False)
                bar.update(last["step"] - bar.n)
            if process.returncode is not None:
                bar.close()


def _cli() -> None:
    """AutoTrain's command line, with its trainer started as our worker."""
    import autotrain.utils as utils
    from autotrain.cli.autotrain import main

    launch = utils.launch_command

    def launch_worker(params: Any) -> list[str]:
        words = ["scripts.autotrain_engine" if word == "autotrain.trainers.clm" else word for word in launch(params)]
        if "--cpu" in words:
            # One process on a CPU needs no launcher, which would only import torch once more: 15 s.
            os.environ["ACCELERATE_USE_CPU"] = "true"
            return [sys.executable, *words[words.index("-m") :]]
        # The launcher must be this environment's, also where it is not the first on PATH.
        return [sys.executable, "-m", "accelerate.commands.accelerate_cli", *words[1:]]

    utils.launch_command = launch_worker
    sys.argv[0] = "autotrain"
    main()


def _worker() -> None:
    """AutoTrain's own SFT or default trainer, repaired."""
    settings = json.loads(Path(os.environ["SLLM_ENGINE"]).read_text(encoding="utf-8"))
    _end_with(settings["parent"])
    try:
        config_file = Path(sys.argv[sys.argv.index("--training_config") + 1])
        _train_repaired(json.loads(config_file.read_text(encoding="utf-8")), settings)
    except BaseException as error:
        import traceback

        traceback.print_exc(file=sys.stdout)
        # AutoTrain logs the exception and exits 0; this file is how the parent learns of it.
        reason = f"{type(error).__name__}: {error}"
        Path(settings["failure"]).write_text(reason, encoding="utf-8")
        sys.exit(1)


def _end_with(parent: int) -> None:
    """End this process when the one that asked for the training is gone, however that ended."""
    import contextlib
    import threading

    import psutil

    def watch() -> None:
        with contextlib.suppress(psutil.NoSuchProcess):
            psutil.Process(parent).wait()
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()


def _train_repaired(config: dict, settings: dict) -> None:
    import torch
    import transformers
    from autotrain.trainers.clm import train_clm_default, train_clm_sft, utils
    from autotrain.trainers.clm.params import LLMTrainingParams
    from transformers.trainer_utils import get_last_checkpoint

    from scripts import trainer_parts as parts
    from scripts.models import load_tokenizer, quantization

    params = LLMTrainingParams(**config)
    dtype = getattr(torch, pick_dtype(settings["dtype"]))
    eos = load_tokenizer(params.model).eos_token
    if eos != settings["end"]:
        raise ValueError(
            f"prompt.end: expected {eos!r}, the end token of the model's tokenizer, got {settings['end']!r}"
        )
    # `--seed` never reaches AutoTrain's trainer; it must also be set before the adapter's weights are drawn.
    transformers.set_seed(params.seed)

    class Model(transformers.AutoModelForCausalLM):
        @classmethod
        def from_pretrained(cls, *args: Any, **kwargs: Any) -> Any:
            # `use_flash_attention_2` is gone from transformers; float16 is hard-coded and hundreds of times slower
            # on CPUs without 16-bit units, and T4-like GPUs have no bfloat16.
            flash = kwargs.pop("use_flash_attention_2", False)
            kwargs["attn_implementation"] = "flash_attention_2" if flash else "sdpa"
            if kwargs.get("quantization_config") is not None:
                kwargs["quantization_config"] = quantization(params.quantization, dtype)
            model = transformers.AutoModelForCausalLM.from_pretrained(*args, dtype=dtype, **kwargs)
            if settings["dequantize_on_cpu"] and params.quantization and not torch.cuda.is_available():
                # The same numbers, looked up once and not twice a step; a small model has the memory for it.
                model = model.dequantize()
            return model

    utils.AutoModelForCausalLM = Model

    arguments = utils.configure_training_args

    def training_args(config: Any, logging_steps: int) -> dict:
        made = arguments(config, logging_steps)
        # Without a validation split AutoTrain saves nothing until the end: a run that is cut off would lose all.
        made |= {"seed": params.seed, "data_seed": params.seed, "save_strategy": "steps"}
        made |= {"save_steps": settings["save_steps"], "disable_tqdm": True}
        if settings["max_steps"]:
            made["max_steps"] = settings["max_steps"]
        return made

    module = {"sft": train_clm_sft, "default": train_clm_default}[params.trainer]
    utils.configure_training_args = training_args
    if settings["lora_layers"]:
        lora = _on_last_layers(settings["lora_layers"], params.model)
        utils.LoraConfig = module.LoraConfig = lora
    # AutoTrain's callback writes an empty pytorch_model.bin into each checkpoint, from which resuming would then
    # load nothing; the Trainer saves the adapter itself.
    utils.SavePeftModelCallback = parts.Silent
    utils.LossLoggingCallback = lambda: parts.Progress(Path(settings["history"]))

    trainer_class = parts.completion_only(module.SFTTrainer) if settings["answer_after"] else None
    base = trainer_class or (module.SFTTrainer if params.trainer == "sft" else module.Trainer)

    class Trainer(base):
        if settings["answer_after"]:
            answer_after = settings["answer_after"]

        def train(self, *args: Any, **kwargs: Any) -> Any:
            return super().train(resume_from_checkpoint=get_last_checkpoint(params.project_name))

        def save_model(self, output_dir: str | None = None, _internal_call: bool = False) -> None:
            super().save_model(output_dir, _internal_call)
            # A pickle of the training arguments: nothing reads it, and a pickle goes nowhere near the Hub.
            Path(output_dir or self.args.output_dir, "training_args.bin").unlink(missing_ok=True)

    setattr(module, "SFTTrainer" if params.trainer == "sft" else "Trainer", Trainer)
    module.train(params)


def _on_last_layers(count: int, model: str) -> Any:
    """A LoraConfig that leaves out all but the last `count` layers of `model`.

    Nothing below the first adapter needs a gradient, so the backward pass ends there: a sixth to a quarter of a step.
    """
    from functools import partial

    from peft import LoraConfig
    from transformers import AutoConfig

    layers = AutoConfig.from_pretrained(model).num_hidden_layers
    if count > layers:
        raise ValueError(f"train.lora_layers: expected at most {layers}, the layers of the model, got {count}")
    below = "|".join(str(layer) for layer in range(layers - count))
    # The first number in a module's path is its layer, whatever the architecture calls its list of layers.
    return partial(LoraConfig, exclude_modules=rf"[^0-9]*\.({below})\..*" if below else None)


if __name__ == "__main__":
    if "--training_config" in sys.argv:
        _worker()
    else:
        _cli()
