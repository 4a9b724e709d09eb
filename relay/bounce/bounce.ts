/**
 * Tells the sender what became of a message: after the attempt, before the settlement that enqueues what is built here in the
 * same transition as the outcomes it reports. A crash before that transition leaves neither; after it, both are durable.
 *
 * Pure but for reading the original and for the signature: `decision` says who is told what, `dsn` how it looks.
 */
import { isAscii as isSevenBit } from 'node:buffer';
import type { PolicyConfig, RelayConfig } from '../config.ts';
import { destinationOf } from '../destination.ts';
import type { Claim, Content, NewMessage } from '../queue/queue.ts';
import { SigningError } from '../sign/selector.ts';
import type { Signer } from '../sign/signer.ts';
import { coveringPatterns, normalizeDomain, normalizeDomainPattern } from '../smtp/domain.ts';
import { dsnRecipient, eventsToReport, type RecipientEvent } from './decision.ts';
import { type Dsn, formatDsn } from './dsn.ts';
import { messageIdOf, originalPart, readOriginal } from './original-part.ts';
import { isAscii, quoteText } from './text.ts';

export type { Action, RecipientEvent } from './decision.ts';

export interface BounceInput {
  readonly claim: Pick<Claim, 'message' | 'head' | 'content'>;
  readonly recipients: readonly RecipientEvent[];
  readonly config: RelayConfig;
  readonly newId: () => string;
  readonly nowMs: number;
  readonly signer: Signer;
}

/** One DSN for all the events that the sender wants to know of; undefined when there are none. Ready for `settle`. */
export async function buildDsn(input: BounceInput): Promise<NewMessage | undefined> {
  const { claim, config, nowMs } = input;
  const { message } = claim;
  const events = eventsToReport(message, input.recipients);
  const to = dsnRecipient(config, message);
  if (events.length === 0 || to === null) return undefined;
  const id = input.newId();
  const original = await readOriginal(claim);
  const dsn = formatDsn({
    id,
    hostname: reportingMta(config),
    message,
    events,
    to,
    nowMs,
    originalMessageId: messageIdOf(original.bytes),
    original: originalPart(original, returnsFull(message, events)),
  });
  const bytes = Buffer.concat([dsn.header, dsn.body]);
  return {
    id,
    sender: {
      reversePath: null,
      body: isSevenBit(bytes) ? '7BIT' : '8BITMIME',
      smtputf8: !isAscii(to.text),
      // RFC 8689 s5: what it says about the original deserves the original's protection.
      requireTls: message.sender.requireTls,
    },
    tenant: message.tenant,
    // It quotes the original: what its policy demands, and demanded, of the way out holds for the DSN as well. Its route does not.
    policy: message.policy,
    ...(message.tls === undefined ? {} : { tls: message.tls }),
    receivedTimeMs: nowMs,
    expiryTimeMs: nowMs + config.retry.messageLifetimeSeconds * 1000,
    head: await signature(input, dsn),
    content: contentOf(bytes),
    recipients: [
      // RFC 3461 s5.2.1: nobody is told of what becomes of a DSN.
      {
        forwardPath: to.text,
        domain: to.domain,
        destination: destinationOf(config, null, to.domain),
        notify: ['Never'],
      },
    ],
  };
}

/** RFC 3461 s4.3: the whole message only for failures. RFC 8689 s5: never for REQUIRETLS. */
function returnsFull({ sender }: Claim['message'], events: readonly RecipientEvent[]): boolean {
  return sender.ret === 'FULL' && !sender.requireTls && events.some(({ action }) => action === 'failed');
}

function reportingMta({ hostname }: RelayConfig): string {
  return normalizeDomain(hostname) ?? quoteText(hostname).replaceAll(/[^A-Za-z0-9.:[\]_-]/g, '-');
}

/** A DSN is signed when the relay's own name lies in a domain that some policy has keys for. */
async function signature({ config, signer }: BounceInput, { header, body }: Dsn): Promise<Buffer> {
  const policy = policyForHost(config);
  if (policy === undefined) return Buffer.alloc(0);
  const hasher = signer.hashBody();
  hasher.update(body);
  try {
    return await signer.sign({ policy, header, bodyHash: hasher.digest() });
  } catch (error) {
    // A key that is missing must not keep the sender from hearing of a loss; the signer has counted the fault.
    if (error instanceof SigningError) return Buffer.alloc(0);
    throw error;
  }
}

/** By configuration, since a burst of failures asks again and again. */
const policiesForHosts = new WeakMap<RelayConfig, { readonly policy: PolicyConfig | undefined }>();

function policyForHost(config: RelayConfig): PolicyConfig | undefined {
  const known = policiesForHosts.get(config);
  if (known !== undefined) return known.policy;
  const owners = new Map(
    config.policies.flatMap(policy => policy.domains.map(domain => [normalizeDomainPattern(domain), policy] as const)),
  );
  const host = normalizeDomain(config.hostname);
  const pattern = host === undefined ? undefined : coveringPatterns(host).find(covering => owners.has(covering));
  const policy = pattern === undefined ? undefined : owners.get(pattern);
  policiesForHosts.set(config, { policy });
  return policy;
}

function contentOf(bytes: Buffer): Content {
  return {
    sizeBytes: bytes.length,
    bytes,
    async *read() {
      yield bytes;
    },
  };
}
