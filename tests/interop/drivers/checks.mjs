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
