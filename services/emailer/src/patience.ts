/**
 * How long we wait, in milliseconds. RFC 5321 §4.5.3.2 gives a relay five minutes for a reply, and ten for the final one:
 * giving that up earlier widens the duplicate window. A mail that needs five minutes gets them in the end; a dead relay is
 * found sooner.
 */
export const PATIENCE = {
  /** Until a relay is ready for MAIL, and from there until it asks for the body; the first time, and after each stall. */
  alone: [10_000, 60_000, 300_000] as readonly [number, ...number[]],
  /** The first time, while the mail could go to another relay. */
  hasty: 3_000,
  /** For the final reply. */
  final: 600_000,
  /** How long a relay is left alone at first; half of it after a broken connection, for others to pass or not. */
  pause: 1_000,
  /** How long mails are held while every relay is in trouble, before they are given back to the broker. */
  held: 600_000,
};

/** Such as {@link PATIENCE}. */
export type Patience = typeof PATIENCE;
