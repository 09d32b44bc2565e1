// The Node.js predecessor, as far as it left records: npm `oidc-provider` configured as it was, over
// a Redis in the published layout. Registration, token and revocation endpoint are the library's own;
// the login at the identity provider is done by the story, which brings the tokens it got there.
//
// Settings: redis_port, prefix, secrets_file (each secret it issues is written there, one a line).
import { generateKeyPairSync, randomUUID } from 'node:crypto';
import { once } from 'node:events';
import { appendFileSync } from 'node:fs';
import net from 'node:net';
import Provider from 'oidc-provider';
import { answerJson, body, listen, say, settings } from './shared.mjs';

const SCOPES = ['openid', 'offline_access'];
const IDENTITY = [
  'identityLoginConfirmed', 'identityAuthCodeVerifier', 'identityAuthState', 'identityAuthAccessToken',
  'identityAuthRefreshToken', 'identityAuthSignature', 'identityAuthScope', 'identityAuthIdToken',
  'identityAuthInstanceUrl', 'identityAuthId', 'identityAuthTokenType', 'identityAuthIssuedAt',
  'identityAuthExpiresIn', 'identityAuthSessionNonce',
];

/** Just enough of the Redis protocol: one connection, answers in order. */
class Redis {
  #buffer = Buffer.alloc(0);
  #waiting = [];

  constructor(port) {
    this.socket = net.connect(port, '127.0.0.1').setNoDelay();
    this.socket.on('data', (data) => {
      this.#buffer = Buffer.concat([this.#buffer, data]);
      for (let read = this.#read(0); read; read = this.#read(0)) {
        this.#buffer = this.#buffer.subarray(read.end);
        this.#waiting.shift()(read.value);
      }
    });
  }

