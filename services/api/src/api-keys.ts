import { BEARER_CHALLENGE, bearerToken, hashToken, isSameHash, Problem } from "@wellsent/http";
import { ConfigError, invalidConfig, textOf, type Log } from "@wellsent/runtime";
import { PROBLEMS } from "./problems.ts";

/** The file is small: reading it misses no change, as looking at its times or its symbolic link can. */
const LOOK_MS = 1_000;
/** As sha256sum writes it: the hash, two blanks (or one and an asterisk), a name. */
const LINE = /^([\da-f]{64}) [ *]([!-~]{1,64})$/i;
const CHALLENGE = { headers: BEARER_CHALLENGE };

/**
 * Reads the API keys, by their hashes, from a file that is read again when it changes. Without a file, everyone may send.
 * @throws {ConfigError} CONFIG_INVALID
 */
export function createApiKeys(file: string | undefined, log: Log, lookMs = LOOK_MS) {
  let text = file && textOf(file);
  let keys = file === undefined ? [] : parse(text);
  let timer: NodeJS.Timeout | undefined;
  const look = (path: string) => {
    const fresh = textOf(path);
    if (fresh === text) return;
    text = fresh;
    try {
      keys = parse(text);
      log.info("API keys read again", { keys: keys.length });
    } catch (error) {
      const reason = error instanceof ConfigError ? error.message : undefined;
      log.error("API keys not read again, the old ones stay", { reason });
    }
  };
  return {
    name: "api keys",
    /** The name of the key in an `Authorization` header. @throws {Problem} API_KEY_MISSING, API_KEY_UNKNOWN */
    authenticate: (authorization: string | undefined): string => {
      if (file === undefined) return "anonymous";
      const key = bearerToken(authorization);
      if (key === undefined) throw new Problem(PROBLEMS.API_KEY_MISSING, CHALLENGE);
      const hash = hashToken(key);
      // n.b. compares with every key, so that the time taken says nothing.
      const [match] = keys.filter((known) => isSameHash(known.hash, hash));
      if (!match) throw new Problem(PROBLEMS.API_KEY_UNKNOWN, CHALLENGE);
      return match.name;
    },
    /** Begins to look for changes. */
    start(): void {
      if (file === undefined) log.warn("everyone may send: API_ANONYMOUS=true");
      else timer = setInterval(() => look(file), lookMs);
    },
    stop(): void {
      clearInterval(timer);
    },
  };
}

/** @throws {ConfigError} CONFIG_INVALID, naming the line */
function parse(text: string | undefined) {
  if (text === undefined) throw fault("names a file that cannot be read");
  const keys = text.split("\n").flatMap((line, index) => parseLine(line.trim(), index + 1));
  if (keys.length === 0) throw fault("has no key");
  return keys;
}

function parseLine(line: string, number: number) {
  if (line === "" || line.startsWith("#")) return [];
  const [, hash, name] = LINE.exec(line) ?? [];
  if (hash === undefined || name === undefined)
    throw fault(`line ${number} is not \`<sha256 in hex>  <name>\``);
  return [{ hash: Buffer.from(hash, "hex"), name }];
}

function fault(reason: string): ConfigError {
  return invalidConfig([`API_KEYS_FILE: ${reason}`]);
}
