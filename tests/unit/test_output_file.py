"""Output files: whole or not there, private, and never in the place of another one."""

import errno
import os
import re
import resource
import stat
from pathlib import Path

import pytest

from tracer import temporary
from tracer.errors import OutputError
from tracer.sinks import output_file
from tracer.sinks.output_file import OutputFile, open_error, write_error


def names(folder):
    return sorted(os.listdir(folder))


def complete(path, content=b"new", **options):
    file = OutputFile(path, **options)
    file.stream.write(content)
    return file.commit()


def refuse(*_):
    raise PermissionError(errno.EPERM, "Not permitted")


class TestCommit:
    def test_is_locked_until_it_has_its_name(self, tmp_path, monkeypatch):
        link, locked = os.link, []

        def looked_at(hidden, path):
            locked.append(temporary.is_in_use(hidden))
            link(hidden, path)

        monkeypatch.setattr(os, "link", looked_at)
        complete(tmp_path / "a")
        assert locked == [True]
        assert not temporary.is_in_use(tmp_path / "a")

    def test_appears_only_then(self, tmp_path):
        path = tmp_path / "a"
        file = OutputFile(path)
        file.stream.write(b"new")
        (hidden,) = names(tmp_path)
        assert hidden.startswith(".a.")
        assert hidden.endswith(".tmp")
        assert file.commit() == 3
        assert names(tmp_path) == ["a"]
        assert path.read_bytes() == b"new"

    @pytest.mark.parametrize("umask", [0, 0o777])
    def test_is_private_whatever_the_umask(self, umask, tmp_path):
        old = os.umask(umask)
        try:
            complete(tmp_path / "a")
        finally:
            os.umask(old)
        assert stat.S_IMODE((tmp_path / "a").stat().st_mode) == 0o600

    def test_on_a_file_system_without_modes(self, tmp_path, monkeypatch):
        monkeypatch.setattr(os, "fchmod", refuse)
        complete(tmp_path / "a")
        assert names(tmp_path) == ["a"]

    def test_abort_leaves_nothing(self, tmp_path):
        file = OutputFile(tmp_path / "a")
        file.stream.write(b"new")
        file.abort()
        file.abort()
        assert names(tmp_path) == []

    def test_abort_after_it_changes_nothing(self, tmp_path):
        file = OutputFile(tmp_path / "a")
        file.commit()
        file.abort()
        assert names(tmp_path) == ["a"]

    @pytest.mark.parametrize("name", ["x" * 255, "\u20ac" * 85, "\udcff" * 255, "-", " ", "a\nb"])
    def test_every_name_that_the_file_system_takes(self, name, tmp_path):
        complete(tmp_path / name)
        assert names(tmp_path) == [name]

    def test_without_hard_links(self, tmp_path, monkeypatch):
        def link(*_):
            raise PermissionError(errno.EPERM, "no hard links here")

        monkeypatch.setattr(os, "link", link)
        complete(tmp_path / "a")
        assert (tmp_path / "a").read_bytes() == b"new"
        assert names(tmp_path) == ["a"]


class TestExisting:
    def test_is_refused_at_once(self, tmp_path):
        (tmp_path / "a").write_text("old")
        with pytest.raises(OutputError, match="a exists"):
            OutputFile(tmp_path / "a")
        assert names(tmp_path) == ["a"]

    def test_dangling_link_is_refused(self, tmp_path):
        (tmp_path / "a").symlink_to("nowhere")
        with pytest.raises(OutputError, match="a exists"):
            OutputFile(tmp_path / "a")

    def test_force_replaces(self, tmp_path):
        (tmp_path / "a").write_text("old and longer")
        complete(tmp_path / "a", force=True)
        assert (tmp_path / "a").read_bytes() == b"new"

    def test_force_replaces_a_link_and_not_what_it_leads_to(self, tmp_path):
        (tmp_path / "other").write_text("old")
        (tmp_path / "a").symlink_to("other")
        complete(tmp_path / "a", force=True)
        assert (tmp_path / "other").read_text() == "old"
        assert not (tmp_path / "a").is_symlink()

    def test_one_that_appears_meanwhile_is_kept_and_so_is_ours(self, tmp_path):
        file = OutputFile(tmp_path / "a")
        file.stream.write(b"new")
        (tmp_path / "a").write_text("theirs")
        with pytest.raises(OutputError, match="a has appeared meanwhile") as caught:
            file.commit()
        file.abort()
        assert (tmp_path / "a").read_text() == "theirs"
        (ours,) = set(names(tmp_path)) - {"a"}
        assert (tmp_path / ours).read_bytes() == b"new"
        assert str(tmp_path / ours) in caught.value.hint

    @pytest.mark.parametrize("force", [True, False])
    @pytest.mark.parametrize("leads_to", ["other", "nowhere"])
    def test_a_link_under_the_temporary_name_is_not_followed(self, leads_to, force, tmp_path, monkeypatch):
        monkeypatch.setattr(temporary.secrets, "token_hex", lambda size: "0" * 2 * size)
        (tmp_path / "other").write_text("old")
        (tmp_path / f".a.{'0' * 16}.tmp").symlink_to(leads_to)
        with pytest.raises(OutputError, match="a can't be written"):
            OutputFile(tmp_path / "a", force=force)
        assert (tmp_path / "other").read_text() == "old"
        assert not (tmp_path / "nowhere").exists()

    def test_temporary_names_differ(self, tmp_path):
        files = [OutputFile(tmp_path / "a") for _ in range(20)]
        tokens = {re.fullmatch(r"\.a\.([0-9a-f]{16})\.tmp", name).group(1) for name in names(tmp_path)}
        assert len(tokens) == 20
        for file in files:
            file.abort()

    @pytest.mark.parametrize("force", [True, False])
    def test_folder(self, force, tmp_path):
        with pytest.raises(OutputError, match="is a folder"):
            OutputFile(tmp_path, force=force)

    def test_device(self):
        with pytest.raises(OutputError, match="/dev/null is not a file that could be replaced"):
            OutputFile(output_file.Path("/dev/null"), force=True)


