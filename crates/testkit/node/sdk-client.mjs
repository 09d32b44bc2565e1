// An MCP client: the official TypeScript SDK with its own OAuth code.
//
// Settings: url (of the MCP endpoint), redirect_port, name, state (what an earlier run printed as
// `tokens`: client, tokens; absent: a first connection), generation (of the SDK: 1 or 2).
// Prints {authorize: URL} when a person must log in; the browser then comes back to the loopback
// redirect. Prints {connected: …}; then answers the commands below.
import http from 'node:http';
import { say, serveCommands, settings } from './shared.mjs';

const { Client, StreamableHTTPClientTransport, UnauthorizedError } = settings.generation === 2
  ? await import('@modelcontextprotocol/client')
  : {
    ...await import('@modelcontextprotocol/sdk/client/auth.js'),
    ...await import('@modelcontextprotocol/sdk/client/index.js'),
    ...await import('@modelcontextprotocol/sdk/client/streamableHttp.js'),
  };

const redirectUrl = `http://localhost:${settings.redirect_port}/callback`;
const memory = { client: settings.state?.client, tokens: settings.state?.tokens, verifiers: [], states: [] };
let arrived;
let arrival;

const provider = {
  redirectUrl,
  clientMetadata: {
    client_name: settings.name ?? 'Story client',
    redirect_uris: [redirectUrl],
    grant_types: ['authorization_code', 'refresh_token'],
    response_types: ['code'],
    token_endpoint_auth_method: 'none',
  },
  state: () => {
    const state = crypto.randomUUID();
    memory.states.push(state);
    return state;
  },
  clientInformation: () => memory.client,
  saveClientInformation: (client) => { memory.client = client; },
  tokens: () => memory.tokens,
  saveTokens: (tokens) => { memory.tokens = tokens; },
  saveCodeVerifier: (verifier) => { memory.verifiers.push(verifier); },
  codeVerifier: () => memory.verifiers.at(-1),
  redirectToAuthorization: (url) => {
    arrival = new Promise((resolve) => { arrived = resolve; });
    say({ authorize: url.href });
  },
  invalidateCredentials: (scope) => {
    say({ invalidated: scope });
    if (scope === 'all' || scope === 'client') memory.client = undefined;
    if (scope === 'all' || scope === 'tokens') memory.tokens = undefined;
  },
};

http.createServer((request, response) => {
  const url = new URL(request.url, redirectUrl);
  if (url.pathname !== '/callback') {
    response.writeHead(404);
    return response.end();
  }
  response.writeHead(200, { 'content-type': 'text/html' });
  response.end('<!doctype html><title>Done</title><h1>You may close this window</h1>');
  return arrived?.(url.searchParams);
}).listen(settings.redirect_port, '127.0.0.1');

let transport;
let client;

async function connect() {
  for (let round = 0; ; round += 1) {
    transport = new StreamableHTTPClientTransport(new URL(settings.url), { authProvider: provider });
    client = new Client({ name: settings.name ?? 'story-client', version: '1.0.0' }, { capabilities: {} });
    try {
      await client.connect(transport);
      return;
    } catch (error) {
      if (!(error instanceof UnauthorizedError) || round > 0) throw error;
      const parameters = await arrival;
      if (parameters.get('error')) throw new Error(`authorization failed: ${parameters.get('error')}`);
      if (parameters.get('state') !== memory.states.at(-1)) throw new Error('foreign state');
      await transport.finishAuth(parameters.get('code'), parameters.get('iss') ?? undefined);
    }
  }
}

try {
  await connect();
  say({ connected: true });
} catch (error) {
  say({ failed: `${error?.name}: ${error?.message}` });
}

await serveCommands({
  tools: async () => (await client.listTools()).tools.map((tool) => tool.name),
  call: async ({ name, arguments: parameters }) => client.callTool({ name, arguments: parameters ?? {} }),
  progress: async ({ name, arguments: parameters }) => {
    const progress = [];
    await client.callTool({ name, arguments: parameters ?? {} }, undefined, {
      onprogress: (update) => progress.push(update.progress),
    });
    return progress;
  },
  // As if the access token's time were over: the server's 401 makes the SDK refresh.
  forget_access_token: () => { memory.tokens = { ...memory.tokens, access_token: 'forgotten' }; },
  reconnect: async () => { await client.close(); await connect(); },
  credentials: () => memory,
  close: async () => { await client.close(); },
});
process.exit(0);
