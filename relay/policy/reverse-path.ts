import type { PolicyConfig } from '../config.ts';
import type { Path } from '../smtp/path.ts';
import { reply } from '../smtp/reply.ts';
import type { Decision } from './decision.ts';
import type { Identity } from './identity.ts';
import { checkSenderDomain } from './sender.ts';
import type { PolicySnapshot } from './snapshot.ts';

const noIdentity: Decision<never> = {
  accept: false,
  reason: 'NoIdentity',
  // RFC 5321 s3.9 with RFC 3463 s3.8: the relay must not be open.
  reply: reply(
    550,
    '5.7.1',
    'this relay does not know who you are: log in (AUTH) as a user that its owner has given you, or ask the owner to add your network to spec.clients.trustedNetworks of its MailRelay',
  ),
};

/**
 * MAIL FROM. The chain:
 * 1. an identity: no mail from nobody;
 * 2. the null reverse-path is anyone's to use (RFC 5321 s4.5.5: notifications), and owns no policy: the From field decides;
 * 3. a policy for the reverse-path's domain that admits the identity.
 */
export function checkReversePath(
  snapshot: PolicySnapshot,
  identity: Identity | undefined,
  reversePath: Path | null,
): Decision<PolicyConfig | null> {
  if (identity === undefined) return noIdentity;
  if (reversePath === null) return { accept: true, value: null };
  const { domain } = reversePath;
  return checkSenderDomain(snapshot, { identity, domain, place: 'reverse-path', refusal: 'SenderNotAllowed' });
}
