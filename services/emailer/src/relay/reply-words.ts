/*
 * What the texts of refusals speak of. A text decides only where the code and the enhanced status do not. The lists were
 * collected from replies that relays document or that their users quoted; test/replies.ts holds those.
 */

/** An account that may not send under an address. No mailbox is refused in these words, whatever the status. */
export const SEND_AS = [/send ?as ?denied/i, /\bsend (as|on behalf)\b/i, /disallowed as\b/i];

/** A limit of one connection. */
export const SESSION_LIMIT = [/\b(per|this|in one|in a) (connection|session)\b|\bbatch limit/i];

/** A limit on what our account may send in an hour, a day or a month. */
export const QUOTA = [
  /\b(sending|sender|outgoing|outbound|relay|submission|daily|hourly|monthly)\b.{0,30}\b(quota|limit|rate|threshold)(s|ed)?\b/i,
  /\b(quota|limit|rate|threshold)s?\b.{0,40}\b(allowed outgoing|per (day|hour|month))\b/i,
  /\b(exceed|reach)\w*\b.{0,60}\b(e?-?mails?|messages)\b.{0,20}\b(an?|per) (day|hour|month)\b/i,
  /submission ?quota|unusual sending|insufficient credits?|out of credits?|credits? exceeded|\b(tenant|account) has exceeded/i,
];

/** More mail at a time than a relay takes. */
export const RATE = [
  /throttl|\b(message|mail)? ?rate-? ?limit|\bslow down\b|too fast|frequency limited|unusual rate/i,
  /\btoo (many|much) (e?-?mails?|messages?|connections?|requests?|errors)\b/i,
];

/** Limits that are no limit of ours: of a mailbox, of a message's size or of mail to one recipient. */
export const OTHER_LIMIT = [
  /\buser\b.{0,60}\breceiving\b|\b(recipient|mailbox)\b.{0,60}\b(receiving|full|limit|quota)\b/i,
  /\b(over ?quota|storage|size|hops|header|to this recipient)\b/i,
];

/** A recipient's server that wants the same mail again later. */
export const GREYLISTING = [/gr[ae]y-? ?list/i];

/** A mailbox or a domain that is not there, or takes no mail. */
export const NO_MAILBOX = [
  /\b(user|mailbox|recipients?|addressee|alias|mailhost|forward-path)\b.{0,60}\b(unknown|not found|not exist|no longer|disabled|inactive|invalid|full|suspended|unallocated|unavailable|rejected|refused)\b/i,
  /\b(no such|unknown|invalid|bad|inactive|nonexistent|not a valid) (local |e?-?mail )?(user|mailbox|recipient|addressee|person|alias|address|account|destination|customer)\b/i,
  /\b(user|mailbox|recipient|address|account)\b.{0,60}(n['’]t (exist|have)|not a (valid|known)|not our|quota)/i,
  /\bunrouteable|\bnot our customer|\bover ?quota|storage allocation|quota exceeded/i,
];

/** Our sender address, its domain, or what vouches for it (SPF, DKIM, DMARC). */
export const SENDER = [
  /\bsender\b.{0,60}\b(rejected|refused|denied|invalid|fail\w*|not|unknown|unauthenticated|blocked|banned|verif\w*|limited|without)\b/i,
  /\b(bad|invalid|illegal|unknown|unverified|unauthori[sz]ed|banned|spoofed|suspected spam) (outbound )?(sender|from|return-path)\b/i,
  /\b(from|return-path|mail ?from)\b.{0,20}\b(address|name|domain|header)\b.{0,40}\b(not|invalid|rejected|refused|listed)\b/i,
  /\baddress (is )?not verified|\bunverified (address|domain|identity)|domain of sender|\bverification failed for/i,
  /\b(spf|dkim|dmarc)\b|authentication (checks|information)|\b(sender|sending) domain\b|invalid dns mx|\bspoof/i,
];

/** What the message is or holds. */
export const CONTENT = [
  /\b(virus|malware|phishing|attachments?|ur[il]s?|links?|headers?|content|too (big|large|long)|size)\b/i,
];

/** Our host: its address, its name in EHLO, its right to relay, our account. */
export const US = [
  /\brelay(ing)?\b.{0,25}\b(denied|not|disallowed|prohibited|refused|forbidden)\b|\b(to|to be|as a|open|mail|no|not) relay(ed|ing)?\b/i,
  /\bclient (host|\[)|\b(helo|ehlo)\b|\bptr\b|\breverse (dns|hostname|lookup)|\bcannot find your/i,
  /authenticat|\blog(ged)? ?in\b|\bcredentials\b|\bstarttls\b|\btls\b.{0,20}\b(required|first)\b/i,
  /\bip( address(es)?)?\b.{0,60}\b(not|block\w*|bann?ed|list\w*|reject\w*|denied|reputation|based|bloquee)\b/i,
  /\b(banned|bad|blocked|unauthori[sz]ed|from this) (sending )?ip\b|\b(black|block|deny)-? ?list|\b(dns[bw]l|rbl)\b|spamhaus|spamcop/i,
  /\bblocked using\b|\blisted (in|on|at|by)\b|\btraffic not accepted|\bhost\b.{0,40}\b(blocked|denied|reject\w*|refused)\b/i,
  /\byour (\w+ )?(account|ip|host|server|network|plan|subscription|trial|service)\b|\baccount\b.{0,30}\b(activ\w+|review)\b/i,
  /\bnot (allowed|permitted|authori[sz]ed) to (send|connect|use|relay)\b/i,
];

/** The same, in words so clear that they count where the code says "for now": Postfix's, with a setting that defers. */
export const US_CLEARLY = [
  /\brelay(ing)? (access )?(denied|not permitted)|\b(client host|helo command) rejected/i,
  /\bauthentication (is )?required|\bmust (authenticate|issue a starttls)/i,
];

/** A refusal that is not for good, whatever its code. */
export const FOR_NOW = [/\btry (it |this )?(again|later)|\btemporar(y|ily)\b|\bcome back later/i];

/** A refusal of access that does not say to whom; the content is not meant. */
export const ACCESS = [
  /\b(access|permission) denied\b|\b(not |un)authori[sz]ed\b|\badministrative(ly)? prohibit/i,
];

/** A policy that does not say against whom. */
export const POLICY = [
  /polic(y|ies)|\b(denied|blocked|banned|reputation|abuse)\b|\bnot (permitted|allowed|accepted)\b|prohibit/i,
];

/** A relay that has the order of commands wrong, or finds ours wrong. */
export const OUT_OF_ORDER = [
  /no valid recipients|\bneed (rcpt|mail)\b|\b(rcpt|mail)\b.{0,20}\b(first|precede)\b/i,
];
