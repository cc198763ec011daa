/**
 * The base of all errors of Wellsent. The class determines how a caller reacts; the `code` is the reason.
 * The message contains no recipient, subject, body or secret, so it may be logged.
 */
export class AppError extends Error {
  /** Stable, in the form SUBSYSTEM_REASON. Callers compare the code, never the message. */
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** The operator must change the environment; the process exits with 78 (EX_CONFIG of sysexits.h). */
export class ConfigError extends AppError {}

/** The same call with the same input may succeed later. */
export class TransientError extends AppError {}

/** The broker did not store the message, so publishing it again creates no duplicate. */
export class PublishRefused extends TransientError {}

/** It is unknown whether the broker stored the message. In a measurement, the broker had stored two of three. */
export class PublishUnknown extends TransientError {}

/** Returns the `code` of any thrown value, or `UNEXPECTED` if it has none. */
export function codeOf(error: unknown): string {
  // `instanceof` does not recognize an error that Node creates in another realm.
  const code = Error.isError(error) && "code" in error ? error.code : undefined;
  return typeof code === "string" || typeof code === "number" ? String(code) : "UNEXPECTED";
}
