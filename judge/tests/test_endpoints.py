"""Addresses and dialects of OpenAI-compatible endpoints, and structured output where they have it."""

import json
import sys

import pytest
from fake_judge import answering, fake_judge, write_requests
from judge.parallel import run_requests
from judge.processor.endpoint import is_azure, resolve_url
from judge.text import UserError

SCHEMA = {"type": "json_schema", "json_schema": {"name": "verdict", "schema": {"type": "object"}}}
OBJECT = {"type": "json_object"}


@pytest.fixture(autouse=True)
def no_environment(monkeypatch):
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "JUDGE_BASE_URL"):
        monkeypatch.delenv(name, raising=False)


def refusal(what):
    return 400, {"error": {"message": f"'response_format' of type '{what}' is not supported with this model"}}, {}


@pytest.mark.parametrize(
    ("base", "address", "azure"),
    [
        ("https://api.openai.com/v1", "https://api.openai.com/v1/chat/completions", False),
        ("http://127.0.0.1:11434/v1/", "http://127.0.0.1:11434/v1/chat/completions", False),
        ("http://gpu:8000/v1/chat/completions", "http://gpu:8000/v1/chat/completions", False),
        (
            "https://generativelanguage.googleapis.com/v1beta/openai/",
            "https://generativelanguage.googleapis.com/v1beta/openai/chat/completions",
            False,
        ),
        ("https://x.openai.azure.com/openai/v1/", "https://x.openai.azure.com/openai/v1/chat/completions", True),
        (
            "https://x.openai.azure.com/openai/deployments/judge?api-version=2024-10-21",
            "https://x.openai.azure.com/openai/deployments/judge/chat/completions?api-version=2024-10-21",
            True,
        ),
    ],
)
def test_a_base_url_leads_to_its_chat_completions(monkeypatch, base, address, azure):
    monkeypatch.setenv("JUDGE_BASE_URL", base)
    assert resolve_url(None) == address and is_azure(address) == azure


def test_azure_gets_the_key_in_its_own_header_and_the_api_version_in_the_query(tmp_path, monkeypatch):
    monkeypatch.setenv("OPENAI_API_KEY", "azure-key-0123456789")
    requests = write_requests(tmp_path / "requests.jsonl", ["a"])
    with fake_judge() as fake:
        base = fake.url.replace("/v1", "/openai/deployments/judge?api-version=1")
        assert run_requests(requests, tmp_path / "out.jsonl", base_url=base).answered == 1
    assert fake.headers[0]["api-key"] == "azure-key-0123456789"
    assert fake.headers[0]["Authorization"] is None
    assert fake.paths == ["/openai/deployments/judge/chat/completions?api-version=1"]


@pytest.mark.parametrize(
    ("asked", "refused", "sent"),
    [
        (SCHEMA, [], ["json_schema"] * 5),
        (SCHEMA, ["json_schema"], ["json_schema"] + ["json_object"] * 5),
        (SCHEMA, ["json_schema", "json_object"], ["json_schema", "json_object"] + [None] * 5),
        (OBJECT, ["json_object"], ["json_object"] + [None] * 5),
        (None, [], [None] * 5),
    ],
)
def test_a_format_that_the_endpoint_lacks_costs_one_refusal_for_the_whole_run(tmp_path, asked, refused, sent):
    more = {"response_format": asked} if asked else {}
    requests = write_requests(tmp_path / "requests.jsonl", [f"p{i}" for i in range(5)], **more)
    with fake_judge({"p0": [refusal(what) for what in refused]}) as fake:
        outcome = run_requests(requests, tmp_path / "out.jsonl", base_url=fake.url, rpm=60_000)
    assert outcome.answered == 5
    assert [(body.get("response_format") or {}).get("type") for body in fake.bodies] == sent
    assert len(outcome.notes) == bool(refused)
    if refused:
        assert f"m was asked for {['json_object', 'plain text'][len(refused) - (asked is SCHEMA)]}" in outcome.notes[0]
    first = json.loads((tmp_path / "out.jsonl").read_text().splitlines()[0])
    assert first[0].get("response_format") == asked  # the result keeps the request as it was asked


def test_a_refusal_about_something_else_is_final(tmp_path):
    requests = write_requests(tmp_path / "requests.jsonl", ["a"], response_format=SCHEMA)
    with fake_judge({"a": [(400, {"error": {"message": "unknown parameter 'temprature'"}}, {})]}) as fake:
        assert run_requests(requests, tmp_path / "out.jsonl", base_url=fake.url).failed == 1
    assert len(fake.calls) == 1


