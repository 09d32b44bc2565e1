// Stands before an MCP endpoint for a client that cannot log in: adds a bearer to each request and
// passes all else through as it is.
//
// Settings: port, target (URL of the endpoint's origin), bearer.
import http from 'node:http';
import { listen, say, settings } from './shared.mjs';

const target = new URL(settings.target);

const { port } = await listen((request, response) => {
  const headers = [...request.rawHeaders, 'authorization', `Bearer ${settings.bearer}`];
  const onward = http.request({
    host: target.hostname, port: target.port, method: request.method, path: request.url, headers, agent: false,
  });
  onward.on('response', (answer) => {
    response.writeHead(answer.statusCode, answer.rawHeaders);
    response.flushHeaders();
    answer.pipe(response);
    answer.on('error', () => response.destroy());
  });
  onward.on('error', () => response.destroy());
  response.on('close', () => onward.destroy());
  request.pipe(onward);
});
say({ ready: true, port });
