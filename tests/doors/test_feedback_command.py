"""`forbear feedback classify`: one object for each mail, wherever it is kept."""

import json

from tests.commands import run_command
from tests.processes import ROOT

SAMPLES = ROOT / "tests" / "samples" / "feedback"
HARD, VACATION = SAMPLES / "ds08_a_forwarded_mailbox.eml", SAMPLES / "vacation.eml"


async def classify(settings, *arguments, stdin=b""):
    done = await run_command(settings, "feedback", "classify", *arguments, "--json", stdin=stdin)
    assert (done.code, done.err) == (0, "")
    return [json.loads(line) for line in done.out.splitlines()]


async def test_each_file_comes_to_one_object(settings):
    bounce, other = await classify(settings, HARD, VACATION)
    expected = json.loads(HARD.with_suffix(".json").read_text())
    assert bounce == {"file": str(HARD), **expected}
    assert (other["file"], other["effect"]) == (str(VACATION), "none")


async def test_a_maildir_and_an_mbox_and_stdin_hold_mails(settings, tmp_path):
    for name in ("cur", "new", "tmp"):
        (tmp_path / name).mkdir()
    (tmp_path / "cur" / "1.host:2,S").write_bytes(HARD.read_bytes())
    (tmp_path / "new" / "2.host").write_bytes(VACATION.read_bytes())
    (tmp_path / "tmp" / "3.host").write_bytes(b"half")
    mbox = tmp_path / "box"
    mails = [b"From MAILER-DAEMON Sun Mar  1 10:00:00 2026\n" + path.read_bytes() for path in (HARD, VACATION)]
    mbox.write_bytes(b"\n".join(mails))
    found = await classify(settings, tmp_path / "cur" / "..", mbox, "-", stdin=HARD.read_bytes())
    assert [each["effect"] for each in found] == ["hard_bounce", "none"] * 2 + ["hard_bounce"]
    assert [each["file"] for each in found[2:]] == [f"{mbox}#1", f"{mbox}#2", "-"]


async def test_without_json_a_line_says_it(settings):
    done = await run_command(settings, "feedback", "classify", HARD)
    assert done.out == f"{HARD}: bounce, hard_bounce (camille@example.org): userunknown\n"


async def test_a_file_that_is_not_there_is_bad_input(settings, tmp_path):
    done = await run_command(settings, "feedback", "classify", tmp_path / "none.eml")
    assert (done.code, done.out) == (1, "")
    assert "No such file" in done.err
