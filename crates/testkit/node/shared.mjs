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

/** Answers the harness's commands, one JSON line each, until its end of the pipe closes. */
export async function serveCommands(commands) {
  for await (const line of readline.createInterface({ input: process.stdin })) {
    if (!line.trim()) continue;
    const { command, ...parameters } = JSON.parse(line);
    try {
      say({ answer: command, result: (await commands[command](parameters)) ?? null });
    } catch (error) {
      say({ answer: command, error: `${error?.name ?? 'Error'}: ${error?.message ?? error}` });
    }
  }
}
