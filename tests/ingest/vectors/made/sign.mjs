// Prints the vectors that the providers' own npm packages sign, or whose signature they accept: see ../README.md.
import { createHmac, createHash, sign as signWith, generateKeyPairSync } from "node:crypto";
import { readFileSync } from "node:fs";
const rows = [];
const AT = 1700000000;
const URL = "https://hooks.example.com/webhook/x";
function row(scheme, pack, how, secret, headers, body, event_id, event_type, more = {}) {
  const { version } = JSON.parse(readFileSync(`node_modules/${pack}/package.json`));
  const { public_url, ...rest } = more;
  const request = { headers: [["Content-Type", "application/json"], ...Object.entries(headers)], body };
  if (public_url) Object.assign(request, { public_url, url: public_url.replace("https://hooks.example.com", "") });
  rows.push({ scheme, source: `${pack} ${version} (npm), ${how}`, made_by: "sdk", published: false, secret, at: AT, request, event_id, event_type, ...rest });
}
function must(accepted, what) {
  if (!accepted) throw new Error(`${what} does not accept it`);
}
const hex = (secret, text, hash = "sha256") => createHmac(hash, secret).update(text).digest("hex");
// The clock of a package that reads it.
const at = async (ms, call) => {
  const now = Date.now;
  Date.now = () => ms;
  try {
    return await call();
  } finally {
    Date.now = now;
  }
};

