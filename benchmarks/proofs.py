"""How long does each answer's proof take? All of them, one after the other.

`make prove Q=...` is meant to be typed while somebody waits: one that takes longer than LIMIT ends
this with 1, as does one that is not proven, and neither is in the record. With names of answers,
only these are proven anew: `python -m benchmarks.proofs skew release`.
"""

import sys

from docs import proof
from docs.pages import PROOFS, demonstrated
from pipeline.__main__ import run_command
from pipeline.shared.files import read_json, write_json

FOUND = PROOFS
LIMIT = 60
"""Seconds, on two cores."""


def main(names: list[str] | None = None) -> int:
    """Prove the demonstrated answers, and write how long each took and by how many tests."""
    names = sys.argv[1:] if names is None else names
    pages = [page for page in demonstrated() if not names or page.slug in names]
    if unknown := set(names) - {page.slug for page in pages}:
        told = f"proofs: no demonstrated answers: {sorted(unknown)}; `make questions` lists all"
        print(told, file=sys.stderr)
        return 2
    kept = read_json(FOUND, "measure M=proofs")["proofs"] if names else {}
    found, missed = {}, []
    for page in pages:
        ended = proof.prove(page)
        found[page.slug] = {"seconds": round(ended.seconds), "tests": ended.ran}
        if ended.figures:
            found[page.slug]["figures"] = dict(ended.figures)
        print(proof.verdict(page, ended), flush=True)
        if not ended.proven or ended.seconds > LIMIT:
            missed.append(page.slug)
    longest = max(found, key=lambda slug: found[slug]["seconds"])
    total = sum(one["seconds"] for one in found.values())
    took = f"{total:.0f} s, the longest {longest} with {found[longest]['seconds']:.0f} s"
    renewed = {slug: one for slug, one in (kept | found).items() if slug not in missed}
    write_json(FOUND, {"limit_seconds": LIMIT, "proofs": dict(sorted(renewed.items()))})
    if missed:
        print(f"proofs: {', '.join(missed)}: not proven, or longer than {LIMIT} s; {took}")
        return 1
    print(f"proofs: {len(found)} answers proven in {took}")
    return 0


if __name__ == "__main__":
    sys.exit(run_command(main))
