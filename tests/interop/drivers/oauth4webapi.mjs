// oauth4webapi checks answers to the letter of the RFCs: media types, types of members, the issuer.

import * as oauth from "oauth4webapi";
import assert from "node:assert/strict";
import { asked, check, isRunner, newKey, refused, scopes } from "./checks.mjs";

const issuer = new URL(asked.issuer);
const insecure = { [oauth.allowInsecureRequests]: issuer.protocol === "http:" };
const { service, runner, project } = asked;
const basic = oauth.ClientSecretBasic(service.client_secret);
let server;

async function introspect(token, authenticate = basic) {
  const client = { client_id: service.client_id };
  const options = { ...insecure, additionalParameters: { project } };
  const response = await oauth.introspectionRequest(server, client, authenticate, token, options);
  return oauth.processIntrospectionResponse(server, client, response);
}

async function revoke(client, authenticate, token) {
  const response = await oauth.revocationRequest(server, client, authenticate, token, insecure);
  await oauth.processRevocationResponse(response);
}

async function exchange(subject_token, more) {
  const client = { client_id: runner.client_id };
  const parameters = { subject_token, subject_token_type: "urn:ietf:params:oauth:token-type:access_token", ...more };
  const grant = "urn:ietf:params:oauth:grant-type:token-exchange";
  const response = await oauth.genericTokenEndpointRequest(server, client, oauth.None(), grant, parameters, insecure);
  return oauth.processGenericTokenEndpointResponse(server, client, response);
}

function challenged(error) {
  return error instanceof oauth.WWWAuthenticateChallengeError && error.status === 401 && error.cause[0].scheme === "basic";
}

await check("metadata", async () => {
  const response = await oauth.discoveryRequest(issuer, { algorithm: "oauth2", ...insecure });
  server = await oauth.processDiscoveryResponse(issuer, response);
  assert.equal(server.introspection_endpoint, `${asked.issuer}/oauth/introspect`);
});
await check("allowed", async () => {
  const answer = await introspect(asked.allowed);
  assert.equal(answer.active, true);
  assert(scopes(answer).includes("packages:read"));
});
await check("denied", async () => {
  const answer = await introspect(asked.denied);
  assert.equal(answer.active, true);
  assert.deepEqual(scopes(answer), []);
});
for (const dead of ["revoked", "expired"]) {
  await check(dead, async () => assert.deepEqual(await introspect(asked[dead]), { active: false }));
}
await check("client_secret_post", async () => {
  assert.equal((await introspect(asked.allowed, oauth.ClientSecretPost(service.client_secret))).active, true);
});
await check("Bearer", async () => {
  const bearer = (_server, _client, _body, headers) => headers.set("authorization", `Bearer ${service.client_secret}`);
  assert.equal((await introspect(asked.allowed, bearer)).active, true);
});
await check("wrong secret", async () => {
  for (const authenticate of [oauth.ClientSecretBasic, oauth.ClientSecretPost]) {
    await refused(introspect(asked.allowed, authenticate("jps_nobody")), challenged);
  }
});
await check("revocation", async () => {
  await revoke({ client_id: runner.client_id }, oauth.ClientSecretBasic(runner.client_secret), asked.spare[0]);
  assert.deepEqual(await introspect(asked.spare[0]), { active: false });
});
await check("exchange", async () => {
  const narrow = await exchange(asked.spare[1], { scope: "packages:read" });
  assert.equal(narrow.scope, "packages:read");
  assert.equal(narrow.token_type, "bearer");
  assert.deepEqual(scopes(await introspect(narrow.access_token)), ["packages:read"]);
  const dead = (error) => error.status === 400 && error.error === "invalid_request";
  await refused(exchange(asked.revoked, { scope: "packages:read" }), dead);
});
await check("private_key_jwt", async () => {
  const rsa = { name: "RSA-PSS", modulusLength: 2048, publicExponent: new Uint8Array([1, 0, 1]), hash: "SHA-256" };
  for (const [algorithm, alg] of [[undefined, undefined], [{ name: "Ed25519" }, undefined], [rsa, "PS256"]]) {
    const key = await newKey(`services/${service.client_id}`, algorithm, alg);
    assert.equal((await introspect(asked.allowed, oauth.PrivateKeyJwt(key))).active, true);
    await refused(introspect(asked.allowed, oauth.PrivateKeyJwt({ ...key, kid: "unknown" })), challenged);
  }
});
await check("client_credentials", async () => {
  const client = { client_id: runner.client_id };
  const signed = oauth.PrivateKeyJwt(await newKey(`runners/${runner.client_id}`));
  const response = await oauth.clientCredentialsGrantRequest(server, client, signed, new URLSearchParams(), insecure);
  const answer = await oauth.processClientCredentialsResponse(server, client, response);
  assert.equal(answer.token_type, "bearer");
  assert(await isRunner(answer.access_token));
  await revoke(client, signed, answer.access_token);
  assert.equal(await isRunner(answer.access_token), false);
  const scoped = new URLSearchParams({ scope: "packages:read" });
  const wide = await oauth.clientCredentialsGrantRequest(server, client, signed, scoped, insecure);
  await refused(oauth.processClientCredentialsResponse(server, client, wide), (error) => error.error === "invalid_scope");
});
