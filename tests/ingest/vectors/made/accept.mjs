// Asks npm packages that receive a provider's requests whether they accept the rows that say so: see ../README.md.
// usage: node accept.mjs FOLDER   (of the vectors)
import { readFileSync } from "node:fs";
import { createRequire } from "node:module";
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
async function rivet({ secret, headers, body }) {
  const { AwsLambdaReceiver } = require("@zoom/rivet/meetings");
  const answer = await new AwsLambdaReceiver({ webhooksSecretToken: secret }).start()({ headers, body, isBase64Encoded: false }, {});
  return answer.statusCode === 200;
}
const accepts = {
  asana: (request) => n8n("Asana/AsanaTriggerHelpers", request),
  calcom: (request) => n8n("Cal/CalTriggerHelpers", request),
  calendly: (request) => n8n("Calendly/CalendlyTriggerHelpers", request),
  customerio: (request) => n8n("CustomerIo/CustomerIoTriggerHelpers", request),
  trello: (request) => n8n("Trello/TrelloTriggerHelpers", request),
  typeform: (request) => n8n("Typeform/TypeformTriggerHelpers", request),
  zendesk: (request) => n8n("Zendesk/ZendeskTriggerHelpers", request),
  zoom: rivet,
};

console.debug = () => {};
for (const [scheme, accepted] of Object.entries(accepts)) {
  for (const { secret, at, request } of JSON.parse(readFileSync(`${folder}/${scheme}.json`))) {
    Date.now = () => at * 1000;
    const headers = Object.fromEntries(request.headers.map(([name, value]) => [name.toLowerCase(), value]));
    const given = { secret, headers, body: request.body, url: request.public_url };
    const changed = { ...given, body: request.body.replace("{", '{"x":1,') };
    if (!(await accepted(given))) throw new Error(`${scheme}: not accepted`);
    for (const other of [changed, { ...given, secret: `${secret}x` }]) {
      if (await accepted(other)) throw new Error(`${scheme}: accepts another request`);
    }
    console.log(`${scheme}: accepted`);
  }
}
