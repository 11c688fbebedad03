"""A job on BrainScaleS-2: the commands of ``notebook.md``, one after the other, without a notebook.

To be handed to the queue of EBRAINS (NMPI), from a Collab with a quota, as::

    nmpi.Client().submit_job(
        source=..., platform=nmpi.BRAINSCALES2, collab_id=..., wait=True,
        config={"SOFTWARE_VERSION": "stable"}, command="run.py ebrains-stable",
    )

(or "experimental" and "run.py ebrains-experimental": a file is for the release that reads it),
where ``source`` is a repository with this file, ``on-chip.toml`` and hxloop, installed or as it
lies in its own. **No such job has been run yet.**
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

CALIBRATION, RELEASE = "spiking2_cocolist.pbin", "ebrains-stable"
SETTINGS = "on-chip.toml"
OF_FILE = f"--set calibration_file={CALIBRATION}"
# What to do, and whether it is without a chip.
STEPS = (
    (f"doctor --connect --calibration {CALIBRATION}", False),
    (f"check-backend pynn-brainscales2 --prepare-only {OF_FILE}", True),
    ("check-link pynn-brainscales2", False),
    (f"fit-scales pynn-brainscales2 --out scales.json {OF_FILE}", False),
    (f"train {SETTINGS} --out on-chip", False),
    ("evaluate on-chip", False),
)
# Says where the files of the chip that the job was given are; a process of its own, as it connects.
FIND = (
    "import pynn_brainscales.brainscales2 as pynn\n"
    "print(pynn.helper.nightly_calib_path().parent.parent)"
)


def fetch_calibration(release: str) -> None:
    """Copy last night's calibration of this chip here, unless it is here.

    Args:
        release: folder of the software that reads it.

    Raises:
        SystemExit: says what is missing.
    """
    if Path(CALIBRATION).is_file():
        return
    asked = subprocess.run([sys.executable, "-c", FIND], capture_output=True, text=True)
    lines = asked.stdout.splitlines()
    if asked.returncode or not lines:
        why = (asked.stderr.splitlines() or ["it does not say where"])[-1]
    else:
        found = Path(lines[-1]) / release / CALIBRATION
        if found.is_file():
            shutil.copy(found, CALIBRATION)
            return
        why = f"there is no {found}"
    raise SystemExit(
        f"run.py: no calibration of this chip ({why}). Put its {CALIBRATION}, of the release of "
        f"the software that reads it, into {Path.cwd()}"
    )


def main() -> None:
    """Do all steps; the first after the doctor that fails is the last.

    Raises:
        SystemExit: says which failed.
    """
    here = Path(__file__).resolve().parent
    if not Path(SETTINGS).is_file():
        shutil.copy(here / SETTINGS, SETTINGS)
    fetch_calibration(sys.argv[1] if len(sys.argv) > 1 else RELEASE)
    # Where hxloop is not installed, it is that of the repository that this file is in.
    path = os.pathsep.join([os.environ.get("PYTHONPATH", ""), str(here.parents[2])])
    for number, (words, alone) in enumerate(STEPS):
        sys.stdout.write(f"\n--- hxloop {words}\n")
        sys.stdout.flush()
        environment = {**os.environ, "PYTHONPATH": path.strip(os.pathsep)}
        if alone:
            environment["HXCOMM_ENABLE_ZERO_MOCK"] = "1"
        command = [sys.executable, "-m", "hxloop", *words.split()]
        status = subprocess.run(command, env=environment).returncode
        # What the doctor calls a problem need not be one for what follows.
        if status and number:
            raise SystemExit(
                f"run.py: step {number + 1} of {len(STEPS)} failed ({status}): hxloop {words}. "
                "What it said stands above; the steps after it need it"
            )


if __name__ == "__main__":
    main()
