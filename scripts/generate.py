"""Stage 4, generate: the base or the tuned model answers the test rows: `generate/<model>.jsonl`.

    python -m scripts.generate recipes/ko_text2sql/smollm2-135m-cpu.yaml --model tuned
    python -m scripts.generate RECIPE --model tuned --rows my_rows.jsonl --out answers.jsonl

Greedy, in batches of like length, kept to the recipe's grammar where it has one. Each row gets the prediction (and, where
the recipe finishes the model's text, that text as `raw_answer`), `finish_reason` (`stop`: the model ended by itself,
`length`: it was cut off at max_new_tokens) and token counts. A run that was cut off goes on with the rows still
missing; batches are the same either way, so the answers are too.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

from scripts.models import base_model, load_model, load_tokenizer
from scripts.prompts import prompt_maker
from scripts.recipe import Recipe, UserError, load_function, load_recipe, run_main, shown
from scripts.runs import Step, digest, folder_digest, need_columns, read_jsonl, sha256, write_jsonl

MODELS = ("base", "tuned")
STRETCH = 8  # tokens between two looks at which rows have ended


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("recipe", help="the recipe's YAML file")
    parser.add_argument("--model", choices=MODELS, help="which model answers; default: both, with --rows tuned")
    parser.add_argument("--rows", type=Path, help="any JSON lines with the template's columns; default: the test rows")
    parser.add_argument("--out", type=Path, help="where the answers go; needed with --rows")
    args = parser.parse_args()
    recipe = load_recipe(args.recipe)
    if args.rows and args.rows.name.isdigit() and not args.out:
        args.rows = None  # `make lab ROWS=45000` says how many rows `make data` makes
    if bool(args.rows) != bool(args.out):
        raise UserError("--rows and --out (ROWS= and OUT=) go together")
    for model in [args.model] if args.model else ["tuned"] if args.rows else MODELS:
        source = args.rows or recipe.run / "format" / "test.jsonl"
        generate(recipe, model, source, args.out or recipe.run / "generate" / f"{model}.jsonl")


def generate(recipe: Recipe, model: str, source: Path, out: Path) -> None:
    """Answer the rows of `source` with the base or the tuned model, into `out`."""
    rows = read_jsonl(source, f"make format RECIPE={recipe.shown}")
    prompts = prompts_of(recipe, rows, source)
    adapter = adapter_of(recipe) if model == "tuned" else None
    if model == "base" and recipe.generate.base_candidates:
        own = recipe.generate.model_copy(update={"candidates": recipe.generate.base_candidates})
        recipe = recipe.model_copy(update={"generate": own})
    made_from = {"prompts": digest(prompts), "rows": sha256(source), "model": recipe.model}
    made_from["generate"] = digest([recipe.generate.model_dump(), recipe.train.quantization])
    if recipe.generate.grammar or recipe.generate.finish:
        made_from["code"] = folder_digest(recipe.folder, ["**/*.py", "**/*.tsv", "**/*.txt"])
    if adapter:
        made_from["adapter"] = sha256(adapter / "adapter_model.safetensors")
    step = Step(out.with_name(out.name + ".manifest.json"), made_from, [out])
    if step.fresh():
        return step.say_fresh()
    answers, seconds = answer_all(recipe, rows, prompts, adapter, out, digest(made_from))
    write_jsonl(
        out, ({key: value for key, value in row.items() if key != "prompt"} | answers[row["id"]] for row in rows)
    )
    journal_of(out).unlink(missing_ok=True)
    stopped = sum(answer["finish_reason"] == "stop" for answer in answers.values())
    print(f"{model}: {len(rows)} answers, {stopped / len(rows):.1%} stopped by themselves")
    step.finish(seconds)


def prompts_of(recipe: Recipe, rows: list[dict], source: Path) -> dict[str, str]:
    """Prompt by id; rows that `make format` wrote bring theirs, any others get theirs here."""
    need_columns(rows, ["id"], source)
    maker = prompt_maker(recipe)
    if not maker.prepare:
        need_columns(rows, maker.places, source)
    for row in rows:
        row["id"] = str(row["id"])
    try:
        made = source == recipe.run / "format" / "test.jsonl"
        return {row["id"]: row["prompt"] if made else maker.prompt(row) for row in rows}
    except KeyError as error:
        raise UserError(f"{shown(source)}: a row has no {error}; expected id and what the prompt needs") from None


def adapter_of(recipe: Recipe) -> Path:
    adapter = recipe.run / "train" / "adapter"
    if not (adapter / "adapter_model.safetensors").is_file():
        raise UserError(f"{shown(adapter)}: no adapter there; `make train RECIPE={recipe.shown}` makes it")
    return adapter


def journal_of(out: Path) -> Path:
    return out.with_name(out.name + ".journal")


def read_journal(journal: Path, inputs: str) -> tuple[dict[str, dict], float]:
    """What an earlier, cut-off run on the same inputs has answered, by id, and the seconds it took."""
    answers: dict[str, dict] = {}
    seconds = 0.0
    lines = journal.read_text(encoding="utf-8").splitlines() if journal.is_file() else []
    for line in filter(None, lines):
        try:
            batch = json.loads(line)
        except json.JSONDecodeError:
            continue  # the line that a killed run was writing
        if batch["inputs"] != inputs:
            return {}, 0.0
        answers |= batch["answers"]
        seconds = batch["seconds"]
    return answers, seconds


def answer_all(
    recipe: Recipe, rows: list[dict], prompts: dict[str, str], adapter: Path | None, out: Path, inputs: str
) -> tuple[dict[str, dict], float]:
    """The answers by id (prediction column, finish_reason, prompt_tokens, answer_tokens) and the seconds they took."""
    from tqdm import tqdm

    started = time.monotonic()
    journal = journal_of(out)
    answers, before = read_journal(journal, inputs)
    if not answers:
        journal.unlink(missing_ok=True)
    journal.parent.mkdir(parents=True, exist_ok=True)
    tokenizer = load_tokenizer(base_model(recipe))
    tokenizer.padding_side = "left"
    lengths = {row: len(ids) for row, ids in zip(prompts, tokenizer(list(prompts.values()))["input_ids"], strict=True)}
    # The longest first: if memory does not suffice, that shows at once and not at the end.
    order = sorted(prompts, key=lambda row: (-lengths[row], row))
    size = recipe.generate.batch_size
    batches = [order[at : at + size] for at in range(0, len(order), size)]
    missing = [batch for batch in batches if not all(row in answers for row in batch)]
    model = load_model(recipe, adapter) if missing else None
    by_id = {row["id"]: row for row in rows}
    grammar = task_function(recipe, "grammar")
    choose, finish = task_function(recipe, "choose"), task_function(recipe, "finish")
    with journal.open("a", encoding="utf-8") as file, tqdm(total=len(order), desc="generate", unit="row") as bar:
        bar.update(len(order) - sum(map(len, missing)))
        # A killed run may have left half a line, which must not swallow the next.
        file.write("\n" if file.tell() else "")
        for batch in missing:
            grammars = [grammar(by_id[row]) for row in batch] if grammar else None
            made = answer_batch(recipe, model, tokenizer, [prompts[row] for row in batch], grammars)
            done = {row: chosen(recipe, by_id[row], answers, choose) for row, answers in zip(batch, made, strict=True)}
            for row, answer in done.items() if finish else ():
                raw = answer[recipe.generate.column]
                answer |= {recipe.generate.column: finish(by_id[row], raw), "raw_answer": raw}
            answers |= done
            seconds = before + time.monotonic() - started
            file.write(json.dumps({"inputs": inputs, "seconds": seconds, "answers": done}, ensure_ascii=False) + "\n")
            file.flush()
            bar.update(len(batch))
    return answers, before + time.monotonic() - started


def task_function(recipe: Recipe, key: str) -> Callable | None:
    """The task's function that `generate.<key>` names, if it names one."""
    name = getattr(recipe.generate, key)
    return load_function(recipe, f"generate.{key}", name) if name else None


