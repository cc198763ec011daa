/** Writes the secrets of the containers into their volume: generated at the first start, or given in `.env`. */
import { randomBytes } from "node:crypto";
import { chownSync, existsSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";

const WELLSENT = 65532;
const RABBITMQ = 999;
const MAILDEV = 1000;
const GRAFANA = 472;
/** A host whose name RFC 2606 reserves for examples: no relay answers there. */
const EXAMPLE = /[@/.](example|example\.(com|net|org))(?=[:/?,]|$)/im;

const relays = readFileSync("/given/smtp-urls", "utf8").trim();
if (EXAMPLE.test(relays)) {
  console.error(
    "SMTP_URLS in .env still names the example's relay. Set yours, or remove SMTP_URLS to use the inbox.",
  );
  process.exit(78);
}
// The broker reads its user from here when its volume is empty, and never again. So the URL and this file go together, this one last.
if (!existsSync("/secrets/rabbitmq.conf")) {
  const password = randomBytes(24).toString("hex");
  write("internal-token", WELLSENT, randomBytes(32).toString("hex"));
  write("grafana-password", GRAFANA, randomBytes(16).toString("hex"));
  write("amqp-url", WELLSENT, `amqp://wellsent:${password}@rabbitmq`);
  write("rabbitmq.conf", RABBITMQ, `default_user = wellsent\ndefault_pass = ${password}\n`);
}
write("smtp-urls", WELLSENT, relays);
write("api-keys", WELLSENT, readFileSync("/given/api-keys", "utf8"));
handOver("/inbox", MAILDEV);
if (!process.env.AUDIT_DIR || madeByDocker("/audit")) {
  handOver("/audit", WELLSENT);
}

/** Writes a file that one user may read. A reader sees the old content or the new one, never a part. */
function write(name, user, content) {
  writeFileSync(`/secrets/${name}.new`, content, { mode: 0o400 });
  chownSync(`/secrets/${name}.new`, user, user);
  renameSync(`/secrets/${name}.new`, `/secrets/${name}`);
}

/** Gives a directory to a user, unless it has an owner other than root. */
function handOver(directory, user) {
  if (statSync(directory).uid === 0) chownSync(directory, user, user);
}

/** Docker creates a missing host directory, as root, after the container's own files. An older one belongs to somebody. */
function madeByDocker(directory) {
  const { uid, birthtimeMs } = statSync(directory);
  return uid === 0 && birthtimeMs >= statSync("/.dockerenv").birthtimeMs;
}
