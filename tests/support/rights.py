"""Rights where no accounts are kept: callers are what they say of themselves, owners are in no group."""

from __future__ import annotations

from config.rights import AccountRights

RIGHTS = AccountRights(lambda name, actor: None, ())
