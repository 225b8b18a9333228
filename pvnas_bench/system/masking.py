"""Masking of secrets: passwords, tokens and keys stay out of records, folder names and messages."""

import re
from typing import Any

MASK = "***"
_USER = re.compile(r"(?P<before>[A-Za-z][A-Za-z0-9+.-]*://)(?P<user>[^\s/?#@:]*)(?P<password>:[^\s'\"]*)?@")
"""``scheme://user:password@``, to the last @: a password may hold any character."""
_WORD = r"[\w.-]*(?:passwords?|passwd|passphrase|pwd|secret|credentials?|private[_-]?key)[\w-]*"
_MAYBE = r"[\w.-]*(?:tokens?|api[_-]?key|access[_-]?key|auth|authorization|signature|\bsig)(?![a-z])[\w-]*"
_ENDS = r"\s&;'\"\])}"
_VALUE = rf"(?:'[^']*'|\"[^\"]*\"|[^{_ENDS}]+?(?=,?(?:[{_ENDS}]|$)))"
_NAMED = re.compile(
    rf"(?P<key>\b(?:{_WORD}|(?P<maybe>{_MAYBE})))(?P<is>['\"]?\s*(?:=|:|%3D)\s*)(?P<value>(?:bearer\s+|basic\s+)?{_VALUE})",
    re.IGNORECASE,
)
_NUMBER = re.compile(r"[-+]?[\d._]+(e[-+]?\d+)?|true|false|none|null", re.IGNORECASE)
"""Values of hyper-parameters such as ``tokens=8``, which are not secrets."""
_SECRET_KEY = re.compile(_WORD, re.IGNORECASE)
_MAYBE_KEY = re.compile(_MAYBE, re.IGNORECASE)
_KNOWN = re.compile(
    r"\b(?:gh[pousr]_\w{16,}|github_pat_\w{16,}|hf_\w{16,}|sk-[\w-]{16,}|xox[abprs]-[\w-]{10,}|AKIA[A-Z0-9]{16}"
    r"|eyJ[\w-]{8,}\.eyJ[\w-]+\.[\w-]+)"
)
"""Tokens with a known prefix of their issuer."""


SHORTEST = 5
"""Shortest remembered secret in characters; shorter ones occur in too many words."""

_remembered: set[str] = set()


def remember(value: Any, key: str = "") -> None:
    """Remember the secrets in these settings; `masked` replaces them in any text, such as other libraries' messages."""
    if isinstance(value, dict):
        for name, inner in value.items():
            remember(inner, str(name))
    elif isinstance(value, list | tuple):
        for inner in value:
            remember(inner, key)
    elif isinstance(value, str):
        secrets = [value] if masked_values(value, key) == MASK else []
        secrets += [(match["password"] or ":")[1:] for match in _USER.finditer(value)]
        secrets += [match["value"] for match in _NAMED.finditer(value) if _masked_value(match) != match[0]]
        _remembered.update(secret for secret in secrets if len(secret) >= SHORTEST)


def masked(text: str) -> str:
    """Replace secrets by ``***``: remembered ones, and those in URLs, ``key=value`` and known forms of tokens."""
    for secret in sorted(_remembered, key=len, reverse=True):  # a secret may be a prefix of another
        text = text.replace(secret, MASK)
    if ":" not in text and "=" not in text and "%3" not in text and not _KNOWN.search(text):
        return text
    return _KNOWN.sub(MASK, _NAMED.sub(_masked_value, _USER.sub(_masked_user, text)))


def _masked_user(match: "re.Match[str]") -> str:
    before, user = match["before"], match["user"]
    return f"{before}{user}:{MASK}@" if match["password"] else f"{before}{MASK}@"


def _masked_value(match: "re.Match[str]") -> str:
    if match["maybe"] and _NUMBER.fullmatch(match["value"]):
        return match[0]
    return f"{match['key']}{match['is']}{MASK}"


def masked_values(value: Any, key: str = "") -> Any:
    """Mask every secret in JSON values, recognised by its text or its key."""
    if isinstance(value, dict):
        return {name: masked_values(inner, str(name)) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [masked_values(inner, key) for inner in value]
    if _SECRET_KEY.fullmatch(key) and value not in (None, "", True, False):
        return MASK
    if isinstance(value, str):
        return MASK if value and _MAYBE_KEY.fullmatch(key) and not _NUMBER.fullmatch(value) else masked(value)
    return value
