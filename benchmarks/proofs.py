"""How long does each answer's proof take? All of them, one after the other.

`make prove Q=...` is meant to be typed while somebody waits: one that takes longer than LIMIT ends
this with 1, as does one that is not proven.
"""

import sys

from docs import book
from docs.pages import PROOFS, demonstrated
from pipeline.__main__ import run_command
from pipeline.shared.files import write_json

FOUND = PROOFS
LIMIT = 60
"""Seconds, on two cores."""


def main() -> int:
    """Prove every demonstrated answer, and write how long each took and by how many tests."""
    found, missed = {}, []
    for page in demonstrated():
        proof = book.prove(page)
        found[page.slug] = {"seconds": round(proof.seconds), "tests": proof.ran}
        print(book.verdict(page, proof), flush=True)
        if not proof.proven or proof.seconds > LIMIT:
            missed.append(page.slug)
    longest = max(found, key=lambda slug: found[slug]["seconds"])
    total = sum(one["seconds"] for one in found.values())
    took = f"{total:.0f} s, the longest {longest} with {found[longest]['seconds']:.0f} s"
    if missed:
        print(f"proofs: {', '.join(missed)}: not proven, or longer than {LIMIT} s; {took}")
        return 1
    write_json(FOUND, {"limit_seconds": LIMIT, "proofs": found})
    print(f"proofs: {len(found)} answers proven in {took}")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
