// An OAuth and OpenID Connect client: npm `oauth4webapi`, which judges each answer strictly.
//
// Settings: issuer, redirect_uri, router ({public, actual}: where a router that ends TLS is played).
// Commands: see below; openid-client.mjs and authlib_client.py have those of the same names.
import * as oauth from 'oauth4webapi';
import { authenticationOf, clientKeys, serveCommands, settings, throughRouter } from './shared.mjs';

const issuer = new URL(settings.issuer);
const options = settings.router
  ? { [oauth.customFetch]: throughRouter(settings.router) }
  : { [oauth.allowInsecureRequests]: true };

let server;
let client;
let authentication;
let request;
let device;
let tokens;
let subject;
let assertionKey;

async function discover(algorithm) {
  const response = await oauth.discoveryRequest(issuer, { ...options, algorithm });
  return oauth.processDiscoveryResponse(issuer, response);
}

/** What the library has no judgement of is judged here: the ID token's `at_hash` (Core §3.1.3.6). */
async function checkAccessTokenHash(answer, claims) {
  const { alg } = JSON.parse(Buffer.from(answer.id_token.split('.')[0], 'base64url'));
  const size = alg === 'Ed25519' || alg === 'EdDSA' ? 512 : Number(alg.slice(2));
  const hash = Buffer.from(await crypto.subtle.digest(`SHA-${size}`, Buffer.from(answer.access_token)));
  const half = hash.subarray(0, hash.length / 2).toString('base64url');
  if (claims.at_hash !== half) throw new Error(`at_hash is ${claims.at_hash}, not ${half}`);
}

/** Keeps an answer of the token endpoint; the signature of its ID token must be the server's. */
async function keep(answer, response) {
  tokens = { ...tokens, ...answer };
  const claims = oauth.getValidatedIdTokenClaims(answer);
  if (claims) {
    await oauth.validateApplicationLevelSignature(server, response, options);
    await checkAccessTokenHash(answer, claims);
    subject = claims.sub;
  }
  return { tokens, claims };
}

async function introspect({ token, signed }) {
  const response = await oauth.introspectionRequest(server, client, authentication, token, {
    ...options, requestJwtResponse: signed ?? false,
  });
  const answer = await oauth.processIntrospectionResponse(server, client, response);
  if (signed) await oauth.validateApplicationLevelSignature(server, response, options);
  return answer;
}

await serveCommands({
  discover: async () => {
    server = await discover('oauth2');
    return { oauth: server, openid: await discover('oidc') };
  },
  register: async ({ metadata, algorithm, initial_access_token: initialAccessToken }) => {
    const { key, members } = await clientKeys(algorithm);
    assertionKey = key;
    const wanted = { redirect_uris: [settings.redirect_uri], ...metadata, ...members };
    const response = await oauth.dynamicClientRegistrationRequest(server, wanted, { ...options, initialAccessToken });
    client = await oauth.processDynamicClientRegistrationResponse(response);
    authentication = authenticationOf(oauth, client, key);
    return client;
  },
  // A client that somebody else registered.
  become: ({ client: other }) => {
    client = other;
    authentication = authenticationOf(oauth, client);
  },
  authorize: async ({ pushed, signed, ...parameters }) => {
    request = {
      verifier: oauth.generateRandomCodeVerifier(),
      state: oauth.generateRandomState(),
      nonce: oauth.generateRandomNonce(),
      maxAge: parameters.max_age && Number(parameters.max_age),
    };
    let query = {
      response_type: 'code',
      client_id: client.client_id,
      redirect_uri: settings.redirect_uri,
      code_challenge: await oauth.calculatePKCECodeChallenge(request.verifier),
      code_challenge_method: 'S256',
      state: request.state,
      nonce: request.nonce,
      ...parameters,
    };
    if (signed) {
      query.request = await oauth.issueRequestObject(server, client, query, assertionKey);
    }
    if (pushed) {
      const response = await oauth.pushedAuthorizationRequest(server, client, authentication, query, options);
      const { request_uri } = await oauth.processPushedAuthorizationResponse(server, client, response);
      query = { client_id: client.client_id, request_uri };
    }
    const url = new URL(server.authorization_endpoint);
    url.search = new URLSearchParams(query);
    return { url: url.href, states: [request.state], verifiers: [request.verifier] };
  },
  callback: async ({ url }) => {
    const answer = oauth.validateAuthResponse(server, client, new URL(url), request.state);
    const response = await oauth.authorizationCodeGrantRequest(
      server, client, authentication, answer, settings.redirect_uri, request.verifier, options,
    );
    tokens = undefined;
    return keep(await oauth.processAuthorizationCodeResponse(server, client, response, {
      expectedNonce: request.nonce, maxAge: request.maxAge, requireIdToken: true,
    }), response);
  },
  refresh: async () => {
    const response = await oauth.refreshTokenGrantRequest(
      server, client, authentication, tokens.refresh_token, options,
    );
    return keep(await oauth.processRefreshTokenResponse(server, client, response), response);
  },
  userinfo: async () => {
    const response = await oauth.userInfoRequest(server, client, tokens.access_token, options);
    return oauth.processUserInfoResponse(server, client, subject, response);
  },
  // The library asks by GET; OpenID Connect Core §5.3.1 has POST too, with the same answer.
  userinfo_by_post: async () => {
    const response = await oauth.protectedResourceRequest(
      tokens.access_token, 'POST', new URL(server.userinfo_endpoint), undefined, undefined, options,
    );
    return oauth.processUserInfoResponse(server, client, subject, response);
  },
  introspect,
  revoke: async ({ token, hint }) => {
    const additionalParameters = hint ? { token_type_hint: hint } : {};
    const response = await oauth.revocationRequest(
      server, client, authentication, token, { ...options, additionalParameters },
    );
    await oauth.processRevocationResponse(response);
  },
  device_start: async (parameters) => {
    const response = await oauth.deviceAuthorizationRequest(server, client, authentication, parameters, options);
    device = await oauth.processDeviceAuthorizationResponse(server, client, response);
    return device;
  },
  // One poll.
  device_poll: async () => {
    const response = await oauth.deviceCodeGrantRequest(
      server, client, authentication, device.device_code, options,
    );
    return keep(await oauth.processDeviceCodeResponse(server, client, response), response);
  },
  logout_url: (parameters) => {
    const url = new URL(server.end_session_endpoint);
    url.search = new URLSearchParams({ id_token_hint: tokens.id_token, ...parameters });
    return url.href;
  },
  // RFC 7592: the registration as a resource that its access token protects.
  manage: async ({ method, metadata }) => {
    const response = await oauth.protectedResourceRequest(
      client.registration_access_token, method, new URL(client.registration_client_uri),
      new Headers(metadata && { 'content-type': 'application/json' }),
      metadata && JSON.stringify(metadata), options,
    );
    const text = await response.text();
    const answer = text ? JSON.parse(text) : null;
    if (answer?.registration_access_token) client = answer;
    return { status: response.status, registration: answer };
  },
});
process.exit(0);
