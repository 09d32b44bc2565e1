// The OpenID provider of the tests: npm `oidc-provider`, with refresh token rotation, behind a
// switchboard at /control that makes it fail, and that tells what it has seen.
//
// Settings: port, client_id, client_secret, redirect_uris, access_ttl (s), auth_method,
// secrets_file (each secret it issues or is shown is written there, one a line).
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { setTimeout as sleep } from 'node:timers/promises';
import Provider from 'oidc-provider';
import { answerHtml, answerJson, body, listen, loginForm, say, settings } from './shared.mjs';

const seen = { authorizations: [], tokens: [], begun: 0, userinfo: 0, discovery: 0, jwks: 0 };
const subjects = new Map();
const grants = new Map();
const faults = { down: false, token_down: false, delay_ms: 0, form_post: false, refuse_refresh: null, access_ttl: settings.access_ttl ?? 3600 };

function key() {
  const { privateKey } = generateKeyPairSync('rsa', { modulusLength: 2048 });
  return { ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig', alg: 'RS256' };
}

function remember(...secrets) {
  for (const secret of secrets) if (secret) appendFileSync(settings.secrets_file, `${secret}\n`);
}

let provider;
let callback;
let issuer;
let jwks = { keys: [key()] };

function build() {
  provider = new Provider(issuer, {
    clients: [{
      client_id: settings.client_id,
      client_secret: settings.client_secret,
      redirect_uris: settings.redirect_uris,
      grant_types: ['authorization_code', 'refresh_token'],
      response_types: ['code'],
      token_endpoint_auth_method: settings.auth_method ?? 'client_secret_basic',
    }],
    jwks,
    cookies: { keys: ['counterpart'] },
    claims: { openid: ['sub'], email: ['email'], profile: ['name'] },
    scopes: ['openid', 'offline_access', 'profile', 'email', 'api'],
    pkce: { required: () => true },
    rotateRefreshToken: true,
    issueRefreshToken: async () => true,
    conformIdTokenClaims: false,
    // The end of a token is its end: stories wait for it.
    clockTolerance: 0,
    ttl: {
      AccessToken: () => faults.access_ttl,
      AuthorizationCode: 60,
      Grant: 86400,
      IdToken: 3600,
      Interaction: 600,
      RefreshToken: 86400,
      Session: 86400,
    },
    // It refuses select_account; a provider that says so is asked for `login` instead.
    discovery: { prompt_values_supported: ['none', 'login', 'consent'] },
    features: { devInteractions: { enabled: false }, revocation: { enabled: true } },
    interactions: { url: (ctx, interaction) => `/interaction/${interaction.uid}` },
    // One grant a login, with all that was asked: there is no consent page.
    async loadExistingGrant(ctx) {
      const grant = new ctx.oidc.provider.Grant({
        clientId: ctx.oidc.client.clientId,
        accountId: ctx.oidc.session.accountId,
      });
      grant.addOIDCScope([...ctx.oidc.requestParamScopes].join(' '));
      await grant.save();
      return grant;
    },
    async findAccount(ctx, id) {
      return {
        accountId: id,
        claims: () => ({ sub: id, email: `${id}@example.com`, name: `Name of ${id}` }),
      };
    },
  });
  for (const event of ['access_token.saved', 'refresh_token.saved', 'authorization_code.saved']) {
    provider.on(event, (token) => {
      subjects.set(token.jti, token.accountId);
      const list = grants.get(token.accountId) ?? new Set();
      grants.set(token.accountId, list.add(token.grantId));
    });
  }
  provider.on('server_error', (ctx, error) => console.error('server_error', error));
  provider.use(watchTokenRequests);
  callback = provider.callback();
}

async function watchTokenRequests(ctx, next) {
  await next();
  if (ctx.path === '/token') {
    const parameters = ctx.oidc?.body ?? {};
    remember(parameters.code, parameters.code_verifier, parameters.refresh_token);
    remember(ctx.body?.access_token, ctx.body?.refresh_token, ctx.body?.id_token);
    seen.last_access_token = ctx.body?.access_token ?? seen.last_access_token;
    const { code, code_verifier, refresh_token, client_secret, ...rest } = parameters;
    seen.tokens.push({
      grant_type: parameters.grant_type,
      status: ctx.status,
      error: ctx.body?.error ?? null,
      parameters: { ...rest },
      has_verifier: Boolean(code_verifier),
      basic: /^basic /i.test(ctx.get('authorization')),
    });
  }
}

async function revoke(subject) {
  for (const grant of grants.get(subject) ?? []) {
    await provider.RefreshToken.revokeByGrantId(grant);
    await provider.AccessToken.revokeByGrantId(grant);
    await (await provider.Grant.find(grant))?.destroy();
  }
}

const control = {
  '/control/seen': () => seen,
  '/control/faults': (parameters) => Object.assign(faults, parameters),
  '/control/revoke': async ({ subject }) => { await revoke(subject); return {}; },
  '/control/rotate-keys': () => { jwks = { keys: [key()] }; build(); return {}; },
  '/control/subject': ({ token }) => ({ subject: subjects.get(token) ?? null }),
};

async function interaction(request, response) {
  const details = await provider.interactionDetails(request, response);
  if (request.method !== 'POST') {
    return answerHtml(response, 200, loginForm(`/interaction/${details.uid}`));
  }
  const { login } = Object.fromEntries(new URLSearchParams(await body(request)));
  // A person who says no there.
  if (login === 'nobody') return provider.interactionFinished(request, response, { error: 'access_denied' });
  // Who logs in there agrees too, where the proxy has them asked (`prompt=consent`).
  return provider.interactionFinished(request, response, { login: { accountId: login }, consent: {} });
}

async function handle(request, response) {
  const url = new URL(request.url, issuer);
  if (control[url.pathname]) {
    const text = await body(request);
    return answerJson(response, 200, await control[url.pathname](text ? JSON.parse(text) : {}));
  }
  const isToken = url.pathname === '/token';
  if (isToken) seen.begun += 1;
  if (faults.delay_ms) await sleep(faults.delay_ms);
  if (faults.down || (faults.token_down && isToken)) {
    seen.tokens.push(...(isToken ? [{ grant_type: null, status: 503, error: null, parameters: {} }] : []));
    return answerJson(response, 503, { error: 'temporarily_unavailable' });
  }
  if (isToken && faults.refuse_refresh) {
    const { status, error } = faults.refuse_refresh;
    seen.tokens.push({ grant_type: null, status, error, parameters: {} });
    return answerJson(response, status, { error });
  }
  if (url.pathname === '/.well-known/openid-configuration') seen.discovery += 1;
  if (url.pathname === '/jwks') seen.jwks += 1;
  if (url.pathname === '/me') seen.userinfo += 1;
  if (url.pathname.startsWith('/interaction/')) return interaction(request, response);
  if (url.pathname === '/auth') {
    const parameters = Object.fromEntries(url.searchParams);
    remember(parameters.state, parameters.nonce);
    seen.authorizations.push(parameters);
    if (faults.form_post) {
      url.searchParams.set('response_mode', 'form_post');
      request.url = `${url.pathname}${url.search}`;
    }
  }
  const redirect = response.setHeader.bind(response);
  response.setHeader = (name, value) => {
    if (/^location$/i.test(name) && typeof value === 'string' && value.includes('code=')) {
      remember(new URL(value, issuer).searchParams.get('code'));
    }
    return redirect(name, value);
  };
  return callback(request, response);
}

const { port } = await listen((request, response) => {
  handle(request, response).catch((error) => {
    console.error(error);
    if (!response.headersSent) answerHtml(response, 500, '<h1>The counterpart failed</h1>');
  });
});
issuer = `http://localhost:${port}`;
build();
say({ ready: true, port });
