"""Airflow's logins at an OpenID provider; the settings of Flask-AppBuilder, which reads this file.

The environment has the chart's ``auth.oidc`` as ``OIDC_SETTINGS`` and the client's secret as ``OIDC_CLIENT_SECRET``.
"""

import json
import logging
import os
from typing import Any

from airflow.providers.fab.auth_manager.security_manager.override import FabAirflowSecurityManagerOverride
from flask_appbuilder.const import AUTH_OAUTH as AUTH_TYPE  # noqa: F401

log = logging.getLogger(__name__)
oidc = json.loads(os.environ["OIDC_SETTINGS"])
no_group = ""
"""The key of the role of who is in no group that has one."""


class SecurityManager(FabAirflowSecurityManagerOverride):
    """Believes the ID token alone: Authlib has checked its signature, audience, nonce and times."""

    def get_oauth_user_info(self, provider: str, resp: dict[str, Any]) -> dict[str, Any]:
        """The user of a token response as Flask-AppBuilder names its fields; empty, which it refuses, for nobody."""
        claims = resp.get("userinfo") if "id_token" in resp else None
        if not claims:
            log.error("The provider's answer has no ID token")
            return {}
        if claims["iss"] != oidc["issuer"]:
            log.error("The ID token is of the issuer %s, not of %s", claims["iss"], oidc["issuer"])
            return {}
        name = claims.get(oidc["usernameClaim"])
        if not name or not isinstance(name, str):
            log.error("The ID token has no claim %s with a name", oidc["usernameClaim"])
            return {}
        groups = claims.get(oidc["groupsClaim"]) or []
        keys = [group for group in ([groups] if isinstance(groups, str) else groups) if group in oidc["roles"]]
        if not keys and not oidc["defaultRole"]:
            log.error("%s is in no group with a role", name)
            return {}
        return {
            "username": name,
            "first_name": claims.get("given_name", ""),
            "last_name": claims.get("family_name", ""),
            "email": claims.get("email", ""),
            "role_keys": keys or [no_group],
        }


SECURITY_MANAGER_CLASS = SecurityManager
OAUTH_PROVIDERS = [
    {
        "name": "oidc",
        "icon": "fa-key",
        "token_key": "access_token",
        "remote_app": {
            "client_id": oidc["clientId"],
            "client_secret": os.environ["OIDC_CLIENT_SECRET"],
            "server_metadata_url": f"{oidc['issuer'].rstrip('/')}/.well-known/openid-configuration",
            "client_kwargs": {"scope": " ".join(oidc["scopes"]), "code_challenge_method": "S256"},
        },
    }
]
AUTH_ROLES_MAPPING = {group: [role] for group, role in {no_group: oidc["defaultRole"], **oidc["roles"]}.items() if role}
AUTH_ROLES_SYNC_AT_LOGIN = True
AUTH_USER_REGISTRATION = True
# Everybody has it besides, so it is that of who has not logged in, which may do nothing.
AUTH_USER_REGISTRATION_ROLE = "Public"
