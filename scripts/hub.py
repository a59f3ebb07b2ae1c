"""What goes to the Hugging Face Hub, an adapter's folder or a data set's: repo names, tokens, upload, refusals."""

from __future__ import annotations

import os
import re
import sys
from pathlib import Path
from typing import Literal

from scripts.recipe import UserError

MACHINE_PATH = re.compile(r"(file://|~?/|\\\\|[A-Za-z]:[\\/])[^\s{}|<>]+")
Kind = Literal["model", "dataset"]


def repo_name(own: str | None, key: str) -> str | None:
    """HUB_REPO, else what the recipe has under `key`; UserError where it is no user/name."""
    # Names may be pasted with spaces; an empty variable counts as unset.
    repo = os.environ.get("HUB_REPO", "").strip() or own
    if repo:
        check_repo_name(repo, key)
    return repo


def check_repo_name(repo: str, key: str) -> None:
    from huggingface_hub.errors import HFValidationError
    from huggingface_hub.utils import validate_repo_id

    try:
        validate_repo_id(repo)
    except HFValidationError as error:
        raise UserError(f"HUB_REPO or {key}: {first_sentence(error)}") from None
    if "/" not in repo:
        raise UserError(f"HUB_REPO or {key}: expected user/name, got {repo!r}")


def push(folder: Path, repo: str | None, private: bool, command: str, message: str, kind: Kind = "model") -> None:
    """Upload the folder where there are a repo and a token; say how to, where there are not."""
    token = find_token() if repo else None
    if repo and token:
        url = upload(folder, repo, token, private, message, kind)
        print(f"pushed: {url} ({'private' if private else 'public'})")
    else:
        missing = "no repo name" if not repo else "no token"
        print(f"not pushed ({missing}). To push it:")
        print(f"  HF_TOKEN=… HUB_REPO={repo or 'user/name'} {command}")
        print("or log in once with `hf auth login` and leave HF_TOKEN out; the token needs write access")


def find_token() -> str | None:
    from huggingface_hub import get_token

    token = get_token()
    # The HTTP library quotes a header that it can't send, token and all, in its error.
    if token and not re.fullmatch(r"[!-~]+", token):
        raise UserError("the Hub token (HF_TOKEN or login) has a space or a non-ASCII character in it; paste it again")
    return token


def upload(folder: Path, repo: str, token: str, private: bool, message: str, kind: Kind = "model") -> str:
    """Create `repo` if need be, commit the folder's files to it in one commit, and return its address.

    Raises UserError with one line, never with the token, when the Hub refuses or can't be reached; also when the
    repo is public and the recipe wants it private, before anything has gone up.
    """
    import requests
    from huggingface_hub import HfApi
    from huggingface_hub.errors import OfflineModeIsEnabled

    api = HfApi(token=token)
    try:
        api.create_repo(repo, repo_type=kind, private=private, exist_ok=True)
        # An existing repo keeps its own setting, whatever was asked for.
        if private and api.repo_info(repo, repo_type=kind).private is False:
            raise UserError(
                f"{repo} is public, but the recipe says hub.private: true; nothing was pushed. "
                "Set hub.private: false, or take another repo name"
            )
        names = sorted(path.name for path in folder.iterdir())
        api.upload_folder(
            repo_id=repo, repo_type=kind, folder_path=folder, allow_patterns=names, commit_message=message
        )
    except UserError:
        raise
    except OfflineModeIsEnabled:
        raise UserError("HF_HUB_OFFLINE is set, so nothing can be pushed; unset it") from None
    # ValueError: the Hub refused the card's metadata or an upload. RuntimeError: the upload of one file failed,
    # for the reason in its cause.
    except (requests.RequestException, OSError, ValueError, RuntimeError) as error:
        if type(error) is RuntimeError:
            print(file=sys.stderr)  # the upload's progress bar still holds the line
        reason = explain(error, repo, api.endpoint).replace(token, "***")
        raise UserError(f"not pushed: {reason}") from None
    return f"{api.endpoint}/{'datasets/' if kind == 'dataset' else ''}{repo}"


def explain(error: BaseException, repo: str, endpoint: str) -> str:
    """One line for what the Hub or the network said."""
    import requests

    if type(error) is RuntimeError and error.__cause__ is not None:
        error = error.__cause__
    response = getattr(error, "response", None)
    status = response.status_code if response is not None else None
    if status == 401:
        return f"{endpoint} does not accept the token (401); make one with write access and set HF_TOKEN to it"
    if status == 403:
        return f"the token may not write to {repo} (403); it needs write access to {repo.split('/')[0]!r}"
    if status == 404:
        return f"{endpoint} knows no {repo}, or the token may not see it (404); check HUB_REPO and HF_ENDPOINT"
    if status is not None:
        said = getattr(error, "server_message", None) or response.reason
        return f"{endpoint} answered {status}: {first_sentence(said)}"
    if isinstance(error, requests.exceptions.JSONDecodeError):
        return f"{endpoint} gave an answer that is not the Hub's; check HF_ENDPOINT"
    if isinstance(error, (requests.ConnectionError, requests.Timeout, ConnectionError)):
        return f"can't reach {endpoint}; check the network, the proxy and HF_ENDPOINT, then run the same command again"
    return f"{type(error).__name__}: {first_sentence(error)}"


def first_sentence(said: object) -> str:
    return " ".join(str(said).split())[:300]
