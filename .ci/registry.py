"""The way to a package registry by the names of both installers: what pip knows, uv knows, too.

As a program it runs uv with all that leads there: `python -I .ci/registry.py pip sync LOCK`.
Standard library only.
"""

import ast
import math
import os
import re
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlsplit

NETWORK = (
    "index-url extra-index-url find-links no-index trusted-host cert client-cert proxy timeout "
    "retries keyring-provider cache-dir"
).split()
"""What holds of the user's own pip.conf: the way to a registry, and nothing of where to install."""
_NAME = re.compile(r"([\w.-]+)=(?=\S)")
"""How uv's indexes may begin, and pip's may not; what precedes a `=` in an address has a colon."""
_ON = re.compile(r"1|true|t|yes|y|on", re.IGNORECASE)


def settings(given: Mapping[str, str]) -> dict[str, str]:
    """Variables that one installer lacks of what the other was told; none that is given already."""
    of = {name: value for name, value in given.items() if value.strip()}
    added = _for_pip(of) | _for_uv(of) | _certificates(of) | _proxy(of)
    return {name: value for name, value in added.items() if value and name not in of}


def _for_pip(of: Mapping[str, str]) -> dict[str, str]:
    more = f"{of.get('UV_INDEX', '')} {of.get('UV_EXTRA_INDEX_URL', '')}".split()
    return {
        "PIP_INDEX_URL": _address(of.get("UV_DEFAULT_INDEX") or of.get("UV_INDEX_URL", ""), of),
        "PIP_EXTRA_INDEX_URL": " ".join(_address(index, of) for index in more),
        "PIP_FIND_LINKS": of.get("UV_FIND_LINKS", "").replace(",", " "),
        "PIP_TRUSTED_HOST": of.get("UV_INSECURE_HOST", ""),
        "PIP_CLIENT_CERT": of.get("SSL_CLIENT_CERT", ""),
        "PIP_KEYRING_PROVIDER": of.get("UV_KEYRING_PROVIDER", ""),
        "PIP_RETRIES": of.get("UV_HTTP_RETRIES", ""),
        "PIP_TIMEOUT": "" if "PIP_DEFAULT_TIMEOUT" in of else of.get("UV_HTTP_TIMEOUT", ""),
    }


def _for_uv(of: Mapping[str, str]) -> dict[str, str]:
    more = " ".join(of.get("PIP_EXTRA_INDEX_URL", "").split())
    if "UV_INDEX" in of or "UV_EXTRA_INDEX_URL" in of:  # they were chosen for uv
        more = ""
    keyring = of.get("PIP_KEYRING_PROVIDER", "")
    timeout = of.get("PIP_TIMEOUT") or of.get("PIP_DEFAULT_TIMEOUT", "")
    return {
        "UV_DEFAULT_INDEX": "" if "UV_INDEX_URL" in of else of.get("PIP_INDEX_URL", ""),
        "UV_EXTRA_INDEX_URL": more,
        # As pip looks: a package may lie on any of them; the lock holds the digest of each file.
        "UV_INDEX_STRATEGY": "unsafe-best-match" if more else "",
        "UV_FIND_LINKS": ",".join(of.get("PIP_FIND_LINKS", "").split()),
        "UV_INSECURE_HOST": " ".join(of.get("PIP_TRUSTED_HOST", "").split()),
        "SSL_CLIENT_CERT": of.get("PIP_CLIENT_CERT", ""),
        "UV_KEYRING_PROVIDER": keyring if keyring in ("disabled", "subprocess") else "",
        "UV_HTTP_RETRIES": of.get("PIP_RETRIES", ""),
        "UV_HTTP_TIMEOUT": _whole(timeout),
    }


def _certificates(of: Mapping[str, str]) -> dict[str, str]:
    named = of.get("SSL_CERT_FILE") or of.get("PIP_CERT") or of.get("REQUESTS_CA_BUNDLE", "")
    return {"PIP_CERT": named, "SSL_CERT_FILE": named}


def _proxy(of: Mapping[str, str]) -> dict[str, str]:
    """Pip's own proxy as the variables that uv reads, and pip, unless others are set."""
    proxy = of.get("PIP_PROXY", "")
    if not proxy or {"http_proxy", "https_proxy", "all_proxy"} & {name.lower() for name in of}:
        return {}
    proxy = proxy if "://" in proxy else f"http://{proxy}"
    return {"HTTP_PROXY": proxy, "HTTPS_PROXY": proxy}


def _whole(seconds: str) -> str:
    """Pip takes parts of a second, uv takes whole ones."""
    return str(math.ceil(float(seconds))) if re.fullmatch(r"\d+(\.\d*)?", seconds) else ""


def _address(index: str, of: Mapping[str, str]) -> str:
    """One of uv's indexes as pip takes it: without its name, with the account given for that."""
    named = _NAME.match(index)
    if named is None:
        return index
    parts = urlsplit(index[named.end() :])
    account = f"UV_INDEX_{re.sub('[^A-Z0-9]', '_', named[1].upper())}_"
    user, word = of.get(f"{account}USERNAME", ""), of.get(f"{account}PASSWORD", "")
    if not user + word or "@" in parts.netloc:
        return parts.geturl()
    netloc = f"{quote(user, safe='')}:{quote(word, safe='')}@{parts.netloc}"
    return parts._replace(netloc=netloc).geturl()


def options(given: Mapping[str, str]) -> list[str]:
    """What uv takes on its command line only."""
    return ["--no-index"] if _ON.fullmatch(given.get("PIP_NO_INDEX", "").strip()) else []


def pip_settings(listed: str) -> dict[str, str]:
    """What of `pip config list` names the way to a registry, as variables; files count as none."""
    found = re.findall(r"^(?!:env:)[\w-]+\.([\w-]+)=(.+)$", listed, re.MULTILINE)
    named = {f"PIP_{k.replace('-', '_').upper()}": v for k, v in found if k in NETWORK}
    kept = {name: str(ast.literal_eval(value)) for name, value in named.items()}
    return {**kept, "PIP_CONFIG_FILE": os.devnull}


def environment(python: str | Path) -> dict[str, str]:
    """This environment with what the pip of a Python reads from its files, by both names."""
    pip = [str(python), "-I", "-m", "pip", "config", "list"]
    listed = subprocess.run(pip, check=False, capture_output=True, text=True).stdout
    known = pip_settings(listed) | os.environ | {"PIP_CONFIG_FILE": os.devnull}
    return known | settings(known)


if __name__ == "__main__":
    around, command = environment(sys.executable), sys.argv[1:]
    if command[:1] == ["pip"]:
        command[2:2] = options(around)
    uv = Path(sys.executable).with_name("uv")
    os.execve(uv, [str(uv), *command], around)
