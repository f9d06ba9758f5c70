"""Phone numbers, postal addresses and parties on the command line."""

from tests.commands import run_command

POST = "Claire Dupont | 12 rue de la Paix | Paris | 75002 | FR"


async def test_a_number_is_suppressed_checked_explained_and_erased(settings):
    done = await run_command(settings, "suppress", "--channel", "phone", "--region", "fr", "06 12 34 56 78")
    assert done.err == "1 added, 0 on the list already\n"
    checked = await run_command(settings, "check", "--channel", "phone", "+33612345678", "0612345678", "+33612345679")
    assert [line.split()[:2] for line in checked.out.splitlines()] == [
        ["suppress", "unsubscribe"],
        ["invalid", "invalid_address"],
        ["deliver", "-"],
    ]
    explained = await run_command(settings, "explain", "--channel", "phone", "--region", "FR", "0612345678")
    assert explained.out.startswith("suppress (unsubscribe)\nentry ")
    assert (await run_command(settings, "erase", "--channel", "phone", "+33612345678")).code == 0
    assert "erased" in (await run_command(settings, "check", "--channel", "phone", "+33612345678")).out


async def test_a_postal_address_is_one_line(settings):
    done = await run_command(settings, "suppress", "--channel", "post", "--reason", "objection", stdin=POST.encode())
    assert done.err == "1 added, 0 on the list already\n"
    checked = await run_command(settings, "check", "--channel", "post", POST.upper(), "Claire Dupont, Paris")
    assert [line.split()[1] for line in checked.out.splitlines()] == ["objection", "invalid_address"]


async def test_a_party_is_asked_about_by_name(settings):
    added = await run_command(
        settings, "parties", "add", "broker", "--kind", "third_party", "--title", "B", "--address", "1 High Street"
    )
    assert added.code == 0, added.err
    ask = ("--purpose", "sharing", "--party", "broker", "ann@example.com")
    assert (await run_command(settings, "check", *ask)).out.split()[:2] == ["suppress", "no_basis"]
    explained = await run_command(settings, "explain", *ask)
    assert "a grant in sharing/third-party or sharing/broker" in explained.out


async def test_what_does_not_fit_is_said_and_nothing_is_written(settings):
    for arguments, why in (
        (["--channel", "fax", "1"], "--channel is one of: email, phone, post"),
        (["--channel", "email", "--region", "FR", "ann@example.com"], "for the channel 'phone' only"),
        (["--channel", "phone", "+33612345678", "0612345678"], "address 2: it has no + and country code"),
        (["--scope", "sharing", "ann@example.com"], "its reason is 'no_sharing'"),
    ):
        done = await run_command(settings, "suppress", *arguments)
        assert (done.code, why in done.err) == (1, True), done.err
    assert "deliver" in (await run_command(settings, "check", "--channel", "phone", "+33612345678")).out
