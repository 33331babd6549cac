"""Redaction of credentials: addresses, parameters and headers are shown without their secrets.

A password may contain characters that should have been quoted, such as ``/``, ``?``, ``#``, ``@``
or a space. If a text is ambiguous, the interpretation that hides more is used.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from functools import lru_cache
from urllib.parse import quote, quote_plus, unquote

HIDDEN = "…"
SECRET_VARIABLES = (
    "AWS_SECRET_ACCESS_KEY",
    "AWS_SESSION_TOKEN",
    "AZURE_CLIENT_SECRET",
    "AZURE_STORAGE_ACCESS_KEY",
    "AZURE_STORAGE_CONNECTION_STRING",
    "DATABRICKS_TOKEN",
    "MLFLOW_AUTH_ADMIN_PASSWORD",
    "MLFLOW_FLASK_SERVER_SECRET_KEY",
    "MLFLOW_TRACKING_PASSWORD",
    "MLFLOW_TRACKING_TOKEN",
    "PGPASSWORD",
)
"""Environment variables whose values are secrets."""
ADDRESS_VARIABLES = (
    "MER_OPTUNA_STORAGE",
    "MLFLOW_ARTIFACTS_DESTINATION",
    "MLFLOW_BACKEND_STORE_URI",
    "MLFLOW_REGISTRY_URI",
    "MLFLOW_TRACKING_URI",
)
"""Environment variables whose values are addresses, which may contain a password."""
SHORTEST = 6
"""Minimum length of a secret that is hidden anywhere in a text: shorter ones may be parts of
ordinary words."""

SCHEME = re.compile(r"[A-Za-z][A-Za-z0-9+.\-]{0,30}://")
NEXT_ADDRESS = re.compile(rf"\s['\"(<]*{SCHEME.pattern}")
WEB = ("http://", "https://")
ENDS = r"(?=[/?#\s'\"<>),;:\]}`]|\.?$|\.\s)"
"""Characters that may follow the host and port of an address."""
NAME = r"[\w.\-]*\w"
BRACKETED = r"\[[0-9A-Fa-f:.%]+\]"
HOST = re.compile(rf"(?:{NAME}|{BRACKETED}){ENDS}|(?=/|:\d)")
"""A host, or nothing if a database is accessed through a socket: ``user:password@/name``."""
CLEAR_HOST = re.compile(
    rf"(?:localhost|\d+(?:\.\d+){{3}}|{BRACKETED}|[\w\-]+(?:\.[\w\-]+)*\.[^\W\d_]{{2,}})(?::\d+)?"
    rf"{ENDS}|{NAME}:\d{{1,5}}{ENDS}"
)
"""A host that cannot be an ordinary word: dotted, numeric, ``localhost``, or with a port."""
AUTHORITY = re.compile(rf"(?:{NAME}|{BRACKETED})(?::\d{{0,5}}(?!:)|(?!:)){ENDS}")
USER = re.compile(r"[^\s\x00-\x1f\x7f-\x9f/?#@:'\"<>]*")
PLAIN = re.compile(r"[^\s/?#@]+")
PATH = re.compile(r"[^\s?#@]*")
BLANK = re.compile(r"\s")
WORD = re.compile(r"[^\s'\"<>]*")
QUERY = re.compile(r"\?[\w.\-]+=")
BARE = re.compile(
    r"(?<![\w/:@.+\-])(?!(?:acct|bcc|cc|from|mailto|sip|sips|to|xmpp):)"
    rf"[A-Za-z_][\w.\-]*:[^\s@'\"<>]+@(?={CLEAR_HOST.pattern})",
    re.IGNORECASE,
)
"""User and password before a host, without a scheme."""

NAME_OF_VALUE = (
    r"(?:[\w.\-]*[_.\-])?(?:ssl)?(?:password|passwd|passphrase|pwd|secret|token|sig|signature"
    r"|access[_-]?key(?:[_-]?id)?|secret[_-]?key|account[_-]?key|api[_-]?key|credentials?"
    r"|sas)"
)
QUERY_KEY = rf"(?:{NAME_OF_VALUE}|(?:[\w.\-]*[_.\-])?(?:pass|key|code|auth|authorization))"
PARAMETER = re.compile(rf"([?&]|&amp;|\\u0026)({QUERY_KEY})=", re.IGNORECASE)
NEXT_PARAMETER = re.compile(r"&(?:amp;)?[\w.\-]+=|\n")
ASSIGNMENT = re.compile(
    rf"(?<![\w.\-?&;])({NAME_OF_VALUE})(\s*=\s*)"
    r"('(?:[^'\\\n]|\\.|'')*'|\"(?:[^\"\\\n]|\\.|\"\")*\"|\{(?:[^}\n]|\}\})*\}"
    r"|[^;\n]*?(?=;\s*[\w ]+=)|[^\s;&,)\]}'\"]+)",
    re.IGNORECASE,
)
"""As in ``host=db password='se cret'`` and ``PWD={secret};``."""
SETTING = re.compile(
    rf"(;\s*)({NAME_OF_VALUE})(\s*=\s*)(\{{(?:[^}}\n]|\}}\}})*\}}|[^;\n]*)", re.IGNORECASE
)
"""One of several parameters separated by semicolons."""
MEMBER = re.compile(
    rf"((['\"])(?:{NAME_OF_VALUE})\2\s*:\s*)('(?:[^'\\\n]|\\.)*'|\"(?:[^\"\\\n]|\\.)*\")",
    re.IGNORECASE,
)
"""An item of a dictionary or of JSON."""
HEADER = re.compile(
    r"((?:proxy-)?authorization['\"]?\s*[:=]\s*(?:b?['\"])?(?:(?:basic|bearer|digest|token)\s+)?)"
    r"[^\s'\",}][^'\"\n}]*",
    re.IGNORECASE,
)
BEARER = re.compile(r"(\bbearer\s+)(?=\S*[\d._~+/=\-])[\w.~+/=\-]{8,}", re.IGNORECASE)


def redacted(text: str) -> str:
    """Remove users, passwords and tokens from an address, or from a text that contains addresses.

    Parameters
    ----------
    text : a URL, or a message that contains one

    Returns
    -------
    the text without user and password before a host; other secrets are replaced by ``…``
    """
    for secret in _known():
        text = secret.sub(HIDDEN, text)
    text = BARE.sub("", _without_users(text))
    text = _without_parameters(text)
    for pattern in (HEADER, BEARER, MEMBER):
        text = pattern.sub(rf"\1{HIDDEN}", text)
    text = SETTING.sub(rf"\1\2\3{HIDDEN}", text)
    return ASSIGNMENT.sub(rf"\1\2{HIDDEN}", text)


def _without_users(text: str) -> str:
    parts, done = [], 0
    while found := SCHEME.search(text, done):
        parts.append(text[done : found.end()])
        done = _end_of_user(text, found.start(), found.end())
    return "".join(parts) + text[done:]


def _end_of_user(text: str, scheme: int, start: int) -> int:
    """Return where the host of an address begins: after user and password, if there are any.

    Parameters
    ----------
    text : a text that contains the address
    scheme, start : positions of its scheme and of the first character after ``://``
    """
    user = USER.match(text, start)
    colon = user.end() if user else start
    if text[colon : colon + 1] == "@":
        return colon + 1 if HOST.match(text, colon + 1) else start
    if text[colon : colon + 1] != ":":
        return start
    line = text.find("\n", start)
    end = len(text) if line < 0 else line
    is_whole = scheme == 0
    following = None if is_whole else NEXT_ADDRESS.search(text, colon, end)
    end = following.start() if following else end
    ends = [at + 1 for at in _all(text, "@", colon, end) if HOST.match(text, at + 1)]
    authority = AUTHORITY.match(text, start)
    if authority is not None:
        ends = [at for at in ends if _hides_more(text, scheme, start, colon, at, is_whole)]
    if not ends:
        return start
    blank = _blank(text, colon, end)
    first = [at for at in ends if at <= blank] or [
        at for at in ends if at <= _blank(text, ends[0], end)
    ]
    last = _last_of(text, colon, first)
    later = [at for at in ends if at > last]
    host = HOST.match(text, last)
    if is_whole and later and host and text[host.end() : host.end() + 1].isspace():
        return _last_of(text, colon, later)
    return last


def _hides_more(text: str, scheme: int, start: int, colon: int, at: int, is_whole: bool) -> bool:
    """Return whether an apparent host and port may be a user and the beginning of a password."""
    is_web = text[scheme:start].lower() in WEB
    if BLANK.search(text, colon, at):
        follows = CLEAR_HOST.match(text, at) or HOST.match(text, at)
        has_more = follows is not None and (":" in follows[0] or text[follows.end() :][:1] == "/")
        return is_whole and not BLANK.search(text, at) and (has_more or not is_web)
    if not is_web:
        return True
    return not CLEAR_HOST.match(text[start:colon]) and CLEAR_HOST.match(text, at) is not None


def _last_of(text: str, colon: int, ends: list[int]) -> int:
    """Return the end of a password, if any ``@`` before a host may be its last character."""
    for at in ends:
        is_clear = CLEAR_HOST.match(text, at)
        host = is_clear or HOST.match(text, at)
        behind = host.end() if host else at
        path = PATH.match(text, behind)
        has_query = path is not None and QUERY.match(text, path.end())
        has_path = is_clear and text[behind : behind + 1] == "/"
        if has_path and PLAIN.fullmatch(text, colon + 1, at - 1):
            return at
        if has_query and at == ends[0] and at > colon + 2:
            return at
    return ends[-1]


def _all(text: str, character: str, start: int, end: int) -> Iterator[int]:
    at = text.find(character, start, end)
    while at >= 0:
        yield at
        at = text.find(character, at + 1, end)


def _blank(text: str, start: int, end: int) -> int:
    found = BLANK.search(text, start, end)
    return found.start() if found else end


def _without_parameters(text: str) -> str:
    """Hide values up to the next parameter; in a text that is more than an address, up to the
    next space or quotation mark."""
    is_whole = SCHEME.match(text) is not None
    parts, done = [], 0
    while found := PARAMETER.search(text, done):
        parts += [text[done : found.end()], HIDDEN]
        following = NEXT_PARAMETER.search(text, found.end())
        done = following.start() if following else len(text)
        word = WORD.match(text, found.end())
        if word and not is_whole:
            done = min(done, word.end())
    return "".join(parts) + text[done:]


def _known() -> Iterator[re.Pattern[str]]:
    """Yield patterns of the secrets in this process's environment."""
    secrets = {os.environ.get(name, "") for name in SECRET_VARIABLES}
    for name in ADDRESS_VARIABLES:
        secrets |= _passwords(os.environ.get(name, ""))
    for secret in sorted(secrets, key=len, reverse=True):
        if len(secret) >= SHORTEST:
            yield _anywhere(secret)


def _passwords(address: str) -> set[str]:
    """Return the passwords of an address, as written and unquoted."""
    scheme = SCHEME.match(address)
    if scheme is None:
        return set()
    end = _end_of_user(address, 0, scheme.end())
    password = address[scheme.end() : max(end - 1, scheme.end())].partition(":")[2]
    return {password, unquote(password)}


@lru_cache(maxsize=64)
def _anywhere(secret: str) -> re.Pattern[str]:
    forms = {secret, quote(secret), quote(secret, safe=""), quote_plus(secret), repr(secret)[1:-1]}
    words = "|".join(re.escape(form) for form in sorted(forms, key=len, reverse=True))
    return re.compile(rf"(?<![A-Za-z0-9])(?:{words})(?![A-Za-z0-9])")
