/** The ids of an email's deliveries begin with its own and a dot, and the slash follows the dot in ASCII. */
const OF_EMAIL = "BETWEEN ?1 || '.' AND ?1 || '/'";
const COLUMNS = `id AS delivery, recipient, reason, reply, attempt, relay, time, possible_duplicate AS possibleDuplicate`;

/** `?` is a delivery. */
export const STATUS = "SELECT kind, time, possible_duplicate FROM deliveries WHERE id = ?";

/** `?1` is an email's id. */
export const EMAIL = "SELECT id, time, subject, bytes FROM emails WHERE id = ?1";
export const DELIVERIES = `SELECT kind, ${COLUMNS} FROM deliveries WHERE id ${OF_EMAIL} ORDER BY id`;
export const EVENTS = `SELECT line FROM events WHERE delivery ${OF_EMAIL} ORDER BY time, id`;

/** ?1 is a reason or null, ?2 the end of the recipient or null, ?3 the latest time. */
const PARKED = `FROM deliveries WHERE kind = 'email.parked' AND (?1 IS NULL OR reason = ?1)
  AND (?2 IS NULL OR substr(recipient, -length(?2)) = ?2) AND time <= ?3`;
export const PARKED_COUNT = `SELECT count(*) AS count ${PARKED}`;
export const PARKED_IDS = `SELECT id ${PARKED}`;
export const PARKED_PAGE = `SELECT ${COLUMNS} ${PARKED} AND (time, id) > (?4, ?5) ORDER BY time, id LIMIT ?6`;
export const BY_REASON = `SELECT coalesce(reason, 'null') AS reason, count(*) AS count FROM deliveries
  WHERE kind = 'email.parked' GROUP BY reason`;

export const OLDEST_WAITING =
  "SELECT min(time) AS time FROM deliveries WHERE kind = 'email.accepted'";
export const DEFERRALS = `SELECT count(*) AS count FROM events WHERE delivery = ? AND line ->> 'kind' = 'email.deferred'
  AND line ->> 'reason' IS NOT 'UNTRIED'`;
export const ENDED = `SELECT 1 AS one FROM deliveries WHERE id BETWEEN ? AND ? AND kind <> 'email.accepted' AND time < ?
  LIMIT 1`;
/** `?1` is the oldest id, `?2` the first id after the period, `?3` the end of the id. */
export const ENDING_IN = `SELECT id FROM emails WHERE id >= ?1 AND id < ?2 AND substr(id, -length(?3)) = ?3
  ORDER BY id DESC LIMIT 1`;
export const POSITIONS = "SELECT name AS file, size, last FROM files";
