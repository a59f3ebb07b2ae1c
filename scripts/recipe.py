"""Read a recipe: one commented YAML file that drives every stage.

    python -m scripts.recipe recipes/ko_text2sql/smollm2-135m-cpu.yaml     # print it as the stages see it

The model below is strict: unknown keys are refused, types are not guessed, and all mistakes are reported in one go,
each with the file, the key and what was expected. A recipe may `extends:` another file beside it, so that two recipes
of one task differ only in the lines that differ.
"""

from __future__ import annotations

import importlib
import inspect
import os
import re
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError, model_validator

ROOT = Path(__file__).resolve().parent.parent
EMBEDDED = "embedded:"


class UserError(Exception):
    """A mistake that its maker can mend: shown as one line, without a traceback, exit code 2."""


class Section(BaseModel):
    model_config = ConfigDict(extra="forbid", strict=True, frozen=True, allow_inf_nan=False)


def _known_encoding(name: str) -> str:
    try:
        "".encode(name)
    except LookupError:
        raise ValueError("a text encoding that Python knows, such as utf-8, cp949 or utf-16") from None
    return name


Fraction = Annotated[float, Field(ge=0, le=1)]
Whole = Annotated[int, Field(ge=1)]


class Files(Section):
    """Local data files, relative to the recipe's folder or absolute: CSV, JSON, JSON lines or Parquet."""

    train: str
    test: str


class HubSplit(Section):
    config: str | None = None
    split: str


class HubData(Section):
    """A data set on the Hugging Face Hub."""

    path: str
    train: HubSplit
    test: HubSplit


class Load(Section):
    """A data set in a form of its own: `by` reads it from `folder`, which counts from the recipe's folder.

    `train` and `test` name files or folders in it where they are not what the data set calls them.
    """

    by: str
    folder: str
    train: str | None = None
    test: str | None = None


class Clean(Section):
    """Cleaning by rule: `check` judges a row by itself; the overlaps with the test rows above which a row is a leak.

    alike: whether two answers are one in another spelling, for near duplicates; without it they must be the same text.
    question_overlap: share of common letter groups (Jaccard); schema_overlap: share of the row's names that one test
    schema has; null turns either off.
    """

    check: str
    alike: str | None = None
    question_overlap: Fraction | None = 0.6
    schema_overlap: Fraction | None = 0.5
    options: dict[str, int | float | str | bool] = {}
    workers: Whole | None = None


class Card(Section):
    """What a data set's card says that can't be counted from its rows.

    about: a Markdown file on how the rows were made. columns: those that go up, all where none are named. license: the
    data's, where it isn't `hub.license`. tokens: the recipe's own tokenizer (`model`) or one that needs no download.
    """

    title: Annotated[str, Field(min_length=1)]
    about: str
    languages: list[str] = []
    tasks: list[str] = ["text-generation"]
    tags: list[str] = []
    columns: list[str] | None = None
    files: Literal["parquet", "jsonl"] = "parquet"
    license: str | None = None
    repo: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")] | None = None
    tokens: Literal["model", "o200k_base", "cl100k_base"] = "o200k_base"


class Data(Section):
    rows: str | None = None
    files: Files | None = None
    hub: HubData | None = None
    load: Load | None = None
    encoding: Annotated[str, AfterValidator(_known_encoding)] = "utf-8"
    columns: dict[str, str] = {}
    options: Annotated[dict[str, int | float | str | bool], BeforeValidator(lambda given: given or {})] = {}
    clean: Clean | None = None
    describe: str | None = None
    card: Card | None = None
    train_rows: Whole | None = None
    test_rows: Whole | None = None
    test_sha256: Annotated[str, Field(pattern=r"^[0-9a-f]{64}$")] | None = None
    seed: int = 42

    @model_validator(mode="after")
    def _one_source(self) -> Data:
        if sum(source is not None for source in (self.rows, self.files, self.hub, self.load)) != 1:
            raise ValueError("exactly one of rows, files, hub, load")
        return self


class SynthesisStep(Section):
    """One kind of request to a model: `prompt`, a file, is filled with a row, and the reply gives `column`'s values.

    read: a function of the reply and the row that gives the values, each a text or a dict of columns; ValueError, raised
    or among the values, says why something can't be read. fill: a function of a `random.Random` and the row that gives
    further places of the prompt; {count} is how many values are asked for. count: of one request. usual_tokens: of
    a usual reply, for the cost beforehand; max_tokens: what no reply may exceed.
    """

    column: Annotated[str, Field(min_length=1)]
    prompt: str
    read: str
    fill: str | None = None
    count: Whole = 1
    usual_tokens: Whole
    max_tokens: Whole


