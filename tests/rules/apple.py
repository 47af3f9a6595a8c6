"""The Makefile as GNU make 3.81 reads it, which every Mac has: which lines start without a shell.

That make looks at SHELL: a plain one, and on a Mac /bin/bash is one, it uses only for lines that
hold what a shell has to do. Any other line is started directly, by the PATH that make itself has,
not by the one that the Makefile exports. Only ever `-c` stands before a line that a shell gets.
"""

import re

CHARACTERS = frozenset('#;"*?[]&|<>(){}$`^~!')
"""Any of these outside of single quotes makes a line the shell's."""
BUILTINS = frozenset(
    ". : break case cd continue eval exec exit export for if login logout read readonly set shift "
    "switch test times trap umask wait while".split()
)
"""So does a first word of these."""
PLAIN = re.compile(r"/(?:usr/)?bin/(?:sh|bash|dash|ksh|zsh|csh|tcsh)")
"""The shells that it does without where it can; the default is /bin/sh."""
NEWER = {
    ".SHELLFLAGS": r"^\.SHELLFLAGS\b",
    ".ONESHELL": r"^\.ONESHELL\b",
    ".WAIT": r"\.WAIT\b",
    ".EXTRA_PREREQS": r"\.EXTRA_PREREQS\b",
    "undefine": r"^\s*(?:override\s+)?undefine\b",
    "private": r"^\s*private\b",
    "define with an assignment": r"^\s*(?:override\s+)?define\s+\S+\s*[:+?!]?=",
    "shell assignment": r"^[^\t#:]*!=",
    "POSIX assignment": r"::=",
    "grouped targets": r"^[^\t#=]*&:",
    "functions": r"\$\((?:file|guile|intcmp|let) ",
    "load": r"^-?load\b",
}
"""What later versions of make added, by a pattern of its lines."""


def variables(text: str) -> dict[str, str]:
    """The Makefile's own assignments, unexpanded."""
    joined = text.replace("\\\n", " ")
    found = re.findall(r"^(?:export )?([\w.]+) *[:?+]?= *(.*)$", joined, re.MULTILINE)
    return dict(found)


def recipes(text: str) -> dict[str, list[str]]:
    """The recipe lines of each target, continued lines joined as that make joins them."""
    found: dict[str, list[str]] = {}
    targets: list[str] = []
    for line in re.sub(r"\\\n\t?", "", text).splitlines():
        if match := re.match(r"([\w%./$() -]+):(?!=)", line):
            targets = match[1].split()
        elif line.startswith("\t"):
            for target in targets:
                found.setdefault(target, []).append(line[1:].lstrip("@-+ "))
    return found


def expanded(line: str, known: dict[str, str]) -> str:
    """A line with the variables of the Makefile; an automatic one is the name of a file."""
    for _ in range(9):
        line = re.sub(r"\$\((\w+)\)", lambda m: known.get(m[1], ""), line)
    return re.sub(r"\$[@<*^]", "file", line).replace("$$", "$")


def direct(line: str, shell: str) -> list[str] | None:
    """The words by which a line is started without a shell; None where a shell gets it."""
    if not PLAIN.fullmatch(shell):
        return None
    words, quoted, current = [], False, ""
    for character in line:
        if character == "'":
            quoted = not quoted
        elif quoted:
            current += character
        elif character in CHARACTERS or (character == "=" and not words):
            return None
        elif character in " \t":
            words, current = ([*words, current] if current else words), ""
        else:
            current += character
    words += [current] if current else []
    return None if quoted or (words and words[0] in BUILTINS) else words
