"""What Python programs do to files: pathlib, shutil, tempfile, in threads and a child; and a database of sqlite3."""

from __future__ import annotations

import shutil
import sqlite3
import subprocess
import sys
import tempfile
import threading
from pathlib import Path


def use_files(top: Path) -> None:
    (top / "deep" / "er").mkdir(parents=True)
    for number in range(20):
        (top / "deep" / f"file {number}").write_text("x" * number * 100)
    shutil.copytree(top / "deep", top / "copy")
    shutil.move(top / "copy", top / "moved")
    assert sum(1 for _ in top.rglob("file *")) == 40
    shutil.rmtree(top / "moved")


def use_temporary_files() -> None:
    with tempfile.TemporaryFile(dir=".") as nameless, tempfile.NamedTemporaryFile(dir=".") as named:
        nameless.write(b"x" * 10000)
        named.write(b"y")


def use_database(path: Path) -> None:
    with sqlite3.connect(path) as database:
        database.execute("create table calls (name text, ret integer)")
        database.executemany("insert into calls values (?, ?)", [(f"call {n}", n) for n in range(500)])
    database.execute("update calls set ret = 0")
    database.rollback()
    assert database.execute("select count(*), sum(ret) from calls").fetchone() == (500, 124750)
    database.execute("pragma journal_mode = wal")
    database.execute("delete from calls where ret > 100")
    database.commit()
    database.execute("vacuum")
    database.close()


def main() -> None:
    threads = [threading.Thread(target=use_files, args=(Path(f"tree-{n}").absolute(),)) for n in range(3)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    use_temporary_files()
    use_database(Path("calls.db"))
    subprocess.run([sys.executable, "-S", "-E", "-c", "open('from-child', 'w').write('x')"], check=True, close_fds=True)


if __name__ == "__main__":
    main()
