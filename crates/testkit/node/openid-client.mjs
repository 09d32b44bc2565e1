// An OAuth and OpenID Connect client: npm `openid-client`, the way applications use it.
//
// Settings: issuer, redirect_uri. Commands: those of oauth-client.mjs that it has a function for.
import * as openid from 'openid-client';
import { authenticationOf, clientKeys, serveCommands, settings } from './shared.mjs';

const insecure = { execute: [openid.allowInsecureRequests, openid.enableNonRepudiationChecks] };

let configuration;
let request;
let device;
let tokens;
let polled;
let subject;
let assertionKey;

function keep(answer) {
  tokens = { ...tokens, ...answer };
  const claims = answer.claims();
  subject = claims?.sub ?? subject;
  return { tokens, claims };
}

async function discover(algorithm) {
  const found = await openid.discovery(
    new URL(settings.issuer), 'anybody', undefined, openid.None(), { ...insecure, algorithm },
  );
  return found.serverMetadata();
}

await serveCommands({
  discover: async () => ({ oauth: await discover('oauth2'), openid: await discover('oidc') }),
  register: async ({ metadata, algorithm, initial_access_token: initialAccessToken }) => {
    const { key, members } = await clientKeys(algorithm);
    assertionKey = key;
    const wanted = { redirect_uris: [settings.redirect_uri], ...metadata, ...members };
    // How the client proves itself is known before its id and secret are: the library adds them.
    const authentication = authenticationOf(openid, wanted, key);
    configuration = await openid.dynamicClientRegistration(
      new URL(settings.issuer), wanted, authentication, { ...insecure, initialAccessToken },
    );
    return configuration.clientMetadata();
  },
  authorize: async ({ pushed, signed, ...parameters }) => {
    request = {
      pkceCodeVerifier: openid.randomPKCECodeVerifier(),
      expectedState: openid.randomState(),
      expectedNonce: openid.randomNonce(),
      maxAge: parameters.max_age && Number(parameters.max_age),
    };
    const query = {
      redirect_uri: settings.redirect_uri,
      code_challenge: await openid.calculatePKCECodeChallenge(request.pkceCodeVerifier),
      code_challenge_method: 'S256',
      state: request.expectedState,
      nonce: request.expectedNonce,
      ...parameters,
    };
    let url;
    if (pushed) url = await openid.buildAuthorizationUrlWithPAR(configuration, query);
    else if (signed) url = await openid.buildAuthorizationUrlWithJAR(configuration, query, assertionKey);
    else url = openid.buildAuthorizationUrl(configuration, query);
    return { url: url.href, states: [request.expectedState], verifiers: [request.pkceCodeVerifier] };
  },
  callback: async ({ url }) => {
    tokens = undefined;
    return keep(await openid.authorizationCodeGrant(configuration, new URL(url), request));
  },
  refresh: async () => keep(await openid.refreshTokenGrant(configuration, tokens.refresh_token)),
  userinfo: () => openid.fetchUserInfo(configuration, tokens.access_token, subject),
  introspect: ({ token }) => openid.tokenIntrospection(configuration, token),
  revoke: ({ token, hint }) => openid.tokenRevocation(configuration, token, hint && { token_type_hint: hint }),
  device_start: async (parameters) => {
    device = await openid.initiateDeviceAuthorization(configuration, parameters);
    // It polls by itself, from now on, as a device would; `device_poll` tells what came of it.
    polled = openid.pollDeviceAuthorizationGrant(configuration, device).then(
      (answer) => () => keep(answer),
      (error) => () => { throw error; },
    );
    return device;
  },
  device_poll: async () => (await polled)(),
  logout_url: (parameters) => openid.buildEndSessionUrl(
    configuration, { id_token_hint: tokens.id_token, ...parameters },
  ).href,
});
process.exit(0);
