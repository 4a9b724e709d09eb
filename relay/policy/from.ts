import type { PolicyConfig } from '../config.ts';
import { parseFromHeader } from '../smtp/from-field.ts';
import { reply } from '../smtp/reply.ts';
import type { Decision } from './decision.ts';
import type { Identity } from './identity.ts';
import { checkSenderDomain } from './sender.ts';
import type { PolicySnapshot } from './snapshot.ts';

/**
 * The header's From field, and its Sender field where there is one: what readers see. The domain of every author, and of the
 * sender, must be covered by a policy that admits the identity; the first author's policy owns and signs the message. A field
 * that two receivers could read differently is refused.
 */
export function checkFrom(snapshot: PolicySnapshot, identity: Identity, headerBlock: Buffer): Decision<PolicyConfig> {
  const from = parseFromHeader(headerBlock);
  if (!from.ok) {
    // RFC 3463 s3.7: 5.6.0, other or undefined media error.
    return { accept: false, reason: 'MalformedFrom', reply: reply(550, '5.6.0', from.fault) };
  }
  const decisions = [
    ...from.authors.map(({ domain }) => ({ domain, place: 'From field' })),
    ...(from.sender === undefined ? [] : [{ domain: from.sender.domain, place: 'Sender field' }]),
  ].map(claim => checkSenderDomain(snapshot, { identity, ...claim, refusal: 'FromNotAllowed' }));
  const [owner] = decisions;
  if (owner === undefined) throw new Error('a From field without authors was taken as valid');
  return decisions.find(decision => !decision.accept) ?? owner;
}
