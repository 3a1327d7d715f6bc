"""One instance per data folder, whichever way the first one ends."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from namecoin_launcher.lock import Lock

LAUNCHER = Path(__file__).parents[2] / "launcher"
HOLD = f"""
import sys
from pathlib import Path
sys.path.insert(0, {str(LAUNCHER)!r})
from namecoin_launcher.lock import Lock
lock = Lock.take(Path(sys.argv[1]))
print(lock is not None, flush=True)
sys.stdin.read()
"""


def test_a_second_process_does_not_get_it_until_the_first_is_killed(tmp_path: Path) -> None:
    file = tmp_path / "lock"

    def holder() -> subprocess.Popen[str]:
        return subprocess.Popen(
            [sys.executable, "-c", HOLD, str(file)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    with holder() as first:
        assert first.stdout is not None and first.stdout.readline() == "True\n"
        with holder() as second:
            assert second.communicate()[0] == "False\n"
        assert Lock.take(file) is None
        first.kill()
    lock = Lock.take(file)
    assert lock is not None
    with holder() as third:
        assert third.communicate()[0] == "False\n"
    lock.release()
    with holder() as fourth:
        assert fourth.communicate()[0] == "True\n"


def test_a_folder_that_is_not_there_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        Lock.take(tmp_path / "nowhere" / "lock")
