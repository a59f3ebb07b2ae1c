"""Verdicts on generated SQL: exact match, execution accuracy, and a judge model asked in parallel.

    from judge import make_requests_for_gpt_evaluation, change_jsonl_to_csv

Heavy libraries are imported where they are used, so `import judge` takes no time.
"""

from importlib import import_module
from typing import Any

_HOMES = {
    "make_requests_for_gpt_evaluation": "judge.evaluation",
    "change_jsonl_to_csv": "judge.evaluation",
    "run_requests": "judge.parallel",
    "make_probe": "judge.trust.probe",
    "probe_report": "judge.trust.fitness",
    "make_verdicts": "judge.results",
    "read_verdicts": "judge.results",
    "running_server": "judge.serve",
    "execution_verdict": "judge.execution",
    "execution_verdicts": "judge.execution",
    "exact_match": "judge.exact",
    "extract_sql": "judge.extract",
    "UserError": "judge.text",
}
__all__ = sorted(_HOMES)
__version__ = "0.1.0"


def __getattr__(name: str) -> Any:
    if name not in _HOMES:
        raise AttributeError(f"module 'judge' has no attribute {name!r}")
    return getattr(import_module(_HOMES[name]), name)


def __dir__() -> list[str]:
    return sorted([*globals(), *__all__])