class Synthesize(Section):
    """Rows written by a model, step by step, and cleaned; those that fall are asked for again, `rounds` times at most.

    clean: as under `data`, which it is taken from where it is missing. request: what each request has besides the
    prompt. limit: the name under which the endpoint takes `max_tokens`. price: dollars a million tokens, in and out.
    max_cost: dollars at which it stops.
    """

    model: Annotated[str, Field(min_length=1)]
    rows: Whole
    rounds: Whole = 5
    steps: Annotated[list[SynthesisStep], Field(min_length=1)]
    clean: Clean | None = None
    request: dict[str, Any] = {"temperature": 1.0, "response_format": {"type": "json_object"}}
    limit: Literal["max_tokens", "max_completion_tokens"] = "max_tokens"
    price: Annotated[list[Annotated[float, Field(ge=0)]], Field(min_length=2, max_length=2)] | None = None
    max_cost: Annotated[float, Field(gt=0)] | None = None
    requests_per_minute: Whole = 500
    tokens_per_minute: Whole = 200_000
    max_attempts: Whole = 5
    seed: int = 42

    @model_validator(mode="after")
    def _enough_for_a_row(self) -> Synthesize:
        columns = [step.column for step in self.steps]
        if len(set(columns)) < len(columns):
            raise ValueError("each step to have a column of its own")
        return self


class Prompt(Section):
    template: str = "prompt.txt"
    end: Annotated[str, Field(min_length=1)]
    prepare: str | None = None


class Train(Section):
    """AutoTrain's own parameter names; the last six are the trainer's that AutoTrain has no flag for."""

    trainer: Literal["sft", "default"] = "sft"
    epochs: Whole = 1
    lr: Annotated[float, Field(gt=0, lt=1)]
    batch_size: Whole
    gradient_accumulation: Whole = 1
    block_size: Annotated[int, Field(ge=16)]
    model_max_length: Annotated[int, Field(ge=16)] = 2048
    warmup_ratio: Fraction = 0.1
    weight_decay: Annotated[float, Field(ge=0)] = 0.0
    max_grad_norm: Annotated[float, Field(gt=0)] = 1.0
    optimizer: str = "adamw_torch"
    scheduler: Literal["linear", "cosine", "constant", "constant_with_warmup"] = "linear"
    peft: bool = True
    quantization: Literal["int4", "int8"] | None = "int4"
    target_modules: str = "all-linear"
    lora_r: Whole = 16
    lora_alpha: Whole = 32
    lora_dropout: Fraction = 0.05
    mixed_precision: Literal["fp16", "bf16"] | None = None
    disable_gradient_checkpointing: bool = False
    use_flash_attention_2: bool = False
    logging_steps: Whole = 1
    seed: int = 42
    dequantize_on_cpu: bool = False
    lora_layers: Whole | None = None
    completion_only_loss: bool = False
    save_steps: Whole = 50
    max_steps: Whole | None = None
    compute_dtype: Literal["auto", "float32", "bfloat16", "float16"] = "auto"

    @model_validator(mode="after")
    def _possible(self) -> Train:
        if self.quantization and not self.peft:
            raise ValueError("quantization needs peft: true (quantized weights can't be trained themselves)")
        if self.lora_layers and not self.peft:
            raise ValueError("lora_layers needs peft: true")
        if self.completion_only_loss and self.trainer != "sft":
            raise ValueError("completion_only_loss needs trainer: sft")
        return self


class Generate(Section):
    """How answers are made.

    grammar: a function of a row that gives the grammar (Lark text) which its answer keeps to; candidates: so many answers
    by beam search, of which `choose`, a function of a row and the answers with their scores, gives the place of one;
    base_candidates: another number for the base model, which may not be worth the time; finish: a function of a row and
    the model's text that gives the prediction, where the two are not the same.
    """

    column: str
    grammar: str | None = None
    candidates: Whole = 1
    base_candidates: Whole | None = None
    choose: str | None = None
    finish: str | None = None
    batch_size: Whole = 16
    max_new_tokens: Whole = 128

    @model_validator(mode="after")
    def _choice(self) -> Generate:
        if (self.candidates > 1) != bool(self.choose):
            raise ValueError("candidates above 1 and choose go together")
        return self


