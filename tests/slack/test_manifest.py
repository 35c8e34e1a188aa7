"""The manifest from which an app of Slack is created: what doctor slack looks for, and what a card needs."""

from __future__ import annotations

import json
from importlib.resources import files
from typing import Any

from pendingctl.demo.web_api import METHODS, needed_scope
from pendingctl.demo.workspaces import SCOPES
from pendingctl.diagnosis.slack import HISTORY_SCOPES, NEEDED_SCOPES

MANIFEST: dict[str, Any] = json.loads(
    files("pendingctl.platforms.slack").joinpath("manifest.json").read_text(encoding="utf-8")
)


def test_the_manifest_names_each_scope_that_is_needed_and_no_other() -> None:
    scopes = MANIFEST["oauth_config"]["scopes"]

    needed = {needed_scope(method, kind) for method in METHODS for kind in "CDG"} - {None}
    assert list(scopes) == ["bot"]
    assert len(scopes["bot"]) == len(set(scopes["bot"]))
    assert set(scopes["bot"]) == {*NEEDED_SCOPES, *HISTORY_SCOPES} == SCOPES == needed


def test_presses_are_sent_to_a_url_and_tokens_do_not_expire() -> None:
    settings = MANIFEST["settings"]

    assert settings["interactivity"] == {"is_enabled": True, "request_url": "https://YOUR-HOST/slack"}
    # Over Socket Mode no press would be sent to the URL, and a token that rotates is dead after 12 h.
    assert (settings["socket_mode_enabled"], settings["token_rotation_enabled"]) == (False, False)


def test_people_can_be_written_to_in_direct_messages() -> None:
    # Else chat.postMessage is answered `messages_tab_disabled` there.
    assert MANIFEST["features"]["app_home"]["messages_tab_enabled"] is True
