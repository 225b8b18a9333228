"""Passwords, tokens and keys are masked, and hyper-parameters are not."""

import string

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from pvnas_bench.system import masking
from pvnas_bench.system.masking import masked, masked_values, remember


@pytest.fixture(autouse=True)
def _nothing_remembered(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(masking, "_remembered", set())


@pytest.mark.parametrize(
    ("text", "shown"),
    [
        ("mysql://u:s3cret@host/db", "mysql://u:***@host/db"),
        ("mysql+pymysql://u:p@ss/w:rd@host/db", "mysql+pymysql://u:***@host/db"),
        ("redis://:s3cret@host:6379/0", "redis://:***@host:6379/0"),
        ("https://s3cret@host/repository", "https://***@host/repository"),
        ("a[storage=sql://h/db?user=a&password=s3,cret, n=3]", "a[storage=sql://h/db?user=a&password=***, n=3]"),
        ("host=h password='s3 cret' dbname=x", "host=h password=*** dbname=x"),
        ("https://h/x?api_key=s3cret&y=1", "https://h/x?api_key=***&y=1"),
        ("https://h/x?access_token=s3cret", "https://h/x?access_token=***"),
        ("s3://h/x?X-Amz-Signature=s3cret&X-Amz-Date=3", "s3://h/x?X-Amz-Signature=***&X-Amz-Date=3"),
        ("Authorization: Bearer s3cret.s3cret", "Authorization: ***"),
        ("{'password': 's3cret', 'x': 1}", "{'password': ***, 'x': 1}"),
        ("redirect=%2F%3Fpassword%3Ds3cret", "redirect=%2F%3Fpassword%3D***"),
        ("hf_" + "s3cret" * 5, "***"),
    ],
)  # fmt: skip
def test_secrets_are_masked(text: str, shown: str) -> None:
    assert masked(text) == shown
    assert masked(shown) == shown


@pytest.mark.parametrize(
    "text",
    [
        "pvnas[cycles=6, tokens=8]",
        "sqlite:///study.db",
        "storage=study.log",
        "author=me",
        "tokenizer=bpe",
        "http://host:80/a b@c",
        "mail me@host.org: it failed",
        "space st_default, top-1: 0.5",
    ],
)
def test_values_that_are_not_secret_stay(text: str) -> None:
    assert masked(text) == text


def test_a_secret_that_is_remembered_is_masked_in_any_text() -> None:
    remember({"password": "two s3cret words", "storage": "mysql://u:hunter22@h/db?token=abcdef", "cycles": "6"})
    assert masked("said two s3cret words to hunter22, abcdef, 6") == "said *** to ***, ***, 6"


def test_a_secret_that_begins_with_another_is_masked_in_full() -> None:
    ends = "0123456789abcdefghij"
    remember({"password": "s3cret", "others": [{"password": f"s3cret{end}"} for end in ends]})
    assert masked(" ".join(f"s3cret{end}" for end in ends)) == " ".join(["***"] * len(ends))


SECRETS = st.text(string.ascii_letters + string.digits + "!$%+-_.~@:/", min_size=6, max_size=20).map(lambda s: f"Q{s}9")


@settings(suppress_health_check=list(HealthCheck))
@given(SECRETS, st.sampled_from(["{}", "a[storage={}]", "failed: ({}) after 3 s", "x={}, y=2"]))
def test_passwords_in_urls_are_masked(secret: str, around: str) -> None:
    assert secret not in masked(around.format(f"mysql://user:{secret}@host/db"))


@settings(suppress_health_check=list(HealthCheck))
@given(
    st.text(string.ascii_letters + string.digits + "!$+-_.~@:/,([{", min_size=6, max_size=20).map(lambda s: f"Q{s}9"),
    st.sampled_from(["password", "PASSWORD", "db_password", "passwd", "api-key", "apiKey", "access_token", "secret"]),
    st.sampled_from(["{}={}", "{} = {}", "'{}': '{}'", "https://h/?a=1&{}={}&b=2"]),
)
def test_values_under_secret_names_are_masked(secret: str, key: str, form: str) -> None:
    assert secret not in masked(form.format(key, secret))
    assert masked_values({"outer": [{key: secret}]}) == {"outer": [{key: "***"}]}


@settings(suppress_health_check=list(HealthCheck))
@given(st.text())
def test_masking_twice_changes_nothing_more(text: str) -> None:
    assert masked(masked(text)) == masked(text)
