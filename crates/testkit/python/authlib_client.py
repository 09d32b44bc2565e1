"""An OAuth and OpenID Connect client: PyPI `authlib`, with `joserfc` for the ID tokens.

Speaks as oauth-client.mjs does, with the commands of the same names.
Settings: issuer, redirect_uri.
"""

import json
import sys

import httpx2
from authlib.common.security import generate_token
from authlib.integrations.httpx_client import OAuth2Client
from authlib.oauth2.rfc7523 import PrivateKeyJWT
from authlib.oauth2.rfc8414 import AuthorizationServerMetadata, get_well_known_url
from authlib.oidc.core import CodeIDToken
from authlib.oidc.discovery import OpenIDProviderMetadata
from joserfc import jwt
from joserfc.jwk import ECKey, KeySet, OKPKey, RSAKey

SETTINGS = json.loads(sys.argv[1])
ISSUER = SETTINGS["issuer"]

PLAIN = httpx2.Client(trust_env=False, timeout=30.0)


class Client:
    def __init__(self):
        self.metadata = None
        self.session = None
        self.registration = None
        self.request = {}

    def discover(self):
        """Both documents, each by the rules that the library has for it."""
        documents = {}
        # The library insists on https, which ends before a loopback address.
        checks = {"oauth": AuthorizationServerMetadata, "openid": OpenIDProviderMetadata}
        paths = {"oauth": "oauth-authorization-server", "openid": "openid-configuration"}
        for name, check in checks.items():
            url = get_well_known_url(ISSUER, external=True, suffix=paths[name])
            document = PLAIN.get(url).raise_for_status().json()
            if document["issuer"] != ISSUER:
                raise ValueError(f"another issuer: {document['issuer']}")
            check(json.loads(json.dumps(document).replace("http://", "https://"))).validate()
            documents[name] = document
        self.metadata = documents["oauth"]
        return documents

    def register(self, metadata=None, algorithm=None):
        wanted = {"redirect_uris": [SETTINGS["redirect_uri"]], **(metadata or {})}
        key = None
        if algorithm:
            key = client_key(algorithm)
            wanted |= {
                "token_endpoint_auth_method": "private_key_jwt",
                "token_endpoint_auth_signing_alg": algorithm,
                "jwks": KeySet([key]).as_dict(private=False),
            }
        answer = PLAIN.post(self.metadata["registration_endpoint"], json=wanted)
        self.registration = answer.raise_for_status().json()
        method = self.registration["token_endpoint_auth_method"]
        self.session = OAuth2Client(
            client_id=self.registration["client_id"],
            client_secret=key or self.registration.get("client_secret"),
            token_endpoint_auth_method=method,
            revocation_endpoint_auth_method=method,
            redirect_uri=SETTINGS["redirect_uri"],
            code_challenge_method="S256",
            token_endpoint=self.metadata["token_endpoint"],
            trust_env=False,
            timeout=30.0,
        )
        if key:
            # Left to itself, it names the URL of each endpoint that it asks as the audience.
            self.session.register_client_auth_method(PrivateKeyJWT(alg=algorithm))
        return self.registration

    def authorize(self, **parameters):
        verifier, nonce = generate_token(48), generate_token(24)
        url, state = self.session.create_authorization_url(
            self.metadata["authorization_endpoint"],
            code_verifier=verifier,
            nonce=nonce,
            **parameters,
        )
        self.request = {"state": state, "nonce": nonce, "verifier": verifier, **parameters}
        return {"url": url, "states": [state], "verifiers": [verifier]}

    def callback(self, url):
        self.session.fetch_token(
            authorization_response=url,
            state=self.request["state"],
            code_verifier=self.request["verifier"],
        )
        return self.tokens(nonce=self.request["nonce"])

    def refresh(self):
        self.session.refresh_token(refresh_token=self.session.token["refresh_token"])
        return self.tokens()

    def tokens(self, nonce=None):
        """The tokens, once the ID token was judged by the server's published keys."""
        token = self.session.token
        claims = None
        if "id_token" in token:
            keys = KeySet.import_key_set(PLAIN.get(self.metadata["jwks_uri"]).json())
            algorithms = self.metadata["id_token_signing_alg_values_supported"]
            decoded = jwt.decode(token["id_token"], keys, algorithms=algorithms)
            claims = CodeIDToken(
                decoded.claims,
                decoded.header,
                options={
                    "iss": {"essential": True, "value": ISSUER},
                    "aud": {"essential": True, "value": self.registration["client_id"]},
                    "at_hash": {"essential": True},
                },
                params={
                    "nonce": nonce,
                    "client_id": self.registration["client_id"],
                    "access_token": token["access_token"],
                },
            )
            claims.validate()
        return {"tokens": dict(token), "claims": dict(claims) if claims else None}

    def userinfo(self):
        return self.session.get(self.metadata["userinfo_endpoint"]).raise_for_status().json()

    def introspect(self, token):
        answer = self.session.introspect_token(self.metadata["introspection_endpoint"], token=token)
        return answer.raise_for_status().json()

    def revoke(self, token, hint=None):
        self.session.revoke_token(
            self.metadata["revocation_endpoint"], token=token, token_type_hint=hint
        ).raise_for_status()


def client_key(algorithm):
    parameters = {"alg": algorithm, "use": "sig", "kid": generate_token(12)}
    if algorithm.startswith("ES"):
        return ECKey.generate_key("P-256", parameters)
    if algorithm == "Ed25519":
        return OKPKey.generate_key("Ed25519", parameters)
    return RSAKey.generate_key(2048, parameters)


def main():
    client = Client()
    for line in sys.stdin:
        message = json.loads(line)
        command = message.pop("command")
        try:
            answer = {"result": getattr(client, command)(**message)}
        except Exception as error:  # the harness judges it
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps({"answer": command, **answer}), flush=True)


main()
