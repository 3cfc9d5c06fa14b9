// jose signs what a client says of itself, and the request is made by hand: how a service without an OAuth library does it.

import * as jose from "jose";
import assert from "node:assert/strict";
import { asked, check, register, scopes } from "./checks.mjs";

const { issuer, service, project } = asked;
const me = service.client_id;
let used;

/** Good, but for what `change` does to it. */
async function assertion({ privateKey, alg, kid }, change = (jwt) => jwt, header = {}) {
  const jwt = new jose.SignJWT({}).setProtectedHeader({ alg, kid, ...header });
  jwt.setIssuer(me).setSubject(me).setAudience(issuer).setIssuedAt().setExpirationTime("1m").setJti(crypto.randomUUID());
  return change(jwt).sign(privateKey);
}

async function introspect(token, client_assertion) {
  const client_assertion_type = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer";
  const body = new URLSearchParams({ token, project, client_assertion_type, client_assertion });
  const answer = await fetch(`${asked.url}/oauth/introspect`, { method: "POST", body });
  return { status: answer.status, ...(await answer.json()) };
}

async function keyPair(alg) {
  const { publicKey, privateKey } = await jose.generateKeyPair(alg, { extractable: true });
  const kid = await jose.calculateJwkThumbprint(await jose.exportJWK(publicKey));
  await register(`services/${me}`, [{ ...(await jose.exportJWK(publicKey)), kid, alg }]);
  return { publicKey, privateKey, alg, kid };
}

for (const alg of ["RS256", "PS512", "ES256", "ES384", "EdDSA", "Ed25519"]) {
  await check(alg, async () => {
    used = await keyPair(alg);
    assert.equal((await introspect(asked.allowed, await assertion(used))).active, true);
  });
}
await check("allowed", async () => {
  const answer = await introspect(asked.allowed, await assertion(used));
  assert.equal(answer.active, true);
  assert(scopes(answer).includes("packages:read"));
});
await check("denied", async () => {
  const answer = await introspect(asked.denied, await assertion(used));
  assert.equal(answer.active, true);
  assert.deepEqual(scopes(answer), []);
});
for (const dead of ["revoked", "expired"]) {
  await check(dead, async () => {
    assert.deepEqual(await introspect(asked[dead], await assertion(used)), { status: 200, active: false });
  });
}
await check("once", async () => {
  const text = await assertion(used);
  assert.equal((await introspect(asked.allowed, text)).active, true);
  assert.equal((await introspect(asked.allowed, text)).error, "invalid_client");
});
await check("what is wrong is refused", async () => {
  const now = Math.floor(Date.now() / 1000);
  for (const change of [
    (jwt) => jwt.setAudience(`${issuer}/oauth/introspect`),
    (jwt) => jwt.setAudience([issuer, "https://other.example.com"]),
    (jwt) => jwt.setIssuer("another"),
    (jwt) => jwt.setExpirationTime(now - 120),
    (jwt) => jwt.setExpirationTime("2h"),
    (jwt) => jwt.setNotBefore(now + 120),
  ]) {
    const answer = await introspect(asked.allowed, await assertion(used, change));
    assert.deepEqual([answer.status, answer.error], [401, "invalid_client"]);
  }
  const secret = await jose.exportSPKI((await keyPair("RS256")).publicKey);
  const confused = { privateKey: new TextEncoder().encode(secret), alg: "HS256" };
  assert.equal((await introspect(asked.allowed, await assertion(confused))).status, 401);
  const unsecured = new jose.UnsecuredJWT({}).setIssuer(me).setSubject(me).setAudience(issuer);
  const text = unsecured.setExpirationTime("1m").setJti("1").encode();
  assert.equal((await introspect(asked.allowed, text)).status, 401);
});
