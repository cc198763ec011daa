/**
 * An error that says by its class what the catcher must do and by its `code` why.
 * Messages name neither recipients, subjects, bodies nor secrets, so they may be logged.
 */
export class AppError extends Error {
  /** Stable, SUBSYSTEM_REASON; callers switch on it, never on the message. */
  readonly code: string;

  constructor(code: string, message: string, options?: ErrorOptions) {
    super(message, options);
    this.name = new.target.name;
    this.code = code;
  }
}

/** The operator must change the environment; the process exits with 78 (EX_CONFIG of sysexits.h). */
export class ConfigError extends AppError {}

/** The same input may work later. */
export class TransientError extends AppError {}

/** The message was certainly not published: sending it again cannot double it. */
export class PublishRefused extends TransientError {}

/** Nobody knows whether the broker stored the message (two in three such messages were stored when tried). */
export class PublishUnknown extends TransientError {}

/** The `code` of any thrown value: its own, a system error's, or `UNEXPECTED`. */
export function codeOf(error: unknown): string {
  // n.b. not `instanceof`: an error of Node's own may come from another realm.
  const code = Error.isError(error) && "code" in error ? error.code : undefined;
  return typeof code === "string" || typeof code === "number" ? String(code) : "UNEXPECTED";
}
