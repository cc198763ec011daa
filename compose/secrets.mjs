/** Writes the secrets of the containers into their volume: made with the first start, or given in `.env`. */
import { randomBytes } from "node:crypto";
import { chownSync, existsSync, readFileSync, renameSync, statSync, writeFileSync } from "node:fs";

const WELLSENT = 65532;
const RABBITMQ = 999;
const MAILDEV = 1000;
const GRAFANA = 472;

const password = randomBytes(24).toString("hex");
// n.b. the broker takes its user from here when its volume is empty, and never again: the two go together, this one last.
if (!existsSync("/secrets/rabbitmq.conf")) {
  write("internal-token", WELLSENT, randomBytes(32).toString("hex"));
  write("grafana-password", GRAFANA, randomBytes(16).toString("hex"));
  write("amqp-url", WELLSENT, `amqp://wellsent:${password}@rabbitmq`);
  write("rabbitmq.conf", RABBITMQ, `default_user = wellsent\ndefault_pass = ${password}\n`);
}
write("smtp-urls", WELLSENT, readFileSync("/given/smtp-urls", "utf8"));
write("api-keys", WELLSENT, readFileSync("/given/api-keys", "utf8"));
handOver("/inbox", MAILDEV);
if (!process.env.AUDIT_DIR || madeByDocker("/audit")) handOver("/audit", WELLSENT);

/** A file that one user may read, whole or not at all. */
function write(name, user, content) {
  writeFileSync(`/secrets/${name}.new`, content, { mode: 0o400 });
  chownSync(`/secrets/${name}.new`, user, user);
  renameSync(`/secrets/${name}.new`, `/secrets/${name}`);
}

function handOver(directory, user) {
  if (statSync(directory).uid === 0) chownSync(directory, user, user);
}

/** Docker makes a host directory that is missing, as root, after this container's own files. An older one is somebody's. */
function madeByDocker(directory) {
  const { uid, birthtimeMs } = statSync(directory);
  return uid === 0 && birthtimeMs >= statSync("/.dockerenv").birthtimeMs;
}
