"""Several votes on one row, of one judge model's samples or of several models, made into one verdict."""

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

SHORT = {"yes": "yes", "no": "no", "unscored": "?"}


@dataclass
class Vote:
    """One reply: `asked` is the model that was asked for, `model` the one that says it answered."""

    id: str
    asked: str
    verdict: str  # yes | no | unscored
    reason: str
    model: str
    expected: int = 1  # votes that the row was to have


def count_votes(votes: Sequence[Vote]) -> dict[str, str]:
    """{resolve_yn, resolve_reason, judge_model, votes} of one row.

    Each model's samples first come to one verdict, then the models do, so a model asked more often weighs no more. A
    verdict needs more than half of all votes, the unreadable ones among them: a tie is 'unscored', and so is one
    readable yes out of three.
    """
    by_model: dict[str, list[Vote]] = {}
    for vote in votes:
        by_model.setdefault(vote.asked, []).append(vote)
    of_models = {model: majority([vote.verdict for vote in cast]) for model, cast in by_model.items()}
    # One model's samples are the votes that count; of several models it is their verdicts.
    counted = [vote.verdict for vote in votes] if len(by_model) == 1 else list(of_models.values())
    verdict = majority(counted)
    count = Counter(counted)
    tally = ", ".join(f"{count[name]} {name}" for name in SHORT if count[name])
    if verdict == "unscored":
        failed = [vote.reason for vote in votes if vote.verdict == "unscored" and vote.reason]
        reason = f"no majority: {tally}" + (f"; {failed[0]}" if failed else "")
    else:
        reason = next((v.reason for v in votes if v.verdict == verdict and of_models[v.asked] == verdict), "")
        reason = f"{tally}: {reason}" if reason else tally
    shown = "; ".join(f"{model}: {' '.join(SHORT[v.verdict] for v in cast)}" for model, cast in by_model.items())
    models = list(dict.fromkeys(vote.model for vote in votes if vote.model))
    return {"resolve_yn": verdict, "resolve_reason": reason, "judge_model": ", ".join(models), "votes": shown}


def majority(verdicts: Sequence[str]) -> str:
    """'yes' or 'no' where more than half of all say so, else 'unscored'."""
    for verdict in ("yes", "no"):
        if 2 * sum(given == verdict for given in verdicts) > len(verdicts):
            return verdict
    return "unscored"
