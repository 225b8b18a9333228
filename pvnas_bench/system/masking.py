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
"""Characters of a secret that is looked for in any text: shorter ones stand in too many words."""

_remembered: set[str] = set()


def remember(value: Any, key: str = "") -> None:
    """Mask what is secret in these settings wherever this process meets it, in the messages of other libraries too."""
    if isinstance(value, dict):
        for name, inner in value.items():
            remember(inner, str(name))
    elif isinstance(value, list | tuple):
        for inner in value:
            remember(inner, key)
    elif isinstance(value, str):
        found = [value] if masked_values(value, key) == MASK else []
        found += [(match["password"] or ":")[1:] for match in _USER.finditer(value)]
        found += [match["value"] for match in _NAMED.finditer(value) if _masked_value(match) != match[0]]
        _remembered.update(secret for secret in found if len(secret) >= SHORTEST)


def masked(text: str) -> str:
    """The text with passwords, tokens and keys as ``***``, in URLs, ``key=value`` and known forms."""
    for secret in sorted(_remembered, key=len, reverse=True):  # one may be the beginning of another
        text = text.replace(secret, MASK)
    if ":" not in text and "=" not in text and "%3" not in text and not _KNOWN.search(text):
        return text
    return _KNOWN.sub(MASK, _NAMED.sub(_masked_value, _USER.sub(_masked_user, text)))


def _masked_user(found: "re.Match[str]") -> str:
    before, user = found["before"], found["user"]
    return f"{before}{user}:{MASK}@" if found["password"] else f"{before}{MASK}@"


def _masked_value(found: "re.Match[str]") -> str:
    if found["maybe"] and _NUMBER.fullmatch(found["value"]):
        return found[0]
    return f"{found['key']}{found['is']}{MASK}"


def masked_values(value: Any, key: str = "") -> Any:
    """JSON values with every secret masked, by the text of a string or by its key."""
    if isinstance(value, dict):
        return {name: masked_values(inner, str(name)) for name, inner in value.items()}
    if isinstance(value, list | tuple):
        return [masked_values(inner, key) for inner in value]
    if _SECRET_KEY.fullmatch(key) and value not in (None, "", True, False):
        return MASK
    if isinstance(value, str):
        return MASK if value and _MAYBE_KEY.fullmatch(key) and not _NUMBER.fullmatch(value) else masked(value)
    return value
