"""The sample of a proxy in the documentation: every page is reached through it, and no path with a token is logged."""

import re

from tests.documentation import read_section

INSIDE = {"/livez", "/readyz", "/docs", "/openapi.json"}
WITH_TOKENS = ("/u/", "/p/", "/c/")


def read_locations() -> dict[str, str]:
    """What each location of the sample does, by a pattern of the paths it is for."""
    found = re.findall(r"location (~ )?(\S+) \{(.*?)\}", read_section("docs/operating.md", "Behind a proxy"), re.DOTALL)
    return {path if is_pattern else f"^{re.escape(path)}": does for is_pattern, path, does in found}


async def test_every_path_passes_and_none_with_a_token_is_logged(client):
    locations = read_locations()
    paths = {re.sub(r"\{[^}]*\}", "x", resource.canonical) for resource in client.app.router.resources()} - INSIDE
    assert paths >= {prefix + "x" for prefix in WITH_TOKENS}
    for path in sorted(paths):
        done_by = [does for pattern, does in locations.items() if re.search(pattern, path)]
        assert len(done_by) == 1, path
        assert "proxy_pass" in done_by[0], path
        assert "access_log off" in done_by[0] or not path.startswith(WITH_TOKENS), path
        assert ("deny all" in done_by[0]) is path.startswith("/v1/"), path
    assert not any(re.search(pattern, path) for pattern in locations for path in INSIDE)