def test_the_delay_that_gemini_writes_into_its_error_is_waited_for(tmp_path):
    error = {"code": 429, "status": "RESOURCE_EXHAUSTED", "message": "quota", "details": [{"retryDelay": "1s"}]}
    requests = write_requests(tmp_path / "requests.jsonl", ["a"])
    with fake_judge({"a": [(429, [{"error": error}], {})]}) as fake:
        assert run_requests(requests, tmp_path / "out.jsonl", base_url=fake.url, first_pause=0.01).answered == 1
    assert fake.calls[1][1] - fake.calls[0][1] >= 0.99


def test_an_address_outside_goes_through_the_proxy_of_the_environment_with_its_password(tmp_path, monkeypatch):
    requests = write_requests(tmp_path / "requests.jsonl", ["a"])
    monkeypatch.delenv("NO_PROXY", raising=False)
    monkeypatch.delenv("no_proxy", raising=False)
    with fake_judge() as proxy:
        monkeypatch.setenv("http_proxy", proxy.url.removesuffix("/v1").replace("//", "//user:pass@"))
        outside = "http://judge.invalid/v1"
        assert run_requests(requests, tmp_path / "out.jsonl", base_url=outside, api_key="key-0123456789").answered == 1
    assert proxy.paths == ["http://judge.invalid/v1/chat/completions"]
    assert proxy.headers[0]["Proxy-Authorization"] == "Basic dXNlcjpwYXNz"  # user:pass
    assert proxy.headers[0]["Authorization"] == "Bearer key-0123456789"


def test_a_password_in_the_address_is_sent_as_such_and_kept_nowhere(tmp_path):
    requests = write_requests(tmp_path / "requests.jsonl", ["a"])
    with fake_judge({"a": [(400, {"error": {"message": "no"}}, {})]}) as fake:
        outcome = run_requests(requests, tmp_path / "out.jsonl", base_url=fake.url.replace("//", "//user:p%40ss@"))
    assert outcome.failed == 1
    assert fake.headers[0]["Authorization"] == "Basic dXNlcjpwQHNz"  # user:p@ss
    assert fake.headers[0].get_all("Host") == [fake.url.split("/")[2]]
    assert not any("p%40ss" in path.read_text() or "p@ss" in path.read_text() for path in tmp_path.iterdir())


@pytest.mark.parametrize("status", [307, 308])
def test_a_redirect_is_followed_with_the_body(tmp_path, status):
    requests = write_requests(tmp_path / "requests.jsonl", ["a"])
    with fake_judge({"a": [(status, "", {"location": "/elsewhere"})]}) as fake:
        assert run_requests(requests, tmp_path / "out.jsonl", base_url=fake.url).answered == 1
    assert fake.paths == ["/v1/chat/completions", "/elsewhere"] and fake.prompts() == ["a", "a"]


def test_without_uvloop_it_runs_on_pythons_own_loop(tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "uvloop", None)
    requests = write_requests(tmp_path / "requests.jsonl", ["a", "b"])
    with fake_judge() as fake:
        assert run_requests(requests, tmp_path / "out.jsonl", base_url=fake.url).answered == 2


def test_a_proxy_that_refuses_is_named_without_its_password(tmp_path, monkeypatch):
    requests = write_requests(tmp_path / "requests.jsonl", ["a"])
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    with answering(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n") as port:
        monkeypatch.setenv("https_proxy", f"http://user:hidden@127.0.0.1:{port}")
        outcome = run_requests(
            requests, tmp_path / "out.jsonl", base_url="https://judge.invalid/v1", api_key="k", max_attempts=1
        )
    failed = (tmp_path / "out.failed.jsonl").read_text()
    assert "the proxy refused the connection: status 407" in failed
    assert "hidden" not in failed + str(outcome)


@pytest.mark.parametrize("limits", [{"rpm": 0}, {"tpm": 0}, {"rpm": -1}, {"rpm": float("nan")}])
def test_a_limit_that_lets_nothing_through_is_refused(tmp_path, limits):
    requests = write_requests(tmp_path / "requests.jsonl", ["a"])
    with fake_judge() as fake, pytest.raises(UserError, match="expected more than 0; leave it out for no limit"):
        run_requests(requests, tmp_path / "out.jsonl", base_url=fake.url, **limits)
    assert not fake.calls
