// Sends an email and waits until the record says that a relay took it. Run by `helm test`.
import { readFileSync } from "node:fs";
import { setTimeout as sleep } from "node:timers/promises";

const { API, INTERNAL, RECIPIENT } = process.env;

function secret(name) {
  try {
    return readFileSync(`/run/secrets/wellsent/${name}`, "utf8").trim();
  } catch {
    console.error(`the Secret has no \`${name}\`, which the test needs`);
    process.exit(1);
  }
}

/** n.b. the network lets a new pod through only after a moment. */
async function request(url, options) {
  for (let attempt = 1; ; attempt += 1) {
    try {
      return await fetch(url, options);
    } catch (error) {
      if (attempt === 30) throw error;
      await sleep(1_000);
    }
  }
}

const response = await request(`${API}/send`, {
  method: "POST",
  headers: { authorization: `Bearer ${secret("key")}`, "content-type": "application/json" },
  body: JSON.stringify({ toaddr: RECIPIENT, subject: "helm test", body: "It works." }),
});
const answer = await response.json();
console.log(response.status, JSON.stringify(answer));
if (response.status !== 202) process.exit(1);

for (let second = 0; second < 60; second += 1) {
  const known = await request(`${INTERNAL}/emails/${answer.id}`, {
    headers: { authorization: `Bearer ${secret("token")}` },
  });
  const { deliveries = [] } = await known.json();
  if (deliveries.some(({ kind }) => kind === "email.sent")) {
    console.log("sent and recorded:", JSON.stringify(deliveries));
    process.exit(0);
  }
  await sleep(1_000);
}
console.error("accepted, but not recorded as sent within a minute; the emailer's log says why");
process.exit(1);