def chosen(recipe: Recipe, row: dict, answers: list[dict], choose: Callable | None) -> dict:
    """The answer to take of a row's candidates, the likeliest first; without its score, which is of no use by itself."""
    scored = [(answer[recipe.generate.column], answer.pop("score")) for answer in answers]
    return answers[choose(row, scored) if choose else 0]


def answer_batch(
    recipe: Recipe, model, tokenizer, prompts: list[str], grammars: list[str] | None = None
) -> list[list[dict]]:
    """The candidates for each prompt, the likeliest first, inside the prompt's grammar where there are any.

    One candidate is the greedy answer. Each has the prediction column, finish_reason, prompt_tokens, answer_tokens and
    score, the mean log probability of its tokens (0 for a greedy one).
    """
    beams = recipe.generate.candidates
    # Llama-like models know no token_type_ids, which a plain fast tokenizer offers.
    encoded = tokenizer(prompts, return_tensors="pt", padding=True, return_token_type_ids=False).to(model.device)
    processor = None
    if grammars:
        from scripts.constrained import GrammarProcessor

        processor = GrammarProcessor(tokenizer, grammars, beams)
    options = {
        "do_sample": False,
        # Greedy means greedy: a model's own sampling defaults would only raise warnings here.
        **dict.fromkeys(("temperature", "top_p", "top_k")),
        "logits_processor": [processor] if processor else None,
        "eos_token_id": tokenizer.eos_token_id,
        "pad_token_id": tokenizer.pad_token_id,
    }
    if beams > 1:
        found = search(model, encoded, beams, recipe.generate.max_new_tokens, options)
    else:
        found = [(tokens, 0.0) for tokens in greedy(model, encoded, recipe.generate.max_new_tokens, processor, options)]
    answers = []
    for tokens, score in found:
        stopped = tokenizer.eos_token_id in tokens
        tokens = tokens[: tokens.index(tokenizer.eos_token_id)] if stopped else tokens
        answers.append(
            {
                recipe.generate.column: tokenizer.decode(tokens, skip_special_tokens=True),
                "finish_reason": "stop" if stopped else "length",
                "answer_tokens": len(tokens),
                "score": score,
            }
        )
    lengths = encoded["attention_mask"].sum(1).tolist()
    return [
        [answer | {"prompt_tokens": length} for answer in answers[at * beams : (at + 1) * beams]]
        for at, length in enumerate(lengths)
    ]


