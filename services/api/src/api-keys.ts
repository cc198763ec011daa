import { BEARER_CHALLENGE, bearerToken, hashToken, isSameHash, Problem } from "@wellsent/http";
import { invalidConfig, textOf, type Check, type Component, type Log } from "@wellsent/runtime";
import { isAbout, parseKeys, type ApiKey } from "./keys-file.ts";
import type { ApiMetrics } from "./metrics.ts";
import { PROBLEMS } from "./problems.ts";

const TIMES = {
  /** The file is small, and reading it misses no change, as its times or its symbolic link can. Milliseconds. */
  lookMs: 1_000,
  /** How long keys stay valid that a file with a fault may still mean. Milliseconds. */
  keepMs: 3_600_000,
};

const CHALLENGE = { headers: BEARER_CHALLENGE };

/** Options of {@link ApiKeys}. */
export interface ApiKeysOptions {
  /** `API_KEYS_FILE`; without a file, everybody may send. */
  file: string | undefined;
  metrics: Pick<ApiMetrics, "apiKeys" | "apiKeyFaults">;
  log: Log;
  times?: typeof TIMES;
}

/**
 * The API keys, by their hashes, from a file that is read again every second.
 *
 * | the file                 | valid keys                                                          | readiness    |
 * | ------------------------ | ------------------------------------------------------------------- | ------------ |
 * | has keys                 | these                                                               |              |
 * | has no key               | none                                                                | says so      |
 * | has a line that is no key | its keys, and for an hour those of before that such a line may mean | names lines  |
 * | cannot be read           | for an hour those of before, then none                              | says so      |
 */
export class ApiKeys implements Component {
  readonly name = "api keys";
  readonly #options: ApiKeysOptions;
  readonly #times: typeof TIMES;
  #text: string | undefined;
  #keys: ApiKey[] = [];
  /** Keys of before that a fault in the file may still mean, and until when they are valid. */
  #kept: ApiKey[] = [];
  #keptUntil = Infinity;
  #fault: string | undefined;
  #timer: NodeJS.Timeout | undefined;

  /** @throws {ConfigError} CONFIG_INVALID, naming the lines */
  constructor(options: ApiKeysOptions) {
    this.#options = options;
    this.#times = options.times ?? TIMES;
    if (options.file === undefined) return;
    this.#text = textOf(options.file);
    this.#read();
    if (this.#fault !== undefined) throw invalidConfig([`API_KEYS_FILE: ${this.#fault}`]);
  }

  /** Names a fault of the file, or that there is no key. The API stays ready. */
  readonly check: Check = () => {
    if (this.#options.file === undefined) return undefined;
    if (this.#fault !== undefined) return { reason: this.#reason(this.#fault), blocks: false };
    const none = this.#keys.length === 0;
    return none ? { reason: "no API key: nobody may send", blocks: false } : undefined;
  };

  /** Returns the name of the key in an `Authorization` header. @throws {Problem} API_KEY_MISSING, API_KEY_UNKNOWN */
  readonly authenticate = (authorization: string | undefined): string => {
    if (this.#options.file === undefined) return "anonymous";
    const key = bearerToken(authorization);
    if (key === undefined) throw new Problem(PROBLEMS.API_KEY_MISSING, CHALLENGE);
    const hash = hashToken(key);
    // Compares with every key, so that the time says nothing.
    const [match] = this.#valid().filter((known) => isSameHash(known.hash, hash));
    if (!match) throw new Problem(PROBLEMS.API_KEY_UNKNOWN, CHALLENGE);
    return match.name;
  };

  start(): void {
    const { file, log } = this.#options;
    if (file === undefined) log.warn("authentication disabled (API_ANONYMOUS=true)");
    else this.#timer = setInterval(() => this.#look(file), this.#times.lookMs);
  }

  stop(): void {
    clearInterval(this.#timer);
  }

  #valid(): ApiKey[] {
    return [...this.#keys, ...this.#kept];
  }

  #look(file: string): void {
    const text = textOf(file);
    if (text !== this.#text) {
      this.#text = text;
      this.#read();
      this.#report();
    }
    if (this.#kept.length > 0 && performance.now() >= this.#keptUntil) {
      this.#options.log.error("API keys dropped: their file was not corrected", {
        keys: this.#kept.length,
      });
      this.#keep([]);
    }
  }

  #read(): void {
    const before = this.#valid();
    const { keys, faulty } = parseKeys(this.#text ?? "");
    const unreadable = this.#text === undefined;
    const isGone = (key: ApiKey) => !keys.some(({ hash }) => hash.equals(key.hash));
    const isMeant = (key: ApiKey) => unreadable || faulty.some((line) => isAbout(line, key));
    const lines = faulty.map(({ number }) => number).join(", ");
    this.#fault = faulty.length > 0 ? `line ${lines}: not \`<sha256 in hex>  <name>\`` : undefined;
    if (unreadable) this.#fault = "names a file that cannot be read";
    this.#options.metrics.apiKeyFaults.set(unreadable ? 1 : faulty.length);
    this.#keys = keys;
    this.#keep(before.filter((key) => isGone(key) && isMeant(key)));
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
    if (this.#fault === undefined) log.info("API keys read again", { keys });
    else
      log.error("API_KEYS_FILE has a fault", {
        reason: this.#fault,
        keys,
        kept: this.#kept.length,
      });
  }

  #reason(fault: string): string {
    const kept =
      this.#kept.length > 0 ? `; ${this.#kept.length} earlier keys stay for an hour` : "";
    return `API_KEYS_FILE: ${fault}${kept}`;
  }
}
