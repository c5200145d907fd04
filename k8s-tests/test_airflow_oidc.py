"""Airflow's logins at an OpenID provider: what the chart renders, and a real Airflow that runs with it.

Both are on loopback; no cluster is needed.
"""

import base64
import os
import re
import secrets
import shutil
import ssl
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
import yaml
from joserfc.jwk import RSAKey

from clients.retry import until
from contracts.dag import DAG_ID
from deploy.helm import UMBRELLA, Helm, arguments
from local import airflow
from local.ports import HOST, free
from local.site import ROOT
from support.openid import Claims, Provider, Spoil, TokenResponse, browser, provider
from support.rendering import STANDALONE, of, render, templates
from tests.support.running import kill_group, ok, run

ADDRESS = "https://airflow.example.com"
"""Airflow's, as a browser has it: an ingress is before it."""
CALLBACK = f"{ADDRESS}/auth/oauth-authorized/oidc"
PEOPLE = {
    "ada": ["/everybody", "/admins"],
    "ulla": ["/analysts"],
    "vera": ["/readers"],
    "nobody": ["/everybody"],
    "moved": ["/admins"],
    "gone": ["/admins"],
}
ROLES = {"/admins": "Admin", "/analysts": "User", "/readers": "Viewer"}
OUT = {"global.networkPolicies.egress.restricted": False}
COMPLETE = {
    "airflow.auth.oidc.enabled": True,
    "airflow.auth.oidc.issuer": "https://sso.example.com/realms/shop",
    "airflow.auth.oidc.clientId": "airflow",
    "airflow.auth.oidc.existingSecret": "airflow-oidc-client",
    "airflow.auth.oidc.caSecret": "sso-ca",
    "airflow.auth.oidc.roles": ROLES,
    **OUT,
}
REFUSED: dict[str, tuple[dict[str, object], str]] = {
    "no issuer": ({"issuer": ""}, r"set auth\.oidc\.issuer of the chart airflow"),
    "no client": ({"clientId": ""}, r"set auth\.oidc\.clientId of the chart airflow"),
    "no secret": ({"existingSecret": ""}, r"set auth\.oidc\.existingSecret of the chart airflow"),
    "no roles": ({"roles": {}}, r"set auth\.oidc\.roles of the chart airflow"),
    "plain HTTP": ({"issuer": "http://sso.example.com"}, r"is http://sso\.example\.com: it must begin with https://"),
    "no ID token": ({"scopes": ["profile"]}, "without openid there is no ID token"),
    "unknown role": ({"roles": {"/admins": "admin"}}, "/auth/oidc/roles"),
    "unknown default": ({"defaultRole": "Public"}, "/auth/oidc/defaultRole"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_a_login_that_cannot_be_is_an_error_that_names_its_value(charts: Path, name: str) -> None:
    changes, sentence = REFUSED[name]
    given = COMPLETE | {f"airflow.auth.oidc.{key}": value for key, value in changes.items()}
    done = Helm().run("template", "lambda", str(UMBRELLA), *arguments((STANDALONE,), given))
    assert done.returncode
    assert re.search(sentence, done.stderr), done.stderr


def test_users_with_passwords_are_refused_beside_it(charts: Path) -> None:
    given = COMPLETE | {"airflow.users": {"ann": "viewer"}}
    done = Helm().run("template", "lambda", str(UMBRELLA), *arguments((STANDALONE,), given))
    assert "users of the chart airflow have passwords" in done.stderr


def test_the_issuer_needs_a_way_out(charts: Path) -> None:
    given = COMPLETE | {"global.networkPolicies.egress.restricted": True}
    done = Helm().run("template", "lambda", str(UMBRELLA), *arguments((STANDALONE,), given))
    assert f"airflow.auth.oidc.issuer is {COMPLETE['airflow.auth.oidc.issuer']}, and pods may reach" in done.stderr


def test_no_value_holds_a_secret_and_no_password_is_left(charts: Path) -> None:
    """Only the API server is told of the provider, the client's secret comes from the Secret."""
    manifests = render((STANDALONE,), **COMPLETE)
    assert "lambda-airflow-login" not in of(manifests, "Secret")
    told = {
        pod["metadata"]["labels"]["app.kubernetes.io/name"]: container
        for manifest in manifests
        for pod in templates(manifest)
        for container in pod["spec"]["containers"]
        if any(item["name"] == "AIRFLOW__CORE__AUTH_MANAGER" for item in container.get("env", []))
    }
    assert set(told) == {f"airflow-{it}" for it in ("api-server", "scheduler", "dag-processor", "triggerer", "migrate")}
    reference = {"secretKeyRef": {"name": "airflow-oidc-client", "key": "client-secret"}}
    for component, container in told.items():
        secret = [item["valueFrom"] for item in container["env"] if item["name"] == "OIDC_CLIENT_SECRET"]
        assert secret == ([reference] if component == "airflow-api-server" else []), component
        assert "SIMPLE_AUTH" not in str(container["env"])


def test_cookies_are_for_tls_where_the_ingress_has_it(charts: Path) -> None:
    secure = {
        secret: settings(render((STANDALONE,), **COMPLETE, **{"global.ingress.tlsSecret": secret}))
        for secret in ("", "mine")
    }
    assert {secret: it["AIRFLOW__FAB__COOKIE_SECURE"] for secret, it in secure.items()} == {"": "False", "mine": "True"}


def test_the_provider_is_checked_with_the_ca_of_the_secret(charts: Path) -> None:
    def file(ca: str) -> tuple[str | None, list[Any]]:
        """What the server is told, and what Secrets are there to be read."""
        manifests = render((STANDALONE,), **(COMPLETE | {"airflow.auth.oidc.caSecret": ca}))
        pod = of(manifests, "Deployment")["lambda-airflow-api-server"]["spec"]["template"]["spec"]
        places = {mount["name"]: mount["mountPath"] for mount in pod["containers"][0]["volumeMounts"]}
        secrets = [
            (volume["secret"]["secretName"], f"{places[volume['name']]}/{item['path']}")
            for volume in pod["volumes"]
            if volume["name"] == "oidc-ca"
            for item in volume["secret"]["items"]
        ]
        return settings(manifests).get("REQUESTS_CA_BUNDLE"), secrets

    assert file("") == (None, [])
    assert file("sso-ca") == ("/etc/oidc/ca.crt", [("sso-ca", "/etc/oidc/ca.crt")])


@pytest.mark.parametrize("enabled", [True, False])
def test_the_notes_say_where_people_log_in(charts: Path, tmp_path: Path, enabled: bool) -> None:
    """Helm renders its notes on a cluster alone; here another template has them."""
    chart = shutil.copytree(UMBRELLA, tmp_path / "chart")
    (chart / "templates" / "said.yaml").write_text(
        'notes: {{ include (print $.Template.BasePath "/NOTES.txt") . | quote }}\n'
    )
    flags = arguments((STANDALONE,), COMPLETE | {"airflow.auth.oidc.enabled": enabled})
    shown = Helm().call("template", "lambda", str(chart), *flags, "--show-only", "templates/said.yaml")
    (notes,) = [item["notes"] for item in yaml.safe_load_all(shown) if item]
    assert (f"at {COMPLETE['airflow.auth.oidc.issuer']}\nThe daily run:" in notes) == enabled
    assert ("get secret lambda-airflow-login" in notes) != enabled


def settings(manifests: list[dict[str, Any]]) -> dict[str, str]:
    """What the chart tells the API server of logins."""
    (container,) = of(manifests, "Deployment")["lambda-airflow-api-server"]["spec"]["template"]["spec"]["containers"]
    names = ("AIRFLOW__CORE__AUTH_MANAGER", "AIRFLOW__FAB__", "OIDC_SETTINGS", "REQUESTS_CA_BUNDLE")
    return {item["name"]: item["value"] for item in container["env"] if item["name"].startswith(names)}


@dataclass(frozen=True)
class Site:
    """An Airflow that runs, and the provider that it asks."""

    port: int
    home: Path
    provider: Provider
    variables: dict[str, str]

    def browser(self) -> httpx.Client:
        return browser(ADDRESS, self.port, self.home / "ca.pem")

    def callback(self, person: httpx.Client, name: str) -> str:
        """Where the provider sends the person back to, not yet followed."""
        form = person.get(f"{ADDRESS}/auth/login/oidc")
        assert str(form.url).startswith(f"{self.provider.issuer}/oauth2/authorize?"), form.url
        back = person.post(form.url, data={"sub": f"id-of-{name}"}, follow_redirects=False)
        return back.headers["location"]

    def login(self, name: str) -> httpx.Client:
        """A person's browser after the whole way through the login, whatever came of it."""
        person = self.browser()
        person.get(self.callback(person, name))
        return person


def is_in(person: httpx.Client) -> bool:
    """Whether Airflow knows who asks."""
    status = person.get(f"{ADDRESS}/api/v2/dags/{DAG_ID}").status_code
    assert status in (200, 401, 403)  # 403 has who was deleted meanwhile
    return status == 200


def write(person: httpx.Client) -> int:
    """The status of what an operator may do."""
    name = secrets.token_hex(8)
    return person.post(f"{ADDRESS}/api/v2/variables", json={"key": name, "value": "written"}).status_code


def trigger(person: httpx.Client) -> int:
    body = {"logical_date": None, "conf": {"date": "2026-11-01"}}
    return person.post(f"{ADDRESS}/api/v2/dags/{DAG_ID}/dagRuns", json=body).status_code


@contextmanager
def serving(site: Site) -> Iterator[Site]:
    """Airflow's API server, up."""
    log = site.home / f"api-server-{site.port}.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "airflow", "api-server", "--port", str(site.port)],
            env=site.variables,
            cwd=ROOT,
            stdout=out,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        until(lambda: answers(site, process), bool, seconds=600, pause=1, what=f"Airflow to answer; see {log}")
        yield site
    finally:
        kill_group(process)


def answers(site: Site, process: subprocess.Popen[bytes]) -> bool:
    assert process.poll() is None, "Airflow has ended"
    with suppress(httpx.TransportError):
        return httpx.get(f"http://{HOST}:{site.port}/api/v2/version", trust_env=False, timeout=60).is_success
    return False


@pytest.fixture(scope="module")
def openid(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, Provider]]:
    home = tmp_path_factory.mktemp("airflow")
    with provider(home, PEOPLE) as made:
        yield home, made


def environment_of(home: Path, made: Provider, **oidc: object) -> dict[str, str]:
    """The environment of an Airflow that has what the chart renders, and a client of its own at the provider."""
    registered = httpx.post(
        f"{made.issuer}/oauth2/clients",
        json={"redirect_uris": [CALLBACK], "scope": "openid profile email"},
        verify=ssl.create_default_context(cafile=str(home / "ca.pem")),
        trust_env=False,
    ).json()
    given = {"issuer": made.issuer, "clientId": registered["client_id"], **oidc}
    values = COMPLETE | {f"airflow.auth.oidc.{name}": value for name, value in given.items()}
    manifests = render((STANDALONE,), **values, **{"global.ingress.tlsSecret": "mine"})
    configuration = of(manifests, "ConfigMap")["lambda-airflow-oidc"]["data"]["webserver_config.py"]
    (home / "webserver_config.py").write_text(configuration)
    return {
        **os.environ,
        **airflow.environment(home),
        **settings(manifests),
        "OIDC_CLIENT_SECRET": registered["client_secret"],
        "REQUESTS_CA_BUNDLE": str(home / "ca.pem"),
    }


@pytest.fixture(scope="module")
def site(charts: Path, openid: tuple[Path, Provider]) -> Iterator[Site]:
    """With the DAG, and roles for three groups; who is in none of them is refused."""
    home, made = openid
    environment = environment_of(home, made)
    airflow.migrate(environment)
    ok(run("airflow", "dags", "reserialize", variables=environment, timeout=600))
    with serving(Site(free(1)[0], home, made, environment)) as up:
        yield up


def test_an_administrator_may_write(site: Site) -> None:
    ada = site.login("ada")
    assert is_in(ada)
    assert (write(ada), trigger(ada)) == (201, 200)


def test_a_user_may_run_dags_alone(site: Site) -> None:
    ulla = site.login("ulla")
    assert is_in(ulla)
    assert (write(ulla), trigger(ulla)) == (403, 200)


def test_a_viewer_may_write_nothing(site: Site) -> None:
    vera = site.login("vera")
    assert is_in(vera)
    assert (write(vera), trigger(vera)) == (403, 403)


def test_who_is_in_no_group_with_a_role_is_refused(site: Site) -> None:
    assert not is_in(site.login("nobody"))


def test_who_has_not_logged_in_is_refused(site: Site) -> None:
    assert not is_in(site.browser())


@pytest.mark.usefixtures("spoil")
def test_a_role_goes_with_the_group(site: Site) -> None:
    assert write(site.login("moved")) == 201
    site.provider.spoil = claiming(groups=["/readers"])
    person = site.login("moved")
    # Airflow remembers whom a token is of for half a minute ([fab] cache_ttl).
    until(lambda: write(person), (403).__eq__, seconds=60, pause=3, what="the role to be gone")
    assert trigger(person) == 403


def test_who_is_deleted_is_out(site: Site) -> None:
    person, ada = site.login("gone"), site.login("ada")
    assert is_in(person)
    assert ada.delete(f"{ADDRESS}/auth/fab/v1/users/gone").status_code == 204
    until(lambda: is_in(person), (False).__eq__, seconds=60, pause=3, what="the session to end")


def test_the_browser_is_sent_back_to_the_ingress(site: Site) -> None:
    """Over TLS, whatever a browser says besides: the provider knows this one address."""
    with site.browser() as person:
        away = person.get(
            f"{ADDRESS}/auth/login/oidc",
            headers={"x-forwarded-host": "evil.example.com", "x-forwarded-prefix": "/evil"},
            follow_redirects=False,
        )
    asked = parse_qs(urlsplit(away.headers["location"]).query)
    assert asked["redirect_uri"] == [CALLBACK]
    assert asked["code_challenge_method"] == ["S256"]
    assert {"nonce", "state"} <= asked.keys()


def test_cookies_are_out_of_reach_of_scripts_and_of_other_sites(site: Site) -> None:
    person = site.browser()
    found: dict[str, str] = {}
    person.event_hooks["response"] = [
        lambda answer: found.update({it.split("=")[0]: it for it in answer.headers.get_list("set-cookie")})
    ]
    person.get(site.callback(person, "ada"))
    assert {"session", "_token"} <= found.keys()
    for name in ("session", "_token"):
        assert "; Secure" in found[name]
    assert "; HttpOnly" in found["session"]
    assert "; SameSite=Lax" in found["session"]


def test_a_forged_state_is_refused(site: Site) -> None:
    person = site.browser()
    back = httpx.URL(site.callback(person, "ada"))
    person.get(back.copy_set_param("state", "forged"))
    assert not is_in(person)


def test_a_callback_of_another_browser_is_refused(site: Site) -> None:
    """Else a person could be logged in as somebody else by a link."""
    back = site.callback(site.browser(), "ada")
    person = site.browser()
    person.get(f"{ADDRESS}/auth/login/")
    person.get(back)
    assert not is_in(person)


def claiming(**changes: object) -> Spoil:
    """A token response whose ID token, well signed, claims something else; None leaves a claim out."""

    def spoil(provider: Provider, token: TokenResponse, claims: Claims) -> TokenResponse:
        claimed = {name: value for name, value in (claims | changes).items() if value is not None}
        return token | {"id_token": provider.sign(claimed)}

    return spoil


def unsigned(provider: Provider, token: TokenResponse, claims: Claims) -> TokenResponse:
    _, body, _ = token["id_token"].split(".")
    none = base64.urlsafe_b64encode(b'{"alg":"none"}').rstrip(b"=").decode()
    return token | {"id_token": f"{none}.{body}."}


def without(provider: Provider, token: TokenResponse, claims: Claims) -> TokenResponse:
    """No ID token, but what Authlib would make of one."""
    return {name: value for name, value in token.items() if name != "id_token"} | {"userinfo": claims}


SPOILT: dict[str, Spoil] = {
    "another key": lambda provider, token, claims: (
        token | {"id_token": provider.sign(claims, RSAKey.generate_key(2048))}
    ),
    "no signature": unsigned,
    "no ID token": without,
    "another issuer": claiming(iss="https://evil.example.com"),
    "another audience": claiming(aud="another-client"),
    "another nonce": claiming(nonce="replayed"),
    "expired": claiming(exp=1),
    "no name": claiming(preferred_username=None),
    "no name but a list": claiming(preferred_username=["ada"]),
    "groups as letters": claiming(groups="/admins/readers"),
    "groups of no kind": claiming(groups=[{"/admins": 1}]),
}


@pytest.fixture
def spoil(site: Site) -> Iterator[None]:
    """The provider is honest again afterwards."""
    yield
    site.provider.spoil = None


@pytest.mark.usefixtures("spoil")
@pytest.mark.parametrize("name", SPOILT)
def test_what_the_provider_has_not_said_is_refused(site: Site, name: str) -> None:
    site.provider.spoil = claiming()
    assert is_in(site.login("ada")), "the same answer, signed anew"
    site.provider.spoil = SPOILT[name]
    assert not is_in(site.login("ada"))


def test_a_program_has_a_user_with_a_password(site: Site) -> None:
    """As docs/security.md says: made by the command line, it gets a token without a browser."""
    password = secrets.token_hex()  # the command takes one that begins with - for a flag
    about = ("--role", "User", "--username", "robot", "--email", "robot@example.com")
    names = ("--firstname", "Robot", "--lastname", "Shop")
    ok(run("airflow", "users", "create", *about, *names, "--password", password, variables=site.variables))
    program = site.browser()
    for given, status in (("wrong", 401), (password, 201)):
        answer = program.post(f"{ADDRESS}/auth/token", json={"username": "robot", "password": given})
        assert answer.status_code == status, answer.text
    program.headers["authorization"] = f"Bearer {answer.json()['access_token']}"
    assert (is_in(program), write(program), trigger(program)) == (True, 403, 200)


def test_who_came_by_the_provider_has_no_password(site: Site) -> None:
    assert is_in(site.login("ada"))
    for password in ("", "ada", "None"):
        answer = site.browser().post(f"{ADDRESS}/auth/token", json={"username": "ada", "password": password})
        assert answer.status_code in (400, 401), answer.text


def test_the_default_role_is_for_who_is_in_no_group_alone(site: Site) -> None:
    environment = environment_of(site.home, site.provider, defaultRole="User")
    with serving(Site(free(1)[0], site.home, site.provider, environment)) as other:
        assert (write(other.login("nobody")), trigger(other.login("nobody"))) == (403, 200)
        assert (write(other.login("vera")), trigger(other.login("vera"))) == (403, 403)
