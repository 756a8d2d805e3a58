// Hold room, charge it, see a denial, repeat safely: REST from Node 18 or later, with nothing but its own fetch.
import { randomUUID } from "node:crypto";

const url = process.env.TOLLGATE_URL || "http://127.0.0.1:8080";
const token = process.env.TOLLGATE_TOKEN;

/** The status and the body of an answer. Every call has a deadline; no answer is an exception. */
async function post(path, body, key) {
  const response = await fetch(url + path, {
    method: "POST",
    headers: {
      "Content-Type": "application/json",
      ...(token ? { Authorization: `Bearer ${token}` } : {}),
      ...(key ? { "Idempotency-Key": key } : {}),
    },
    body: JSON.stringify(body),
    signal: AbortSignal.timeout(5000),
  });
  const answer = await response.json();
  // 403 and 429 may be denials: `x-should-retry: false` tells them from a caller that is too fast.
  const isDenial = [403, 429].includes(response.status) && response.headers.get("x-should-retry") === "false";
  if (!response.ok && !isDenial) {
    throw new Error(`${response.status} ${answer.errors?.[0]?.code}: ${answer.errors?.[0]?.detail}`);
  }
  return answer;
}

async function main() {
  const message = {
    tenant_id: "globex",
    messaging_profile_id: "globex-bulk",
    action: "send_message",
    quantities: { spend: "0.004" },
  };
  // One key for each message: the same request under it is decided once, however often it is sent.
  const key = randomUUID();
  const answer = await post("/v2/check_and_reserve", message, key);
  if (answer.errors) {
    console.log("denied:", answer.errors[0].code, answer.errors[0].title);
    return 3;
  }
  console.log("held: 0.004 USD");
  const again = await post("/v2/check_and_reserve", message, key);
  console.log("repeated:", again.data.id === answer.data.id ? "the same hold" : "another hold");

  await post(`/v2/reservations/${answer.data.id}/actions/commit`, {});
  console.log("committed");

  const denied = await post("/v2/check_and_reserve", {
    tenant_id: "initech",
    action: "provision_extension",
    quantities: { extensions: 10000 },
  });
  for (const reason of denied.errors ?? []) console.log("denied:", reason.code, reason.title);
  return 0;
}

try {
  process.exitCode = await main();
} catch (error) {
  // No answer: the message is not sent. docs/clients/failure.md has the other choice.
  console.error("no answer:", error.message);
  process.exitCode = 1;
}
