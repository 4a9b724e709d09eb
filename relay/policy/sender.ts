/**
 * May this identity send as this domain? One question, asked for the reverse-path, the From field and the Sender field.
 *
 * The reply is the same whether the domain has no policy or one that does not admit the identity, so that a tenant cannot
 * probe which domains others have policies for; `reason`, which only the relay's owner sees, tells them apart.
 */
import type { PolicyConfig } from '../config.ts';
import { reply } from '../smtp/reply.ts';
import type { Decision, RejectReason } from './decision.ts';
import { describeIdentity, type Identity } from './identity.ts';
import { findPolicy, type IndexedPolicy, type PolicySnapshot } from './snapshot.ts';

export interface SenderRequest {
  readonly identity: Identity;
  /** Normal form. */
  readonly domain: string;
  /** How the refusal names the place: `reverse-path`, `From field` or `Sender field`. */
  readonly place: string;
  readonly refusal: RejectReason;
}

export function checkSenderDomain(snapshot: PolicySnapshot, request: SenderRequest): Decision<PolicyConfig> {
  const found = findPolicy(snapshot, request.domain);
  if (found !== undefined && admits(found, request.identity)) return { accept: true, value: found.policy };
  return refuse(request, found === undefined ? 'NoPolicy' : request.refusal);
}

/** `senders.users` chooses among static users; a trusted network is admitted by its namespace alone. */
function admits({ namespaces, users }: IndexedPolicy, identity: Identity): boolean {
  if (!namespaces.has('*') && !namespaces.has(identity.namespace)) return false;
  return identity.kind !== 'StaticUser' || users.size === 0 || users.has(identity.user);
}

function refuse({ identity, domain, place }: SenderRequest, reason: RejectReason): Decision<never> {
  const text =
    `${describeIdentity(identity)} may not send as ${domain} (${place}): no DomainPolicy for that domain admits it; ` +
    "the domain's owner, or the owner of this relay, can make one or add to its spec.senders";
  // RFC 3463 s3.8: 5.7.1, delivery not authorized.
  return { accept: false, reason, reply: reply(550, '5.7.1', text) };
}
