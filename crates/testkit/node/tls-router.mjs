// A router that ends TLS before a server on this machine, as Heroku's does: it tells the scheme, the
// port and the address by headers, names each request, and passes all else through as it is.
//
// Settings: port, to (the server's port), certificate and key (files).
import { randomUUID } from 'node:crypto';
import { once } from 'node:events';
import fs from 'node:fs';
import http from 'node:http';
import https from 'node:https';
import { say, settings } from './shared.mjs';

const identity = { cert: fs.readFileSync(settings.certificate), key: fs.readFileSync(settings.key) };

const router = https.createServer(identity, (request, response) => {
  const told = request.headers['x-forwarded-for'];
  const headers = {
    ...request.headers,
    'x-forwarded-for': [told, request.socket.remoteAddress].filter(Boolean).join(', '),
    'x-forwarded-proto': 'https',
    'x-forwarded-port': String(settings.port),
    'x-request-id': request.headers['x-request-id'] ?? randomUUID(),
    'x-request-start': String(Date.now()),
    via: '1.1 heroku-router',
  };
  const onward = http.request({
    host: '127.0.0.1', port: settings.to, method: request.method, path: request.url, headers, agent: false,
  });
  onward.on('response', (answer) => {
    response.writeHead(answer.statusCode, answer.rawHeaders);
    response.flushHeaders();
    answer.pipe(response);
    answer.on('error', () => response.destroy());
  });
  onward.on('error', () => {
    if (response.headersSent) return response.destroy();
    response.writeHead(503);
    response.end('no dyno answers');
  });
  response.on('close', () => onward.destroy());
  request.pipe(onward);
});
router.listen(settings.port, '127.0.0.1');
await once(router, 'listening');
say({ ready: true, port: settings.port });
