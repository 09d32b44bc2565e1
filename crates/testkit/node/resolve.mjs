// Lets the scripts beside this file import the packages that `cargo xtask setup` has installed
// elsewhere: bare names are looked up from MCP_TESTKIT_PACKAGES.
import { registerHooks } from 'node:module';
import { pathToFileURL } from 'node:url';

const packages = pathToFileURL(`${process.env.MCP_TESTKIT_PACKAGES}/index.mjs`).href;
const here = new URL('.', import.meta.url).href;

registerHooks({
  resolve(specifier, context, next) {
    const bare = !/^(\.|\/|[a-z]+:)/.test(specifier);
    if (bare && context.parentURL?.startsWith(here)) {
      return next(specifier, { ...context, parentURL: packages });
    }
    return next(specifier, context);
  },
});
