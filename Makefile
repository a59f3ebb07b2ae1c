# Every target is one stage's script; RECIPE= picks the recipe, and the rest is in the recipe.
RECIPE ?= recipes/ko_text2sql/smollm2-135m-cpu.yaml
SMOKE = recipes/ko_text2sql/smoke.yaml
PY = .venv/bin/python
GENERATE = $(if $(MODEL),--model $(MODEL)) $(if $(ROWS),--rows "$(ROWS)") $(if $(OUT),--out "$(OUT)")

.DEFAULT_GOAL = help
.NOTPARALLEL:
.PHONY: help setup data format train merge generate judge report score push lab smoke test lint clean doctor synthesize data-card push-data

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' Makefile

setup:  ## install what the lock names into .venv (does nothing when it hasn't changed)
	@python3 scripts/setup.py

data: setup  ## 1. rows: make or load them, split into train and test (ROWS=45000 for so many)
	$(PY) -m scripts.data $(RECIPE) $(if $(ROWS),--rows "$(ROWS)")

format: setup  ## 2. text: turn rows into the prompt's text column
	$(PY) -m scripts.format $(RECIPE)

train: setup  ## 3. adapter: fine-tune through autotrain llm
	$(PY) -m scripts.train $(RECIPE)

merge: setup  ## (optional) one folder of base model and adapter, checked against the pair
	$(PY) -m scripts.merge $(RECIPE)

generate: setup  ## 4. answers of base and tuned model (ROWS= OUT= MODEL=base|tuned for rows of your own)
	$(PY) -m scripts.generate $(RECIPE) $(GENERATE)

judge: setup  ## 5. verdicts: the LLM judge, execution accuracy, exact match
	$(PY) -m scripts.judge $(RECIPE)

report: setup  ## 6. the page with scores, intervals and failures
	$(PY) -m scripts.report $(RECIPE)

score: setup  ## further rows beside the test rows in the report: both models on ROWS=mine.jsonl, the tuned one on the recipe's own
	$(PY) -m scripts.score $(RECIPE) $(if $(ROWS),--rows "$(ROWS)")

push: setup  ## 7. the adapter and its card to the Hub (HF_TOKEN and HUB_REPO=user/name), or just the folder
	$(PY) -m scripts.push $(RECIPE)

synthesize: setup  ## rows by a language model: OPENAI_API_KEY or JUDGE_BASE_URL; says the cost and asks (YES=1 agrees)
	$(PY) -m scripts.synthesize $(RECIPE) $(if $(YES),--yes)

data-card: setup  ## what is in the recipe's rows: sizes, lengths, kinds, hashes, as the Hub's card with plots
	$(PY) -m scripts.data_card $(RECIPE)

push-data: setup  ## the rows and their card to the Hub (HF_TOKEN and HUB_REPO=user/name), or just the folder
	$(PY) -m scripts.push_data $(RECIPE)

lab: data format train generate judge score report  ## the whole line, from data to report

smoke: setup  ## the whole line in minutes, on a handful of rows
	$(MAKE) lab RECIPE=$(SMOKE)

test: setup  ## every test: no network, GPU or key needed
	$(PY) -m pytest -q -n 2 --dist loadfile --no-loadscope-reorder tests/test_smoke.py tests judge/tests

lint: setup  ## style and mistakes that can be seen without running
	$(PY) -m ruff check . && $(PY) -m ruff format --check .

doctor: setup  ## what this machine has, and which recipes fit it
	$(PY) -m scripts.doctor

clean:  ## remove what the recipe's run has made
	$(PY) -m scripts.clean $(RECIPE)