class Judge(Section):
    """How answers are judged; `also`: files of further rows that the tuned model is scored on, beside the test rows."""

    model: str
    rubric: str = "rubric.txt"
    requests_per_minute: Whole = 500
    tokens_per_minute: Whole = 200_000
    max_attempts: Whole = 5
    instances: Whole = 20
    dialect: str = "mysql"
    verdicts: dict[Literal["llm", "execution", "exact"], str]
    breakdown: list[str] = []
    also: list[str] = []


class Hub(Section):
    repo: Annotated[str, Field(pattern=r"^[\w.-]+/[\w.-]+$")] | None = None
    private: bool = True
    license: str


class Needs(Section):
    """What the recipe wants of a machine, for `make doctor`."""

    gpu_gb: Annotated[int, Field(ge=0)] = 0
    memory_gb: Annotated[int, Field(ge=1)] = 4
    disk_gb: Annotated[int, Field(ge=1)] = 4
    hub: bool = False


class Recipe(Section):
    task: Annotated[str, Field(pattern=r"^[A-Za-z0-9_-]+$")]
    title: str
    model: Annotated[str, Field(min_length=1)]
    needs: Needs = Needs()
    data: Data
    synthesize: Synthesize | None = None
    prompt: Prompt
    train: Train
    generate: Generate
    judge: Judge
    hub: Hub
    path: Path

    @property
    def name(self) -> str:
        return self.path.stem

    @property
    def shown(self) -> str:
        """The recipe's path as RECIPE= takes it."""
        return shown(self.path)

    @property
    def folder(self) -> Path:
        """The recipe's own folder, from which its relative file names count."""
        return self.path.parent

    @property
    def run(self) -> Path:
        """Where this recipe's run lives: `runs/<task>/<recipe>/` (RUNS moves `runs`)."""
        return Path(os.environ.get("RUNS", ROOT / "runs")) / self.task / self.name

    def column(self, role: str) -> str:
        """The task's column name for a role (id, context, question, answer); the role itself unless mapped."""
        return self.data.columns.get(role, role)

    def file(self, name: str) -> Path:
        """A file named in the recipe, relative to the recipe's folder."""
        path = self.folder / name
        if not path.is_file():
            raise UserError(f"{shown(self.path)}: {name}: no such file in {shown(self.folder)}")
        return path


def shown(path: Path) -> str:
    """A path as a user reads it: relative to where they stand, when below it."""
    try:
        return str(Path(path).resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)


def read_text(path: Path) -> str:
    """A UTF-8 file's text, without a byte order mark; UserError names the line where it is something else."""
    try:
        return path.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object[: error.start].count(b"\n") + 1
        convert = "convert it: iconv -f cp949 -t utf-8 OLD > NEW"
        raise UserError(f"{shown(path)}:{line}: not UTF-8 (cp949?); {convert}") from None
    except OSError as error:
        raise UserError(f"{shown(path)}: can't be read: {error.strerror}") from None


def all_recipes() -> list[Path]:
    """Every task's recipes."""
    return sorted((ROOT / "recipes").glob("*/*.yaml"))


class _Loader(yaml.SafeLoader):
    """YAML's safe loader, which also refuses a key written twice and knows the line of an impossible date."""

    def construct_mapping(self, node: yaml.Node, deep: bool = False) -> dict:
        seen = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if str(key.value) in seen:
                raise yaml.constructor.ConstructorError(problem=f"{key.value} twice", problem_mark=key.start_mark)
            seen.add(str(key.value))
        return super().construct_mapping(node, deep)

    def construct_object(self, node: yaml.Node, deep: bool = False) -> object:
        try:
            return super().construct_object(node, deep)
        except ValueError as error:
            raise yaml.constructor.ConstructorError(problem=str(error), problem_mark=node.start_mark) from None


