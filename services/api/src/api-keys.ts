import { BEARER_CHALLENGE, bearerToken, hashToken, isSameHash, Problem } from "@wellsent/http";
import { invalidConfig, textOf, type Check, type Component, type Log } from "@wellsent/runtime";
import { isAbout, parseKeys, type ApiKey } from "./keys-file.ts";
import type { ApiMetrics } from "./metrics.ts";
import { PROBLEMS } from "./problems.ts";

const TIMES = {
  /** How often the file is read. Its content is compared, because time stamps and symbolic links can hide a change. Milliseconds. */
  checkMs: 1_000,
  /** How long earlier keys stay valid if an invalid line may contain them. Milliseconds. */
  keepMs: 3_600_000,
};

const CHALLENGE = { headers: BEARER_CHALLENGE };

/** Options of {@link ApiKeys}. */
export interface ApiKeysOptions {
  /** The path in `API_KEYS_FILE`. Without a file, everyone may send. */
  file: string | undefined;
  metrics: Pick<ApiMetrics, "apiKeys" | "apiKeyFaults">;
  log: Log;
  times?: typeof TIMES;
}

/**
 * The hashes of the API keys, from a file that is read every second.
 *
 * | the file            | valid keys                                                                       | readiness     |
 * | ------------------- | -------------------------------------------------------------------------------- | ------------- |
 * | has keys            | its keys                                                                         |               |
 * | has no key          | none                                                                             | reports it    |
 * | has an invalid line | its keys, and for an hour each earlier key that an invalid line may contain      | reports lines |
 * | cannot be read      | the earlier keys for an hour, then none                                          | reports it    |
 */
export class ApiKeys implements Component {
  readonly name = "api keys";
  readonly #options: ApiKeysOptions;
  readonly #times: typeof TIMES;
  #text: string | undefined;
  #keys: ApiKey[] = [];
  /** The earlier keys that stay valid, and until when. */
  #kept: ApiKey[] = [];
  #keptUntil = Infinity;
  #fault: string | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** @throws {ConfigError} CONFIG_INVALID with the numbers of the invalid lines */
  constructor(options: ApiKeysOptions) {
    this.#options = options;
    this.#times = options.times ?? TIMES;
    if (options.file === undefined) return;
    this.#text = textOf(options.file);
    this.#read();
    if (this.#fault !== undefined) throw invalidConfig([`API_KEYS_FILE: ${this.#fault}`]);
  }

  /** Reports a fault of the file, or that there is no key. The API stays ready. */
  readonly check: Check = () => {
    if (this.#options.file === undefined) return undefined;
    if (this.#fault !== undefined) return { reason: this.#reason(this.#fault), blocks: false };
    const hasNone = this.#keys.length === 0;
    return hasNone ? { reason: "no API key: nobody may send", blocks: false } : undefined;
  };

  /** Returns the name of the key in an `Authorization` header. @throws {Problem} API_KEY_MISSING, API_KEY_UNKNOWN */
  readonly authenticate = (authorization: string | undefined): string => {
    if (this.#options.file === undefined) return "anonymous";
    const key = bearerToken(authorization);
    if (key === undefined) throw new Problem(PROBLEMS.API_KEY_MISSING, CHALLENGE);
    const hash = hashToken(key);
    // Compares with every key, so that the response time does not depend on the key.
    const [match] = this.#valid().filter((known) => isSameHash(known.hash, hash));
    if (!match) throw new Problem(PROBLEMS.API_KEY_UNKNOWN, CHALLENGE);
    return match.name;
  };

  start(): void {
    const { file, log } = this.#options;
    if (file === undefined) log.warn("authentication disabled (API_ANONYMOUS=true)");
    else this.#timer = setInterval(() => this.#reload(file), this.#times.checkMs);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #valid(): ApiKey[] {
    return [...this.#keys, ...this.#kept];
  }

  #reload(file: string): void {
    const text = textOf(file);
    if (text !== this.#text) {
      this.#text = text;
      this.#read();
      this.#report();
    }
    if (this.#kept.length > 0 && performance.now() >= this.#keptUntil) {
      this.#options.log.error("earlier API keys revoked: API_KEYS_FILE was not corrected", {
        keys: this.#kept.length,
      });
      this.#keep([]);
    }
  }

  #read(): void {
    const before = this.#valid();
    const { keys, faulty } = parseKeys(this.#text ?? "");
    const unreadable = this.#text === undefined;
    const isRemoved = (key: ApiKey) => !keys.some(({ hash }) => hash.equals(key.hash));
    const mayBeMeant = (key: ApiKey) => unreadable || faulty.some((line) => isAbout(line, key));
    const lines = faulty.map(({ number }) => number).join(", ");
    this.#fault = faulty.length > 0 ? `line ${lines}: not \`<sha256 in hex>  <name>\`` : undefined;
    if (unreadable) this.#fault = "names a file that cannot be read";
    this.#options.metrics.apiKeyFaults.set(unreadable ? 1 : faulty.length);
    this.#keys = keys;
    this.#keep(before.filter((key) => isRemoved(key) && mayBeMeant(key)));
  }

  /** The hour begins with the first fault, so that further changes do not extend it. */
  #keep(kept: ApiKey[]): void {
    const until = Math.min(this.#keptUntil, performance.now() + this.#times.keepMs);
    this.#keptUntil = kept.length > 0 ? until : Infinity;
    this.#kept = kept;
    this.#options.metrics.apiKeys.set(this.#valid().length);
  }

  #report(): void {
    const { log } = this.#options;
    const keys = this.#keys.length;
    if (this.#fault === undefined) {
      log.info("API keys reloaded", { keys });
      return;
    }
    const fields = { reason: this.#fault, keys, kept: this.#kept.length };
    log.error("API_KEYS_FILE is invalid", fields);
  }

  #reason(fault: string): string {
    const kept =
      this.#kept.length > 0 ? `; ${this.#kept.length} earlier keys stay valid for an hour` : "";
    return `API_KEYS_FILE: ${fault}${kept}`;
  }
}
