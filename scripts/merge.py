"""Merge: the adapter's change added into the base model's own weights: a whole model in `merge/`.

    python -m scripts.merge recipes/ko_text2sql/smollm2-135m-cpu.yaml

The base is the one the adapter met in training: quantized as there, then unpacked to float32. What was saved is loaded
again, and must answer a few test prompts with the same logits as base and adapter do side by side. Needs the memory of
the base model in float32 (4 bytes a weight), and as much disk.
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.generate import adapter_of, prompts_of
from scripts.models import base_model, first_line, load_model, load_tokenizer
from scripts.recipe import Recipe, UserError, load_recipe, run_main, shown
from scripts.runs import Step, digest, read_jsonl, sha256

if TYPE_CHECKING:
    from torch import Tensor
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

PROMPTS = 4
# The last positions depend on all before them; keeping only these spares memory with large vocabularies.
POSITIONS = 64
# float32 sums in another order differ by about 1e-6 of the logits' size; a half-precision merge by about 1e-2.
TOLERANCE = 1e-3


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("recipe", help="the recipe's YAML file")
    recipe = load_recipe(parser.parse_args().recipe)
    adapter, source = adapter_of(recipe), recipe.run / "format" / "test.jsonl"
    rows = read_jsonl(source, f"make format RECIPE={recipe.shown}")[:PROMPTS]
    prompts = list(prompts_of(recipe, rows, source).values())
    folder = recipe.run / "merge"
    made_from = {name: sha256(adapter / name) for name in ("adapter_model.safetensors", "adapter_config.json")}
    made_from |= {"model": recipe.model, "quantization": str(recipe.train.quantization), "prompts": digest(prompts)}
    step = merge_step(folder, made_from)
    if step.outputs and step.fresh():
        return step.say_fresh()
    part = folder.with_name("merge.part")
    shutil.rmtree(part, ignore_errors=True)
    try:
        merge(recipe, adapter, prompts, part)
        shutil.rmtree(folder, ignore_errors=True)
        part.rename(folder)
    finally:
        # Neither an unchecked nor a half-written model stays behind.
        shutil.rmtree(part, ignore_errors=True)
    step.outputs = merge_step(folder, made_from).outputs
    step.finish()


def merge_step(folder: Path, made_from: dict[str, str]) -> Step:
    # How many files a model is saved in depends on its size.
    files = sorted(path for path in folder.iterdir() if path.is_file()) if folder.is_dir() else []
    return Step(folder.with_name("merge.manifest.json"), made_from, files)


def merge(recipe: Recipe, adapter: Path, prompts: list[str], out: Path) -> None:
    """Merge the adapter into the recipe's base model in float32 and save model and tokenizer to `out`.

    Raises UserError when the adapter does not fit the base model, or when the saved model's logits are not those of
    base and adapter side by side.
    """
    import torch
    from transformers import AutoModelForCausalLM

    tokenizer = load_tokenizer(base_model(recipe))
    base = load_float32(recipe)
    before = logits_of(base, tokenizer, prompts)
    model = with_adapter(base, adapter)
    expected = logits_of(model, tokenizer, prompts)
    merged = model.merge_and_unload().eval()
    merged.save_pretrained(out)
    tokenizer.save_pretrained(out)
    # Two whole models may not fit into memory at once.
    del base, model, merged
    device_map = "auto" if torch.cuda.is_available() else None
    saved = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32, device_map=device_map).eval()
    found = logits_of(saved, tokenizer, prompts)
    apart = apart_by(expected, found)
    if not apart < TOLERANCE:
        raise UserError(
            f"{shown(adapter)}: merging failed: merged and unmerged logits differ by {apart:.2g} of their size "
            f"(allowed: {TOLERANCE:g}); nothing was written"
        )
    print(f"merged and unmerged logits differ by {apart:.2g} of their size (allowed: {TOLERANCE:g})")
    print(f"the adapter itself moves them by {apart_by(before, expected):.2g}")


def load_float32(recipe: Recipe) -> PreTrainedModel:
    """The base model as `load_model` gives it, unpacked to float32 on a GPU too."""
    train = recipe.train.model_copy(update={"compute_dtype": "float32"})
    model = load_model(recipe.model_copy(update={"train": train}))
    if getattr(model, "is_quantized", False):
        model = model.dequantize()
    return model.float().eval()


def with_adapter(base: PreTrainedModel, adapter: Path):
    """`base` with the adapter's weights beside its own; UserError unless the two fit together in every weight."""
    from peft import PeftModel, get_peft_model_state_dict
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    weights = adapter / "adapter_model.safetensors"
    try:
        stored = load_file(weights)
        model = PeftModel.from_pretrained(base, adapter).eval()
    except SafetensorError as error:
        raise UserError(f"{shown(weights)}: not a whole safetensors file ({error}); train again") from None
    except (RuntimeError, ValueError, KeyError, json.JSONDecodeError) as error:
        raise UserError(f"{shown(adapter)}: does not fit the base model: {first_line(error)}") from None
    # peft only warns about weights that it misses or has no place for, and goes on with an adapter that does less.
    wanted = set(get_peft_model_state_dict(model, save_embedding_layers=False))
    missing, unused = wanted - stored.keys(), stored.keys() - wanted - model.state_dict().keys()
    if odd := sorted(missing | unused):
        kind = "missing" if odd[0] in missing else "of no use"
        raise UserError(f"{shown(weights)}: does not fit the base model: {odd[0]} is {kind} ({len(odd)} such weights)")
    broken = [name for name, tensor in stored.items() if not tensor.isfinite().all()]
    if broken:
        raise UserError(f"{shown(weights)}: {broken[0]} holds infinite or undefined numbers; train again")
    return model


def logits_of(model: PreTrainedModel, tokenizer: PreTrainedTokenizerBase, prompts: list[str]) -> list[Tensor]:
    """Logits [positions, vocabulary] of each prompt's last positions, float32 on the CPU."""
    import torch

    device = next(model.parameters()).device
    with torch.inference_mode():
        encoded = (tokenizer(prompt, return_tensors="pt")["input_ids"].to(device) for prompt in prompts)
        return [model(input_ids=tokens).logits[0, -POSITIONS:].float().cpu() for tokens in encoded]


def apart_by(one: list[Tensor], other: list[Tensor]) -> float:
    """The largest difference between two lists of logits as a share of the largest logit; nan if one is not finite."""
    import torch

    scale = torch.cat([logits.abs().max().reshape(1) for logits in one]).max()
    difference = torch.cat([(a - b).abs().max().reshape(1) for a, b in zip(one, other, strict=True)]).max()
    return (difference / scale).item()


if __name__ == "__main__":
    run_main(main)