{
  const { default: Stripe } = await import("stripe");
  const body = '{"id":"evt_1","object":"event","type":"invoice.paid"}', secret = "whsec_test_secret";
  const header = new Stripe("sk_test_1").webhooks.generateTestHeaderString({ payload: body, secret, timestamp: AT });
  row("stripe", "stripe", "webhooks.generateTestHeaderString", secret, { "Stripe-Signature": header }, body, "evt_1", "invoice.paid");
}
{
  const { sign } = await import("@octokit/webhooks-methods");
  const body = '{"action":"opened","number":1}';
  row("github", "@octokit/webhooks-methods", "sign", "mysecret", { "X-GitHub-Event": "pull_request", "X-GitHub-Delivery": "72d3162e-cc78-11e3-81ab-4c9367dc0958", "X-Hub-Signature-256": await sign("mysecret", body) }, body, "72d3162e-cc78-11e3-81ab-4c9367dc0958", "pull_request");
}
{
  const { signWebhookPayload } = await import("@notionhq/client");
  const body = '{"id":"367cba44-b6f3-4c92-81e7-6a2e9659efd4","type":"page.created","entity":{"id":"153104cd","type":"page"}}';
  const signature = await signWebhookPayload({ body, verificationToken: "secret_tMrlL1qK5vuQAh1b6cZGhFChZTSYJlce98V0pYn7yBl" });
  row("notion", "@notionhq/client", "signWebhookPayload", "secret_tMrlL1qK5vuQAh1b6cZGhFChZTSYJlce98V0pYn7yBl", { "X-Notion-Signature": signature }, body, "367cba44-b6f3-4c92-81e7-6a2e9659efd4", "page.created");
}
{
  const { Signature } = await import("@hubspot/api-client");
  const body = '[{"eventId":1,"subscriptionId":12345,"portalId":62515,"occurredAt":1564113600000,"subscriptionType":"contact.creation","attemptNumber":0,"objectId":123}]';
  const secret = "6bbd3d0c-7a26-4b1a-8d5d-1f2a3b4c5d6e", id = "1.12345.1564113600000";
  for (const version of ["v1", "v2", "v3"]) {
    const signature = Signature.getSignature("POST", version, { clientSecret: secret, requestBody: body, url: URL, timestamp: AT * 1000 });
    const headers = version === "v3" ? { "X-HubSpot-Request-Timestamp": `${AT * 1000}`, "X-HubSpot-Signature-v3": signature } : { "X-HubSpot-Signature-Version": version, "X-HubSpot-Signature": signature };
    row("hubspot", "@hubspot/api-client", `Signature.getSignature ${version}`, secret, headers, body, id, "contact.creation", { public_url: URL, options: { version }, dated: version === "v3" });
  }
}
{
  const { LinearWebhookClient } = await import("@linear/sdk/webhooks");
  const body = `{"action":"create","type":"Issue","data":{"id":"2174add1"},"webhookTimestamp":${AT * 1000}}`;
  const signature = hex("lin_wh_secret", body);
  must(await at(AT * 1000, () => new LinearWebhookClient("lin_wh_secret").verify(Buffer.from(body), signature)), "linear");
  row("linear", "@linear/sdk", "accepted by LinearWebhookClient.verify", "lin_wh_secret", { "Linear-Delivery": "234d1a4e-b617-4388-90fe-adc3633d6b72", "Linear-Signature": signature }, body, "234d1a4e-b617-4388-90fe-adc3633d6b72", "Issue.create");
}
{
  const { WorkOS } = await import("@workos-inc/node");
  const body = '{"id":"wh_123","event":"dsync.user.created","data":{"id":"directory_user_1"}}', secret = "a-webhook-secret";
  const webhooks = new WorkOS("sk_1").webhooks;
  const digest = await webhooks.computeSignature(AT * 1000, JSON.parse(body), secret);
  row("workos", "@workos-inc/node", "webhooks.computeSignature", secret, { "WorkOS-Signature": `t=${AT * 1000}, v1=${digest}` }, body, "wh_123", "dsync.user.created");
}
{
  const { signRequest } = await import("@contentful/node-apps-toolkit");
  const body = '{"sys":{"type":"Entry","id":"6KntaYXaHSyIw8M6eo26OK","revision":1}}', secret = "x".repeat(32) + "Y".repeat(32);
  for (const path of ["/webhook/x", "/webhook/x?a=1&b=two words"]) {
    const topic = { "X-Contentful-Topic": "ContentManagement.Entry.publish" };
    const headers = signRequest(secret, { method: "POST", path, headers: topic, body }, AT * 1000);
    row("contentful", "@contentful/node-apps-toolkit", "signRequest", secret, { ...topic, ...headers }, body, null, "ContentManagement.Entry.publish", { public_url: `https://hooks.example.com${path}` });
  }
}
{
  const { verifyKey } = await import("discord-interactions");
  const { publicKey, privateKey } = generateKeyPairSync("ed25519");
  const key = publicKey.export({ format: "jwk" }).x;
  const body = '{"type":2,"id":"787053080478613555","application_id":"1234560123453231555","data":{"name":"search"}}';
  const signature = signWith(null, Buffer.from(`${AT}${body}`), privateKey).toString("hex");
  const secret = Buffer.from(key, "base64url").toString("hex");
  must(await verifyKey(body, signature, `${AT}`, secret), "discord");
  row("discord", "discord-interactions", "accepted by verifyKey", secret, { "X-Signature-Timestamp": `${AT}`, "X-Signature-Ed25519": signature }, body, "787053080478613555", "interaction.2");
}
{
  const { default: twilio } = await import("twilio");
  const body = "MessageSid=SM1&MessageStatus=delivered&From=%2B15017122661&Body=%C3%A9+%26+%3D&Media=b&Media=a";
  const params = { MessageSid: "SM1", MessageStatus: "delivered", From: "+15017122661", Body: "é & =", Media: ["b", "a"] };
  const signature = twilio.getExpectedTwilioSignature("12345", URL, params);
  const form = ["Content-Type", "application/x-www-form-urlencoded"];
  row("twilio", "twilio", "getExpectedTwilioSignature", "12345", { "X-Twilio-Signature": signature, "I-Twilio-Idempotency-Token": "b5c7a4d1" }, body, "b5c7a4d1", "delivered", { public_url: URL });
  rows.at(-1).request.headers[0] = form;
}
{
  const { Webhook } = await import("standardwebhooks");
  const body = '{"type":"contact.created","data":{"id":"1f81eb52"}}', secret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw", id = "msg_2KWPBgLlAfxdpx2AI54pPJ85f4W";
  const headers = { "webhook-id": id, "webhook-timestamp": `${AT}`, "webhook-signature": new Webhook(secret).sign(id, new Date(AT * 1000), body) };
  row("standard", "standardwebhooks", "Webhook.sign", secret, headers, body, id, "contact.created");
  row("gitlab", "standardwebhooks", "Webhook.sign, as GitLab's documentation says of signing tokens", secret, { ...headers, "Idempotency-Key": id, "X-Gitlab-Event": "Push Hook" }, body.replace("type", "object_kind"), id, "contact.created");
  rows.at(-1).request.headers.find(([name]) => name === "webhook-signature")[1] = new Webhook(secret).sign(id, new Date(AT * 1000), body.replace("type", "object_kind"));
}
{
  const { verifySignature } = await import("@vonage/jwt");
  const { SignJWT } = await import("jose");
  const body = '{"message_uuid":"aaaaaaaa-bbbb-cccc-dddd-0123456789ab","status":"delivered"}', secret = "a signature secret of vonage, long";
  const claims = { iss: "Vonage", payload_hash: createHash("sha256").update(body).digest("hex"), api_key: "abcd1234" };
  const token = await new SignJWT(claims).setProtectedHeader({ alg: "HS256", typ: "JWT" }).setIssuedAt(AT).setJti("c5ba8f24").sign(new TextEncoder().encode(secret));
  must(verifySignature(token, secret), "vonage");
  row("vonage", "@vonage/jwt", "a token of jose, accepted by verifySignature", secret, { Authorization: `Bearer ${token}` }, body, null, "delivered");
}
{
  const { SignJWT } = await import("jose");
  const body = '{"type":"order.created"}';
  const claims = { payload_hash: createHash("sha256").update(body).digest("base64url") };
  const signed = (alg, key) => new SignJWT(claims).setProtectedHeader({ alg }).setIssuedAt(AT).setExpirationTime(AT + 30).setIssuer("acme").setAudience("headrace").sign(key);
  const kinds = { RS256: ["rsa", { modulusLength: 2048 }], PS256: ["rsa", { modulusLength: 2048 }], ES256: ["ec", { namedCurve: "P-256" }], EdDSA: ["ed25519", {}] };
  const secret = "0123456789abcdef0123456789abcdef";
  const options = { issuer: "acme", audience: "headrace" };
  row("jwt", "jose", "SignJWT HS256", secret, { Authorization: `Bearer ${await signed("HS256", new TextEncoder().encode(secret))}` }, body, null, "order.created", { options });
  for (const [algorithm, [kind, settings]] of Object.entries(kinds)) {
    const { publicKey, privateKey } = generateKeyPairSync(kind, settings);
    const der = publicKey.export({ format: "der", type: "spki" }).toString("base64");
    const other = generateKeyPairSync(kind, settings).publicKey.export({ format: "der", type: "spki" }).toString("base64");
    row("jwt", "jose", `SignJWT ${algorithm}`, der, { Authorization: `Bearer ${await signed(algorithm, privateKey)}` }, body, null, "order.created", { options: { ...options, algorithm }, other_secret: other });
  }
  const now = new TextEncoder().encode("a signing secret of an app at monday");
  const board = '{"event":{"type":"create_pulse","triggerUuid":"b4f1a0e2","boardId":1771812698}}';
  const token = await new SignJWT({ accountId: 1, userId: 2 }).setProtectedHeader({ alg: "HS256" }).setIssuedAt(AT).setExpirationTime(AT).sign(now);
  row("monday", "jose", "SignJWT, as monday.com's documentation says", "a signing secret of an app at monday", { Authorization: token }, board, "b4f1a0e2", "create_pulse");
  const site = '{"id":"5e6cd6cb","state":"ready"}';
  const claims2 = { iss: "netlify", sha256: createHash("sha256").update(site).digest("hex") };
  const jws = await new SignJWT(claims2).setProtectedHeader({ alg: "HS256" }).sign(now);
  row("netlify", "jose", "SignJWT, as Netlify's documentation says", "a signing secret of an app at monday", { "X-Webhook-Signature": jws }, site, null, "ready");
}
{
  const { default: Mux } = await import("@mux/mux-node");
  const webhooks = new Mux({ tokenId: "1", tokenSecret: "2" }).webhooks;
  const body = '{"type":"video.asset.ready","id":"3a56ac3d-33da-4366-855b-f592d898409d","data":{"id":"a1"}}', secret = "SuperSecret123";
  const header = `t=${AT},v1=${await webhooks.computeSignature(`${AT}.${body}`, secret)}`;
  await at(AT * 1000, () => webhooks.verifySignature(body, { "mux-signature": header }, secret));
  row("mux", "@mux/mux-node", "webhooks.computeSignature, accepted by verifySignature", secret, { "Mux-Signature": header }, body, "3a56ac3d-33da-4366-855b-f592d898409d", "video.asset.ready");
}
{
  const { WebflowClient } = await import("webflow-api");
  const body = '{"triggerType":"form_submission","payload":{"name":"Contact us"}}', secret = "a client secret";
  const headers = { "x-webflow-timestamp": `${AT * 1000}`, "x-webflow-signature": hex(secret, `${AT * 1000}:${body}`) };
  must(await new WebflowClient({ accessToken: "1" }).webhooks.verifySignature({ headers, body, secret }), "webflow");
  row("webflow", "webflow-api", "accepted by webhooks.verifySignature", secret, headers, body, null, "form_submission");
}
{
  const { shopifyApi, ApiVersion, LogSeverity } = await import("@shopify/shopify-api");
  await import("@shopify/shopify-api/adapters/node");
  const body = '{"id":820982911946154508,"name":"#1001"}', secret = "hush";
  const signature = createHmac("sha256", secret).update(body).digest("base64");
  const shopify = shopifyApi({ apiKey: "key", apiSecretKey: secret, hostName: "example.com", apiVersion: Object.values(ApiVersion).at(-2), isEmbeddedApp: true, logger: { level: LogSeverity.Error } });
  const headers = { "X-Shopify-Topic": "orders/create", "X-Shopify-Webhook-Id": "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043", "X-Shopify-Shop-Domain": "example.myshopify.com", "X-Shopify-API-Version": "2025-07", "X-Shopify-Hmac-Sha256": signature };
  const { valid } = await shopify.webhooks.validate({ rawBody: body, rawRequest: { method: "POST", url: "/", headers }, rawResponse: {} });
  must(valid, "shopify");
  row("shopify", "@shopify/shopify-api", "accepted by webhooks.validate", secret, headers, body, "b54557e4-bdd9-4b37-8a5f-bf7d70bcd043", "orders/create");
}
{
  const { ElevenLabsClient } = await import("@elevenlabs/elevenlabs-js");
  const body = '{"type":"post_call_transcription","event_timestamp":1700000000,"data":{"conversation_id":"abc","title":"Ünïcode"}}', secret = "a secret of forty two characters, or so";
  const header = `t=${AT},v0=${hex(secret, `${AT}.${body}`)}`;
  must(await at(AT * 1000, () => new ElevenLabsClient({ apiKey: "1" }).webhooks.constructEvent(body, header, secret)), "elevenlabs");
  row("elevenlabs", "@elevenlabs/elevenlabs-js", "accepted by webhooks.constructEvent", secret, { "ElevenLabs-Signature": header }, body, null, "post_call_transcription");
}
{
  const { createRequire } = await import("node:module");
  const Webhook = createRequire(import.meta.url)("webex-node-bot-framework/lib/webhook.js");
  const body = '{"id":"Y2lzY29z","resource":"messages","event":"created","data":{"id":"M1","roomId":"R1","personEmail":"ünï@example.com"}}', secret = "a secret of forty two characters, or so";
  const signature = hex(secret, body, "sha1"), refusals = [];
  const framework = { options: { webhookSecret: secret, webhookRequestJSONLocation: "body" }, emit() {}, debug: (text) => refusals.push(text) };
  await Promise.resolve(Webhook(framework)({ headers: { "x-spark-signature": signature }, body: JSON.parse(body) })).catch(() => {}); // it goes on to ask Webex
  must(refusals.every((text) => !text.includes("signature")), "webex");
  row("webex", "webex-node-bot-framework", "accepted by its webhook", secret, { "X-Spark-Signature": signature }, body, null, "messages.created");
}
console.log(JSON.stringify(rows, null, 1));