def greedy(model, encoded, most: int, processor, options: dict) -> list[list[int]]:
    """The likeliest tokens after each prompt, `most` at most.

    Rows that have ended leave the batch every few tokens: else each would cost as much as the longest answer.
    """
    import torch
    from transformers import DynamicCache

    ids, mask = encoded["input_ids"], encoded["attention_mask"]
    width = ids.shape[1]
    places = list(range(len(ids)))
    answers: list[list[int]] = [[] for _ in places]
    with torch.inference_mode():
        if not model._supports_default_dynamic_cache():  # Mamba and its like: no row can leave their own state
            made = model.generate(input_ids=ids, attention_mask=mask, max_new_tokens=most, **options)
            return made[:, width:].tolist()
        cache = DynamicCache(config=model.config)
        while places:
            new = min(STRETCH, most - (ids.shape[1] - width))
            ids = model.generate(
                input_ids=ids, attention_mask=mask, past_key_values=cache, max_new_tokens=new, **options
            )
            for place, tokens in zip(places, ids[:, width:].tolist(), strict=True):
                answers[place] = tokens
            going = [at for at, place in enumerate(places) if options["eos_token_id"] not in answers[place]]
            if not going or ids.shape[1] - width >= most:
                break
            if len(going) < len(places):
                cache.batch_select_indices(torch.tensor(going, device=ids.device))
                if processor:
                    processor.keep(going)
            mask = torch.cat([mask, mask.new_ones(len(places), ids.shape[1] - mask.shape[1])], 1)[going]
            ids, places = ids[going], [places[at] for at in going]
    return answers


def search(model, encoded, beams: int, most: int, options: dict) -> list[tuple[list[int], float]]:
    """`beams` answers for each prompt, the likeliest first: (tokens, mean log probability)."""
    import torch

    with torch.inference_mode():
        made = model.generate(
            **encoded,
            **options,
            past_key_values=read_once(model, encoded, beams) if model._supports_default_dynamic_cache() else None,
            num_beams=beams,
            num_return_sequences=beams,
            early_stopping=True,
            max_new_tokens=most,
            return_dict_in_generate=True,
            output_scores=True,
        )
    width = encoded["input_ids"].shape[1]
    return list(zip(made.sequences[:, width:].tolist(), made.sequences_scores.tolist(), strict=True))


def read_once(model, encoded, beams: int):
    """The keys and values of each prompt but its last token, once for every beam: else each beam reads the prompt anew."""
    cache = model(
        input_ids=encoded["input_ids"][:, :-1],
        attention_mask=encoded["attention_mask"][:, :-1],
        position_ids=(encoded["attention_mask"].cumsum(1) - 1).clamp(min=0)[:, :-1],
        logits_to_keep=1,
        use_cache=True,
    ).past_key_values
    cache.batch_repeat_interleave(beams)
    return cache


if __name__ == "__main__":
    run_main(main)
