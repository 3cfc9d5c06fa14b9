// openid-client: what most services in JavaScript use.

import * as client from "openid-client";
import assert from "node:assert/strict";
import { asked, check, isRunner, newKey, refused, scopes } from "./checks.mjs";

const issuer = new URL(asked.issuer);
const execute = issuer.protocol === "http:" ? [client.allowInsecureRequests] : [];
const { service, runner, project } = asked;

function configure(id, authenticate, algorithm = "oauth2") {
  return client.discovery(issuer, id, undefined, authenticate, { execute, algorithm });
}

function introspect(config, token) {
  return client.tokenIntrospection(config, token, { project });
}

let basic;
await check("metadata", async () => {
  basic = await configure(service.client_id, client.ClientSecretBasic(service.client_secret));
  assert.equal(basic.serverMetadata().token_endpoint, `${asked.issuer}/oauth/token`);
});
await check("allowed", async () => {
  const answer = await introspect(basic, asked.allowed);
  assert.equal(answer.active, true);
  assert(scopes(answer).includes("packages:read"));
});
await check("denied", async () => assert.deepEqual(scopes(await introspect(basic, asked.denied)), []));
for (const dead of ["revoked", "expired"]) {
  await check(dead, async () => assert.deepEqual(await introspect(basic, asked[dead]), { active: false }));
}
await check("client_secret_post", async () => {
  const post = await configure(service.client_id, client.ClientSecretPost(service.client_secret));
  assert.equal((await introspect(post, asked.allowed)).active, true);
});
await check("wrong secret", async () => {
  const wrong = await configure(service.client_id, client.ClientSecretPost("jps_nobody"));
  await refused(introspect(wrong, asked.allowed), (error) => error.status === 401);
});
await check("revocation", async () => {
  const config = await configure(runner.client_id, client.ClientSecretBasic(runner.client_secret));
  await client.tokenRevocation(config, asked.spare[0]);
  assert.deepEqual(await introspect(basic, asked.spare[0]), { active: false });
});
await check("exchange", async () => {
  const holder = await configure(runner.client_id, client.None());
  const parameters = {
    subject_token: asked.spare[1],
    subject_token_type: "urn:ietf:params:oauth:token-type:access_token",
    scope: "packages:read",
  };
  const grant = "urn:ietf:params:oauth:grant-type:token-exchange";
  const narrow = await client.genericGrantRequest(holder, grant, parameters);
  assert.deepEqual(scopes(await introspect(basic, narrow.access_token)), ["packages:read"]);
});
await check("private_key_jwt", async () => {
  for (const algorithm of [{ name: "ECDSA", namedCurve: "P-256" }, { name: "Ed25519" }]) {
    const key = await newKey(`services/${service.client_id}`, algorithm);
    const signed = await configure(service.client_id, client.PrivateKeyJwt(key));
    assert.equal((await introspect(signed, asked.allowed)).active, true);
    const unknown = { ...key, kid: "unknown" };
    const other = await configure(service.client_id, client.PrivateKeyJwt(unknown));
    await refused(introspect(other, asked.allowed), (error) => error.status === 401);
  }
});
await check("client_credentials", async () => {
  const key = await newKey(`runners/${runner.client_id}`);
  const signed = await configure(runner.client_id, client.PrivateKeyJwt(key));
  const answer = await client.clientCredentialsGrant(signed);
  assert(answer.expires_in <= 600 && (await isRunner(answer.access_token)));
  await client.tokenRevocation(signed, answer.access_token);
  assert.equal(await isRunner(answer.access_token), false);
});
