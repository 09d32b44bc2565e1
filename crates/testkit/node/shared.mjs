// What the counterparts share: the ready line, reading bodies, a login form.
import { once } from 'node:events';
import http from 'node:http';
import readline from 'node:readline';

/** The settings that the harness passes as one JSON argument. */
export const settings = JSON.parse(process.argv[2] ?? '{}');

/** Writes one JSON line to the harness. */
export function say(message) {
  process.stdout.write(`${JSON.stringify(message)}\n`);
}

/** Listens at `settings.port` (0: any) on IPv4 loopback and resolves to server and port. */
export async function listen(handler) {
  const server = http.createServer(handler);
  server.listen(settings.port ?? 0, '127.0.0.1');
  await once(server, 'listening');
  return { server, port: server.address().port };
}

/** The whole body of a request as text. */
export async function body(request) {
  const chunks = [];
  for await (const chunk of request) chunks.push(chunk);
  return Buffer.concat(chunks).toString('utf8');
}

export function answerJson(response, status, value, headers = {}) {
  response.writeHead(status, { 'content-type': 'application/json', ...headers });
  response.end(JSON.stringify(value));
}

export function answerHtml(response, status, html) {
  response.writeHead(status, { 'content-type': 'text/html; charset=utf-8' });
  response.end(`<!doctype html><html lang="en"><head><title>Counterpart</title></head><body>${html}</body></html>`);
}

/** A login form that takes any name with any password. */
export function loginForm(action, hidden = {}) {
  const escape = (text) => String(text).replaceAll('&', '&amp;').replaceAll('"', '&quot;').replaceAll('<', '&lt;');
  const fields = Object.entries(hidden)
    .map(([name, value]) => `<input type="hidden" name="${escape(name)}" value="${escape(value)}">`)
    .join('');
  return `<main><h1>Sign in at the provider</h1><form method="post" action="${escape(action)}">${fields}
    <label>Name <input name="login" autocomplete="username" required></label>
    <label>Password <input name="password" type="password" required></label>
    <button type="submit">Sign in</button></form></main>`;
}

/** Name and message of an error, with the OAuth error that a library found in an answer. */
async function describe(error) {
  // Of an answer with a challenge the libraries leave the body unread.
  const unread = error?.response?.bodyUsed === false;
  const answer = unread ? await error.response.json().catch(() => undefined) : undefined;
  const challenges = error?.cause?.map?.(({ parameters }) => parameters?.error) ?? [];
  const oauth = [error?.error, error?.error_description, ...challenges, answer?.error].filter(Boolean);
  const text = `${error?.name ?? 'Error'}: ${error?.message ?? error}`;
  return oauth.length ? `${text} (${oauth.join(': ')})` : text;
}

/** A client's key for an algorithm of `private_key_jwt`, and what its registration says of it. */
export async function clientKeys(algorithm) {
  if (!algorithm) return { members: {} };
  const curves = {
    RS256: { name: 'RSASSA-PKCS1-v1_5', modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash: 'SHA-256' },
    PS256: { name: 'RSA-PSS', modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash: 'SHA-256' },
    ES256: { name: 'ECDSA', namedCurve: 'P-256' },
    Ed25519: { name: 'Ed25519' },
  };
  const pair = await crypto.subtle.generateKey(curves[algorithm], true, ['sign', 'verify']);
  const { kty, n, e, crv, x, y } = await crypto.subtle.exportKey('jwk', pair.publicKey);
  const kid = crypto.randomUUID();
  return {
    key: { key: pair.privateKey, kid },
    members: {
      token_endpoint_auth_method: 'private_key_jwt',
      token_endpoint_auth_signing_alg: algorithm,
      jwks: { keys: [{ kty, n, e, crv, x, y, kid, alg: algorithm, use: 'sig' }] },
    },
  };
}

/** How a client proves itself, made by `oauth4webapi` or `openid-client`. */
export function authenticationOf(library, client, key) {
  switch (client.token_endpoint_auth_method) {
    case 'none': return library.None();
    case 'client_secret_post': return library.ClientSecretPost(client.client_secret);
    case 'private_key_jwt': return library.PrivateKeyJwt(key);
    default: return library.ClientSecretBasic(client.client_secret);
  }
}

/** A fetch by which what goes to `public` reaches `actual` as from a router that ended TLS. */
export function throughRouter({ public: outside, actual }) {
  return (url, options) => new Promise((resolve, reject) => {
    const asked = new URL(url);
    const sent = options.body === undefined ? undefined : String(options.body);
    const headers = { ...Object.fromEntries(new Headers(options.headers)) };
    Object.assign(headers, {
      host: new URL(outside).host, 'x-forwarded-proto': 'https', 'x-forwarded-for': '203.0.113.1',
    });
    const target = new URL(asked.pathname + asked.search, actual);
    const request = http.request(target, { method: options.method, headers }, async (response) => {
      const empty = [204, 304].includes(response.statusCode);
      const text = await body(response);
      resolve(new Response(empty ? null : text, { status: response.statusCode, headers: response.headers }));
    });
    request.on('error', reject);
    request.end(sent);
  });
}

/** Answers the harness's commands, one JSON line each, until its end of the pipe closes. */
export async function serveCommands(commands) {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    if (!line.trim()) continue;
    const { command, ...parameters } = JSON.parse(line);
    try {
      say({ answer: command, result: (await commands[command](parameters)) ?? null });
    } catch (error) {
      say({ answer: command, error: await describe(error) });
    }
  }
}