  ask(...words) {
    const parts = words.map((word) => `$${Buffer.byteLength(String(word))}\r\n${word}\r\n`);
    this.socket.write(`*${words.length}\r\n${parts.join('')}`);
    return new Promise((resolve) => this.#waiting.push(resolve));
  }

  #read(start) {
    const line = this.#buffer.indexOf('\r\n', start);
    if (line < 0) return undefined;
    const [kind, rest, end] = [this.#buffer.toString('latin1', start, start + 1), this.#buffer.toString('utf8', start + 1, line), line + 2];
    if (kind === '$') {
      const length = Number(rest);
      if (length < 0) return { value: null, end };
      if (this.#buffer.length < end + length + 2) return undefined;
      return { value: this.#buffer.toString('utf8', end, end + length), end: end + length + 2 };
    }
    if (kind === '*') {
      const value = [];
      let next = end;
      for (let index = 0; index < Number(rest); index += 1) {
        const element = this.#read(next);
        if (!element) return undefined;
        value.push(element.value);
        next = element.end;
      }
      return { value, end: next };
    }
    return { value: kind === ':' ? Number(rest) : rest, end };
  }
}

const redis = new Redis(settings.redis_port);
await once(redis.socket, 'connect');

/** Texts for most models, hashes for those that can be consumed, lists of the tokens of a grant. */
class Records {
  static consumable = new Set(['AuthorizationCode', 'RefreshToken', 'DeviceCode', 'BackchannelAuthenticationRequest']);

  constructor(model) {
    this.model = model;
    this.hash = Records.consumable.has(model);
    this.token = this.hash || model === 'AccessToken';
  }

  name(id, kind = this.model) { return `${settings.prefix}${kind}:${id}`; }

  async upsert(id, payload, life) {
    const [key, text] = [this.name(id), JSON.stringify(payload)];
    if (this.hash) await redis.ask('HSET', key, 'payload', text);
    else await redis.ask('SET', key, text);
    if (life) await redis.ask('EXPIRE', key, life);
    if (this.token && payload.grantId) {
      const list = this.name(payload.grantId, 'grant');
      await redis.ask('RPUSH', list, `${this.model}:${id}`);
      if (life > await redis.ask('TTL', list)) await redis.ask('EXPIRE', list, life);
    }
    for (const [kind, name] of [['userCode', payload.userCode], ['uid', payload.uid]]) {
      if (name) await redis.ask('SET', this.name(name, kind), id, 'EX', life);
    }
  }

  async find(id) {
    if (!this.hash) {
      const text = await redis.ask('GET', this.name(id));
      return text ? JSON.parse(text) : undefined;
    }
    const [payload, consumed] = await redis.ask('HMGET', this.name(id), 'payload', 'consumed');
    return payload ? { ...JSON.parse(payload), ...(consumed ? { consumed } : {}) } : undefined;
  }

  async findByUid(uid) { return this.find(await redis.ask('GET', this.name(uid, 'uid'))); }

  async findByUserCode(code) { return this.find(await redis.ask('GET', this.name(code, 'userCode'))); }

  async destroy(id) { await redis.ask('DEL', this.name(id)); }

  async consume(id) { await redis.ask('HSET', this.name(id), 'consumed', Math.floor(Date.now() / 1000)); }

  async revokeByGrantId(id) {
    const list = this.name(id, 'grant');
    for (const name of await redis.ask('LRANGE', list, 0, -1)) await redis.ask('DEL', `${settings.prefix}${name}`);
    await redis.ask('DEL', list);
  }
}

function remember(...secrets) {
  for (const secret of secrets) if (secret) appendFileSync(settings.secrets_file, `${secret}\n`);
}

let provider;

/** A login that the identity provider answered with `identity`: its tokens, and the user's `id`. */
async function logIn({ client_id, identity, scope = SCOPES.join(' ') }) {
  const client = await provider.Client.find(client_id);
  Object.assign(client, {
    identityLoginConfirmed: true,
    identityAuthAccessToken: identity.access_token,
    identityAuthRefreshToken: identity.refresh_token,
    identityAuthIdToken: identity.id_token,
    identityAuthScope: identity.scope,
    identityAuthTokenType: identity.token_type,
    identityAuthId: identity.id,
  });
  await provider.Client.adapter.upsert(client.clientId, client.metadata());
  const grant = new provider.Grant({ accountId: identity.id, clientId: client_id });
  grant.addOIDCScope(SCOPES.join(' '));
  const grantId = await grant.save();
  const now = Math.floor(Date.now() / 1000);
  const token = {
    accountId: identity.id, authTime: now, client, grantId, gty: 'authorization_code', scope,
    expiresWithSession: false, sessionUid: randomUUID(),
  };
  const access_token = await new provider.AccessToken(token).save();
  const refresh_token = await new provider.RefreshToken(token).save();
  remember(access_token, refresh_token);
  return { access_token, refresh_token };
}

/** Clients, each with a user of its own, whose identity tokens nobody knows. */
async function fill({ count }) {
  const one = async (index) => {
    const reply = await fetch(`${provider.issuer}/reg`, {
      method: 'POST',
      headers: { 'content-type': 'application/json' },
      body: JSON.stringify({ redirect_uris: ['http://localhost:8976/callback'], token_endpoint_auth_method: 'none' }),
    });
    const { client_id } = await reply.json();
    const identity = { access_token: randomUUID(), refresh_token: randomUUID(), id: `user-${index}`, scope: 'openid' };
    return { client_id, ...(await logIn({ client_id, identity })) };
  };
  const filled = [];
  for (let index = 0; index < count; index += 1) filled.push(await one(index));
  return { filled };
}

const control = { '/control/log-in': logIn, '/control/fill': fill };

const { server, port } = await listen();
const { privateKey } = generateKeyPairSync('ed25519');
provider = new Provider(`http://localhost:${port}`, {
  adapter: Records,
  extraClientMetadata: { properties: IDENTITY },
  clientDefaults: {
    application_type: 'native',
    grant_types: ['authorization_code', 'refresh_token'],
    id_token_signed_response_alg: 'Ed25519',
    response_types: ['code', 'code token'],
  },
  responseTypes: ['code', 'code token'],
  cookies: { keys: ['counterpart'] },
  features: {
    devInteractions: { enabled: false },
    deviceFlow: { enabled: true },
    revocation: { enabled: true },
    registration: { enabled: true, initialAccessToken: false, issueRegistrationAccessToken: false },
  },
  routes: { token: '/token', registration: '/reg', revocation: '/token/revocation' },
  jwks: { keys: [{ ...privateKey.export({ format: 'jwk' }), kid: randomUUID(), use: 'sig' }] },
  scopes: SCOPES,
});
provider.on('server_error', (ctx, error) => console.error('server_error', error));
provider.on('access_token.saved', (token) => remember(token.jti));
provider.on('refresh_token.saved', (token) => remember(token.jti));
const callback = provider.callback();
server.on('request', async (request, response) => {
  try {
    const command = control[new URL(request.url, provider.issuer).pathname];
    if (!command) return await callback(request, response);
    const text = await body(request);
    return answerJson(response, 200, await command(text ? JSON.parse(text) : {}));
  } catch (error) {
    console.error(error);
    return answerJson(response, 500, { error: String(error) });
  }
});
say({ ready: true, port });