def _read_yaml(path: Path, seen: tuple[Path, ...] = ()) -> dict:
    if path in seen:
        raise UserError(f"{shown(path)}: extends: goes round in a circle")
    if not os.path.exists(path):  # Path.exists would raise where a folder on the way can't be read
        known = ", ".join(map(shown, all_recipes()))
        where = f"{shown(seen[-1])}: extends: " if seen else ""
        raise UserError(f"{where}{shown(path)}: no such recipe; there are: {known}")
    try:
        values = yaml.load(read_text(path), _Loader)
    except yaml.YAMLError as error:
        mark = getattr(error, "problem_mark", None)
        line = f":{mark.line + 1}" if mark else ""
        problem = getattr(error, "problem", None) or str(error).split("\n")[0]
        raise UserError(f"{shown(path)}{line}: not readable as YAML: {problem}") from None
    if not isinstance(values, dict):
        raise UserError(f"{shown(path)}: a recipe is a mapping of keys to values")
    base = values.pop("extends", None)
    if base is not None:
        parent = _read_yaml((path.parent / str(base)).resolve(), (*seen, path))
        values = _merge(parent, values)
    return values


def _merge(base: dict, over: dict) -> dict:
    merged = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(merged.get(key), dict)
        merged[key] = _merge(merged[key], value) if both else value
    return merged


def load_recipe(path: str | Path) -> Recipe:
    """Read and check a recipe file; raises UserError that lists every mistake in it."""
    path = Path(path).resolve()
    values = _read_yaml(path)
    mistakes = ["path: unknown key"] if "path" in values else []
    try:
        recipe = Recipe.model_validate({**values, "path": path})
    except ValidationError as error:
        mistakes += map(_explain, error.errors())
    if mistakes:
        raise UserError("\n".join(f"{shown(path)}: {mistake}" for mistake in mistakes))
    return recipe


def _explain(item: dict) -> str:
    key = ".".join(str(part) for part in item["loc"]) or "recipe"
    if item["type"] == "extra_forbidden":
        return f"{key}: unknown key"
    if item["type"] == "missing":
        return f"{key}: missing"
    expected = item["msg"].removeprefix("Value error, ").removeprefix("Input should be ")
    if isinstance(item["input"], dict):
        return f"{key}: expected {expected}"
    return f"{key}: expected {expected}, got {item['input']!r}{_hint(item)}"


def _hint(item: dict) -> str:
    """YAML 1.1 reads 1e-3 and 1.0e3 as text: a float needs a dot, and its exponent a sign."""
    number = re.fullmatch(r"([+-]?\d+)(\.\d*)?e([+-]?)(\d+)", str(item["input"]), re.IGNORECASE)
    if item["type"] != "float_type" or not number:
        return ""
    return f", which YAML reads as text; write {number[1]}{number[2] or '.0'}e{number[3] or '+'}{number[4]}"


def load_function(recipe: Recipe, key: str, name: str) -> Callable:
    """The Python function that a recipe names as `package.module:function`."""
    module, _, function = name.partition(":")
    try:
        return getattr(importlib.import_module(module), function)
    except (ImportError, AttributeError, ValueError) as error:
        raise UserError(f"{shown(recipe.path)}: {key}: can't load {name!r}: {error}") from None


def need_options(recipe: Recipe, key: str, name: str, function: Callable, args: tuple, options: dict) -> None:
    """Raises UserError where `function`, which the recipe names as `name`, doesn't take the options at `key`."""
    try:
        inspect.signature(function).bind(*args, **options)
    except TypeError as error:
        raise UserError(f"{shown(recipe.path)}: {key}: {name}: {error}") from None


def run_main(main: Callable[[], None]) -> None:
    """Run a stage's main: a user's mistake prints its lines and exits 2, a bug keeps its traceback."""
    try:
        main()
    except UserError as error:
        print(error, file=sys.stderr)
        sys.exit(2)
    except OSError as error:
        import errno

        if error.errno != errno.ENOSPC:
            raise
        where = f" ({error.filename})" if error.filename else ""
        print(f"no space left on the disk{where}; free some and run the same command again", file=sys.stderr)
        sys.exit(2)
    except KeyboardInterrupt:
        print("interrupted; the same command goes on from here", file=sys.stderr)
        sys.exit(130)


def _main() -> None:
    if len(sys.argv) != 2:
        raise UserError("usage: python -m scripts.recipe RECIPE.yaml")
    recipe = load_recipe(sys.argv[1])
    print(yaml.safe_dump(recipe.model_dump(mode="json", exclude={"path"}), allow_unicode=True, sort_keys=False), end="")


if __name__ == "__main__":
    run_main(_main)
