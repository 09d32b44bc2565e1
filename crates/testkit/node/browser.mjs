// A person with a real browser: Chromium, driven by playwright-core.
//
// Settings: chromium, screenshots (directory), color_scheme, width, height.
// Commands: see below. What the browser complains about (console errors, refused resources, CSP
// violations, failed requests) is collected and told by `complaints`.
import { chromium } from 'playwright-core';
import { say, serveCommands, settings } from './shared.mjs';

const browser = await chromium.launch({
  executablePath: settings.chromium,
  args: ['--no-sandbox', '--disable-dev-shm-usage', '--disable-gpu', '--no-proxy-server'],
});
const context = await browser.newContext({
  colorScheme: settings.color_scheme ?? 'light',
  viewport: { width: settings.width ?? 1024, height: settings.height ?? 768 },
  javaScriptEnabled: settings.script ?? true,
});
const complaints = [];
const requested = [];
const page = await context.newPage();
const left = [];
page.on('console', (message) => {
  if (message.type() === 'error' || message.type() === 'warning') complaints.push(`${message.text()} ${message.location()?.url ?? ''}`);
});
page.on('pageerror', (error) => complaints.push(String(error)));
page.on('request', (request) => requested.push(request.url()));
page.on('request', (request) => { if (request.isNavigationRequest()) left.push(request.url()); });

/** What a reader, a screen reader and a narrow screen would find wrong or right. */
function inspect() {
  const text = (element) => element.textContent.replace(/\s+/g, ' ').trim();
  const nameOf = (control) => control.getAttribute('aria-label')
    ?? (control.labels?.length ? [...control.labels].map(text).join(' ') : '')
    ?? '';
  const controls = [...document.querySelectorAll('input:not([type=hidden]),select,textarea')];
  const style = getComputedStyle(document.body);
  return {
    url: location.href,
    title: document.title,
    lang: document.documentElement.lang,
    text: document.body.innerText,
    headings: [...document.querySelectorAll('h1')].map(text),
    has_main: document.querySelector('main,[role=main]') !== null,
    unlabelled: controls.filter((control) => !nameOf(control)).map((control) => control.outerHTML),
    nameless_buttons: [...document.querySelectorAll('button,a[href]')]
      .filter((button) => !text(button) && !button.getAttribute('aria-label')).length,
    controls: [...document.querySelectorAll('input:not([type=hidden]),button,a[href]')].map((element) => ({
      tag: element.tagName.toLowerCase(),
      type: element.getAttribute('type'),
      name: element.getAttribute('name'),
      text: text(element) || nameOf(element),
    })),
    scrolls_sideways: document.documentElement.scrollWidth > document.documentElement.clientWidth,
    inline_scripts: document.querySelectorAll('script').length,
    background: style.backgroundColor,
    color: style.color,
  };
}

const commands = {
  goto: async ({ url }) => {
    const response = await page.goto(url, { waitUntil: 'load' });
    return { status: response?.status() ?? null, headers: response ? await response.allHeaders() : {} };
  },
  inspect: () => page.evaluate(inspect),
  screenshot: async ({ name }) => {
    const path = `${settings.screenshots}/${name}.png`;
    await page.screenshot({ path, fullPage: true });
    return path;
  },
  // Moves the focus by Tab until it is on an element that fits, as a person without a mouse would.
  focus: async ({ selector }) => {
    for (let step = 0; step < 40; step += 1) {
      if (await page.evaluate((wanted) => document.activeElement?.matches(wanted) ?? false, selector)) return step;
      await page.keyboard.press('Tab');
    }
    throw new Error(`the keyboard does not reach ${selector}`);
  },
  press: async ({ key, navigates }) => {
    if (!navigates) return page.keyboard.press(key);
    await Promise.all([page.waitForEvent('framenavigated'), page.keyboard.press(key)]);
    return page.waitForLoadState('load');
  },
  type: ({ text }) => page.keyboard.type(text),
  check: ({ selector }) => page.locator(selector).check(),
  fill: ({ selector, text }) => page.locator(selector).fill(text),
  click: async ({ selector }) => { await page.locator(selector).first().click(); },
  // Waits until the address begins like this (and the page is there).
  wait_for: async ({ prefix }) => {
    await page.waitForURL((url) => url.href.startsWith(prefix), { timeout: 20000, waitUntil: 'load' });
    return page.url();
  },
  appear: ({ selector }) => page.locator(selector).first().waitFor({ timeout: 20000 }),
  wait_for_text: async ({ text }) => { await page.getByText(text).first().waitFor({ timeout: 20000 }); },
  // Waits until the browser asks for an address that begins like this, whether or not it answers.
  arrival: async ({ prefix }) => {
    for (;;) {
      const arrived = left.find((url) => url.startsWith(prefix));
      if (arrived) return arrived;
      await page.waitForRequest((request) => request.url().startsWith(prefix), { timeout: 20000 });
    }
  },
  url: () => page.url(),
  complaints: () => complaints,
  requested: () => requested,
  cookies: () => context.cookies(),
  // Evaluated in the page: a browser MCP client is a script of another origin.
  evaluate: ({ script }) => page.evaluate(script),
};

say({ ready: true, port: 0 });
await serveCommands(commands);
await browser.close();
process.exit(0);
