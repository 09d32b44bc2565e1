// Starts the proxy where a Procfile of its Node.js predecessor says `node mcp-auth-proxy/index.js`.
"use strict";

const { spawn } = require("node:child_process");
const { constants } = require("node:os");
const { join } = require("node:path");

const proxy = spawn(join(__dirname, "mcp-auth-proxy"), process.argv.slice(2), { stdio: "inherit" });

for (const signal of ["SIGTERM", "SIGINT", "SIGHUP"]) {
  process.on(signal, () => proxy.kill(signal));
}

proxy.on("error", (error) => {
  console.error(`mcp-auth-proxy cannot be started: ${error.message}; deploy again with its buildpack`);
  process.exit(1);
});

proxy.on("exit", (code, signal) => {
  process.exit(code ?? 128 + constants.signals[signal]);
});
