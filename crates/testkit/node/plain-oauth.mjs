// A plain OAuth 2.0 server: no discovery, no OpenID Connect, no PKCE; the token answer carries the
// user's `id`. Strict where such servers are: exact redirect URI, single-use codes, rotation.
//
// Settings: port, client_id, client_secret, redirect_uri, access_ttl (s), user_member
// (`id`, `user_id` or null), userinfo (bool), secrets_file (see provider.mjs).
import { randomBytes } from 'node:crypto';
import { appendFileSync } from 'node:fs';
import { answerHtml, answerJson, body, listen, loginForm, say, settings } from './shared.mjs';

const seen = { authorizations: [], tokens: [], userinfo: 0 };
const codes = new Map();
const refreshTokens = new Map();
const accessTokens = new Map();
const faults = { down: false, userinfo_down: false };

const remember = (secret) => appendFileSync(settings.secrets_file, `${secret}\n`);

const random = () => {
  const secret = randomBytes(24).toString('hex');
  remember(secret);
  return secret;
};

function issue(subject, scope) {
  const access = random();
  const refresh = random();
  accessTokens.set(access, subject);
  refreshTokens.set(refresh, { subject, scope });
  const answer = { access_token: access, refresh_token: refresh, token_type: 'Bearer', signature: 'irrelevant' };
  if (settings.access_ttl !== null) answer.expires_in = settings.access_ttl ?? 3600;
  if (settings.user_member) answer[settings.user_member] = subject;
  return answer;
}

function clientOf(request, form) {
  const [, basic] = /^basic (.+)$/i.exec(request.headers.authorization ?? '') ?? [];
  // Both halves are form-encoded first (RFC 6749 §2.3.1).
  const decode = (half) => decodeURIComponent(half.replaceAll('+', ' '));
  if (basic) return Buffer.from(basic, 'base64').toString().split(':').map(decode);
  return [form.get('client_id'), form.get('client_secret')];
}

async function token(request, response) {
  const form = new URLSearchParams(await body(request));
  const refuse = (status, error) => {
    seen.tokens.push({ grant_type: form.get('grant_type'), status, error, parameters: {} });
    return answerJson(response, status, { error });
  };
  const [id, secret] = clientOf(request, form);
  if (id !== settings.client_id || secret !== settings.client_secret) return refuse(401, 'invalid_client');
  if (form.get('grant_type') === 'authorization_code') {
    const code = codes.get(form.get('code'));
    codes.delete(form.get('code'));
    if (!code || code.redirect_uri !== form.get('redirect_uri')) return refuse(400, 'invalid_grant');
    seen.tokens.push({ grant_type: 'authorization_code', status: 200, error: null, parameters: {} });
    return answerJson(response, 200, issue(code.subject, code.scope));
  }
  const held = refreshTokens.get(form.get('refresh_token'));
  refreshTokens.delete(form.get('refresh_token'));
  if (!held) return refuse(400, 'invalid_grant');
  seen.tokens.push({ grant_type: 'refresh_token', status: 200, error: null, parameters: {} });
  return answerJson(response, 200, issue(held.subject, held.scope));
}

async function authorize(request, response, url) {
  if (request.method !== 'POST') {
    const parameters = Object.fromEntries(url.searchParams);
    seen.authorizations.push(parameters);
    if (parameters.state) remember(parameters.state);
    const known = parameters.client_id === settings.client_id && parameters.redirect_uri === settings.redirect_uri;
    if (!known) return answerHtml(response, 400, '<h1>Unknown client or redirect URI</h1>');
    return answerHtml(response, 200, loginForm('/oauth/authorize', parameters));
  }
  const form = new URLSearchParams(await body(request));
  const code = random();
  codes.set(code, { subject: form.get('login'), redirect_uri: form.get('redirect_uri'), scope: form.get('scope') });
  const location = new URL(form.get('redirect_uri'));
  location.searchParams.set('code', code);
  location.searchParams.set('state', form.get('state'));
  response.writeHead(302, { location: location.href });
  return response.end();
}

function userinfo(request, response) {
  seen.userinfo += 1;
  const [, bearer] = /^bearer (.+)$/i.exec(request.headers.authorization ?? '') ?? [];
  const subject = accessTokens.get(bearer);
  if (faults.userinfo_down) return answerJson(response, 503, {});
  if (!subject) return answerJson(response, 401, { error: 'invalid_token' });
  return answerJson(response, 200, { id: subject, login: `login-of-${subject}` });
}

async function handle(request, response) {
  const url = new URL(request.url, 'http://localhost');
  if (url.pathname === '/control/seen') return answerJson(response, 200, seen);
  if (url.pathname === '/control/faults') {
    return answerJson(response, 200, Object.assign(faults, JSON.parse(await body(request))));
  }
  if (url.pathname === '/control/subject') {
    const { token: shown } = JSON.parse(await body(request));
    return answerJson(response, 200, { subject: accessTokens.get(shown) ?? null });
  }
  if (faults.down) return answerJson(response, 503, {});
  if (url.pathname === '/oauth/authorize') return authorize(request, response, url);
  if (url.pathname === '/oauth/token' && request.method === 'POST') return token(request, response);
  if (url.pathname === '/userinfo' && settings.userinfo) return userinfo(request, response);
  return answerHtml(response, 404, '<h1>Not found</h1>');
}

const { port } = await listen((request, response) => {
  handle(request, response).catch((error) => {
    console.error(error);
    if (!response.headersSent) answerHtml(response, 500, '<h1>The counterpart failed</h1>');
  });
});
say({ ready: true, port });