class TestTemporaryName:
    def test_is_refused_as_a_name(self, tmp_path):
        with pytest.raises(OutputError, match="is what a recording is called that is being written"):
            OutputFile(tmp_path / ".a.parquet.0123456789abcdef.tmp")
        assert names(tmp_path) == []

    @pytest.mark.parametrize(
        ("name", "kept"),
        [
            ("a.parquet", "a.parquet"),
            ("x" * 230 + ".parquet", "x" * 192 + ".parquet"),
            ("a" + "\u00e9" * 110 + ".parquet", "a" + "\u00e9" * 95 + ".parquet"),
            ("x" * 200, "x" * 200),
            ("\udcff" * 240, "\udcff" * 200),
            ("a" + "\udc80" * 240 + ".parquet", "a" + "\udc80" * 191 + ".parquet"),
            ("a" + "\u20ac" * 75 + ".parquet", "a" + "\u20ac" * 63 + ".parquet"),
            ("." + "x" * 250, "." + "x" * 199),
            ("a." + "x" * 250, "a." + "x" * 198),
        ],
    )
    def test_of_a_long_one_keeps_whole_characters_and_the_suffix(self, name, kept):
        assert temporary.wished_name(temporary.temporary_name(name)) == kept

    @pytest.mark.parametrize("name", [".", ".."])
    def test_of_what_is_no_name_is_no_temporary_one(self, name):
        assert temporary.leftover(Path(f".{name}.0123456789abcdef.tmp")) is None


class TestOwner:
    """As root only: another user can't give files away."""

    @pytest.fixture
    def given(self, monkeypatch):
        seen = []
        monkeypatch.setattr(os, "geteuid", lambda: 0)
        monkeypatch.setattr(os, "fchown", lambda fd, uid, gid: seen.append((uid, gid)))
        return seen

    def test_is_who_called_sudo(self, given, tmp_path, monkeypatch):
        monkeypatch.setenv("SUDO_UID", "1000")
        monkeypatch.setenv("SUDO_GID", "1001")
        complete(tmp_path / "a")
        assert given == [(1000, 1001)]

    @pytest.mark.parametrize("uid", ["", "root", "-1", "1;2", "4294967295", "9" * 30, "9" * 5000, None])
    def test_stays_if_there_is_no_such_user(self, uid, given, tmp_path, monkeypatch):
        monkeypatch.delenv("SUDO_UID", raising=False)
        if uid is not None:
            monkeypatch.setenv("SUDO_UID", uid)
        monkeypatch.setenv("SUDO_GID", "1001")
        complete(tmp_path / "a")
        assert given == []

    def test_that_cannot_be_given_leaves_nothing(self, given, tmp_path, monkeypatch):
        monkeypatch.setattr(os, "fchown", refuse)
        monkeypatch.setenv("SUDO_UID", "1000")
        monkeypatch.setenv("SUDO_GID", "1001")
        with pytest.raises(OutputError, match="Not permitted"):
            OutputFile(tmp_path / "a")
        assert names(tmp_path) == []


class TestFailure:
    def test_missing_folder(self, tmp_path):
        with pytest.raises(OutputError, match="the folder .*/no/where does not exist") as caught:
            OutputFile(tmp_path / "no" / "where" / "a")
        assert caught.value.hint == f"mkdir -p {tmp_path}/no/where"
        assert names(tmp_path) == []

    def test_missing_folder_with_dots_behind_it(self, tmp_path):
        with pytest.raises(OutputError, match="does not exist") as caught:
            OutputFile(tmp_path / "no" / ".." / "a")
        assert caught.value.hint == "give the place without '..'"

    @pytest.mark.parametrize("name", ["x" * 256, "y" * 5000, "f/a"])
    def test_impossible_name(self, name, tmp_path):
        (tmp_path / "f").touch()
        with pytest.raises(OutputError):
            OutputFile(tmp_path / name)
        assert names(tmp_path) == ["f"]

    def test_write_that_takes_only_a_part_is_an_error(self, tmp_path):
        """A limit in the middle of a write: the kernel takes what fits and says how much that was."""
        file = OutputFile(tmp_path / "a")
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, hard))
        try:
            with pytest.raises(OSError, match="File too large"):
                file.stream.write(bytes(150_000))
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
            file.abort()
        assert names(tmp_path) == []

    def test_full_disk_at_the_last_moment(self, tmp_path, monkeypatch):
        def fsync(_):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))

        monkeypatch.setattr(os, "fsync", fsync)
        file = OutputFile(tmp_path / "a")
        with pytest.raises(OutputError, match="a failed: No space left on device"):
            file.commit()
        file.abort()
        assert names(tmp_path) == []

    def test_messages(self, tmp_path):
        path = tmp_path / "a"
        assert str(open_error(path, OSError(errno.EROFS, "Read-only"))) == f"{path} can't be written: Read-only"
        assert write_error(path, OSError(errno.ENOSPC, "No space")).hint == "make room, or give another place with -o"
        assert write_error(path, OSError(errno.EIO, "I/O error")).hint is None
        assert open_error(path, OSError(errno.EACCES, "Denied")).exit_code == 2
