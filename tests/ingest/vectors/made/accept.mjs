// Asks npm packages that receive a provider's requests whether they accept the rows that say so: see ../README.md.
// usage: node accept.mjs FOLDER   (of the vectors)
import { readFileSync, writeFileSync } from "node:fs";
import Module, { createRequire } from "node:module";
const require = createRequire(`${process.cwd()}/`);
const folder = process.argv[2];

// What the triggers of n8n-nodes-base see of a request; they read the clock.
async function n8n(path, { secret, headers, body, url }) {
  const { verifySignature } = require(`n8n-nodes-base/dist/nodes/${path}.js`);
  const rawBody = Buffer.from(body);
  return verifySignature.call({
    getRequestObject: () => ({ rawBody, header: (name) => headers[name] }),
    getHeaderData: () => headers,
    getWorkflowStaticData: () => ({ hookSecret: secret, webhookSecret: secret }),
    getCredentials: async () => ({ oauthSecret: secret, webhookSigningKey: secret }),
    getNodeParameter: (_name, usual) => usual,
    getNodeWebhookUrl: () => url,
  });
}
// Triggers that do not keep their check apart: what else they need is not there, and anything is taken for it.
async function trigger(path, name, { secret, headers, body }) {
  const load = Module._load, anything = new Proxy(function () {}, { get: () => anything, apply: () => anything, construct: () => ({}) });
  Module._load = (...given) => {
    try {
      return load(...given);
    } catch (error) {
      if (error.code === "MODULE_NOT_FOUND") return anything;
      throw error;
    }
  };
  const { [name]: Trigger } = require(`n8n-nodes-base/dist/nodes/${path}.js`);
  Module._load = load;
  const [id, node] = secret.split("_"); // of which n8n makes the token for Telegram
  const answer = await Trigger.prototype.webhook.call({
    getRequestObject: () => ({ body: JSON.parse(body) }),
    getResponseObject: () => ({ status: () => ({ json() {} }) }),
    getHeaderData: () => headers,
    getBodyData: () => JSON.parse(body),
    getWorkflowStaticData: () => ({ secret }),
    getCredentials: async () => ({}),
    getNodeParameter: () => ({}),
    getWorkflow: () => ({ id }),
    getNode: () => ({ id: node, typeVersion: 2 }),
    helpers: { returnJsonArray: (items) => items },
  });
  return answer.workflowData !== undefined;
}
async function figma({ secret, body }) {
  const { verifySignature } = require("n8n-nodes-base/dist/nodes/Figma/FigmaTriggerHelpers.js");
  return verifySignature.call({ getWorkflowStaticData: () => ({ webhookSecret: secret }), getBodyData: () => JSON.parse(body) });
}
async function nuxt(name, call, { secret, headers, body }) {
  const { buildSync } = require("esbuild");
  const from = `node_modules/nuxt-webhook-validators/dist/runtime/server/lib/validators/${name}.js`;
  writeFileSync("imports.js", "export const useRuntimeConfig = () => globalThis.nuxtConfig;\n");
  buildSync({ entryPoints: [from], bundle: true, platform: "node", format: "cjs", outfile: `${name}.cjs`, alias: { "#imports": "./imports.js" } });
  globalThis.nuxtConfig = { webhook: { [name]: { secretKey: secret } } };
  const req = new Request("https://hooks.example.com/", { method: "POST", headers, body });
  return require(`./${name}.cjs`)[call]({ req, headers: req.headers, node: { req: { headers } } });
}
async function rivet({ secret, headers, body }) {
  const { AwsLambdaReceiver } = require("@zoom/rivet/meetings");
  const answer = await new AwsLambdaReceiver({ webhooksSecretToken: secret }).start()({ headers, body, isBase64Encoded: false }, {});
  return answer.statusCode === 200;
}
const accepts = {
  asana: (request) => n8n("Asana/AsanaTriggerHelpers", request),
  calcom: (request) => n8n("Cal/CalTriggerHelpers", request),
  calendly: (request) => n8n("Calendly/CalendlyTriggerHelpers", request),
  clickup: (request) => trigger("ClickUp/ClickUpTrigger.node", "ClickUpTrigger", request),
  customerio: (request) => n8n("CustomerIo/CustomerIoTriggerHelpers", request),
  figma,
  heroku: (request) => nuxt("heroku", "isValidHerokuWebhook", request),
  telegram: (request) => trigger("Telegram/TelegramTrigger.node", "TelegramTrigger", request),
  trello: (request) => n8n("Trello/TrelloTriggerHelpers", request),
  typeform: (request) => n8n("Typeform/TypeformTriggerHelpers", request),
  vercel: (request) => nuxt("vercel", "isValidVercelWebhook", request),
  zendesk: (request) => n8n("Zendesk/ZendeskTriggerHelpers", request),
  zoom: rivet,
};

const unsigned = ["figma", "telegram"]; // they send the secret itself

console.debug = () => {};
for (const [scheme, accepted] of Object.entries(accepts)) {
  for (const { secret, at, request } of JSON.parse(readFileSync(`${folder}/${scheme}.json`))) {
    Date.now = () => at * 1000;
    const headers = Object.fromEntries(request.headers.map(([name, value]) => [name.toLowerCase(), value]));
    const given = { secret, headers, body: request.body, url: request.public_url };
    const changed = { ...given, body: request.body.replace("{", '{"x":1,') };
    if (!(await accepted(given))) throw new Error(`${scheme}: not accepted`);
    const others = unsigned.includes(scheme) ? [] : [changed];
    for (const other of [...others, { ...given, secret: `${secret}x` }]) {
      if (await accepted(other)) throw new Error(`${scheme}: accepts another request`);
    }
    console.log(`${scheme}: accepted`);
  }
}
