import { createHash, timingSafeEqual } from "node:crypto";
import { ConfigError, invalidConfig, textOf, type Component, type Log } from "@posthorn/chassis";
import { Problem } from "./problem.ts";

/** The file is small: reading it misses no change, as looking at its times or its symbolic link can. */
const LOOK_MS = 1_000;
/** As sha256sum writes it: the hash, two blanks (or one and an asterisk), a name. */
const LINE = /^([\da-f]{64}) [ *]([!-~]{1,64})$/i;
/** RFC 6750 §2.1. */
const BEARER = /^Bearer +([\w.~+/-]+=*) *$/i;
const CHALLENGE = { headers: { "WWW-Authenticate": "Bearer" } };

interface ApiKey {
  hash: Buffer;
  name: string;
}

/** The API keys, by their hashes in a file that is read again when it changes. */
export class ApiKeys implements Component {
  readonly name = "api keys";
  readonly #file: string | undefined;
  readonly #log: Log;
  readonly #lookMs: number;
  #keys: readonly ApiKey[] = [];
  #text: string | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** Without a file, everyone may send. @throws {ConfigError} CONFIG_INVALID */
  constructor(file: string | undefined, log: Log, lookMs = LOOK_MS) {
    this.#file = file;
    this.#log = log;
    this.#lookMs = lookMs;
    if (file === undefined) return;
    this.#text = textOf(file);
    this.#keys = parse(this.#text);
  }

  /** The name of the key in an `Authorization` header. @throws {Problem} API_KEY_MISSING, API_KEY_UNKNOWN */
  readonly authenticate = (authorization: string | undefined): string => {
    if (this.#file === undefined) return "anonymous";
    const key = BEARER.exec(authorization ?? "")?.[1];
    if (key === undefined) throw new Problem("API_KEY_MISSING", CHALLENGE);
    const hash = createHash("sha256").update(key).digest();
    // n.b. compares with every key, so that the time taken says nothing.
    const [match] = this.#keys.filter((known) => timingSafeEqual(known.hash, hash));
    if (!match) throw new Problem("API_KEY_UNKNOWN", CHALLENGE);
    return match.name;
  };

  /** Begins to look for changes. */
  start(): void {
    const file = this.#file;
    if (file === undefined) this.#log.warn("everyone may send: API_ANONYMOUS=true");
    else this.#timer = setInterval(() => this.#look(file), this.#lookMs);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #look(file: string): void {
    const text = textOf(file);
    if (text === this.#text) return;
    this.#text = text;
    try {
      this.#keys = parse(text);
      this.#log.info("API keys read again", { keys: this.#keys.length });
    } catch (error) {
      const reason = error instanceof ConfigError ? error.message : undefined;
      this.#log.error("API keys not read again, the old ones stay", { reason });
    }
  }
}

/** @throws {ConfigError} CONFIG_INVALID, naming the line */
function parse(text: string | undefined): ApiKey[] {
  if (text === undefined) throw fault("names a file that cannot be read");
  const keys = text.split("\n").flatMap((line, index) => parseLine(line.trim(), index + 1));
  if (keys.length === 0) throw fault("has no key");
  return keys;
}

function parseLine(line: string, number: number): ApiKey[] {
  if (line === "" || line.startsWith("#")) return [];
  const [, hash, name] = LINE.exec(line) ?? [];
  if (hash === undefined || name === undefined)
    throw fault(`line ${number} is not \`<sha256 in hex>  <name>\``);
  return [{ hash: Buffer.from(hash, "hex"), name }];
}

function fault(reason: string): ConfigError {
  return invalidConfig([`API_KEYS_FILE: ${reason}`]);
}
