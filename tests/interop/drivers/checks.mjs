// What drivers in JavaScript share: what was asked, and one line for each check.

export const asked = JSON.parse(await new Response(process.stdin).text());

export async function check(name, body) {
  const began = performance.now();
  let ok = true, detail = "";
  try {
    await body();
  } catch (error) {
    ok = false;
    detail = `${error?.stack ?? error} ${error?.cause ? JSON.stringify(error.cause) : ""}`.slice(0, 1500);
  }
  console.log(JSON.stringify({ check: name, ok, detail, seconds: (performance.now() - began) / 1000 }));
}

export async function refused(promise, sees = () => true) {
  let error;
  try {
    await promise;
  } catch (caught) {
    error = caught;
  }
  if (!error) throw new Error("it was not refused");
  if (!sees(error)) throw error;
}

export function scopes(answer) {
  return (answer.scope ?? "").split(" ").filter(Boolean);
}

/** A new key pair of a client (`runners/{id}` or `services/{id}`), its public half registered. */
export async function newKey(client, algorithm = { name: "ECDSA", namedCurve: "P-256" }, alg) {
  const pair = await crypto.subtle.generateKey(algorithm, true, ["sign", "verify"]);
  const { kty, crv, x, y, n, e } = await crypto.subtle.exportKey("jwk", pair.publicKey);
  const kid = crypto.randomUUID();
  await register(client, [{ kty, crv, x, y, n, e, kid, alg }]);
  return { key: pair.privateKey, kid };
}

export async function register(client, keys) {
  const headers = { authorization: `Bearer ${asked.admin}`, "content-type": "application/json", "if-match": "*" };
  const url = `${asked.url}/v1/${client}/jwks`;
  const answer = await fetch(url, { method: "PUT", headers, body: JSON.stringify({ keys }) });
  if (!answer.ok) throw new Error(`PUT ${url}: ${answer.status} ${await answer.text()}`);
}

/** Whether a runner's token opens what runners open: a heartbeat for no job is no answer about the token. */
export async function isRunner(token) {
  const headers = { authorization: `Bearer ${token}`, "content-type": "application/json" };
  const url = `${asked.url}/v1/jobs/00000000-0000-7000-8000-000000000000/heartbeat`;
  return (await fetch(url, { method: "POST", headers, body: "{}" })).status === 404;
}
