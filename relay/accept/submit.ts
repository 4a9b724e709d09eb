/** End of data: loop check, From, signature, queue. A 250 is said only after `submit` resolved (G1). */
import type { PolicyConfig } from '../config.ts';
import { checkForwardPath } from '../policy/forward-path.ts';
import { checkFrom } from '../policy/from.ts';
import type { Identity } from '../policy/identity.ts';
import { routeRecipient } from '../policy/route.ts';
import type { Content, NewMessage, NewRecipient } from '../queue/queue.ts';
import type { EnvelopeRecipient, EnvelopeSender } from '../smtp/envelope.ts';
import { storeFault } from './fault.ts';
import type { Origin } from './origin.ts';
import { type HeaderFacts, inspectHeader, missingFields, receivedField } from './received.ts';
import { type Answer, queued, refusal, replies } from './replies.ts';

/** RFC 5321 s6.3 asks for a limit of at least 100 fields; mail through this many relays of ours and others loops. */
const maxReceivedFields = 50;
const maxHeaderFields = 1000;

export interface ReceivedMessage {
  readonly identity: Identity;
  readonly sender: EnvelopeSender;
  readonly recipients: readonly EnvelopeRecipient[];
  /** Up to and with the blank line. */
  readonly header: Buffer;
  readonly bodyHash: () => string;
  readonly finish: () => Promise<Content>;
}

export interface Submission {
  readonly answer: Answer;
  /** Set when the queue has it. */
  readonly message?: NewMessage;
}

async function stored<T>(operation: Promise<T>): Promise<T> {
  try {
    return await operation;
  } catch (error) {
    throw storeFault(error);
  }
}

/** @throws QueueFullError, another fault of the store, or one of the signer. */
export async function submitMessage(origin: Origin, received: ReceivedMessage): Promise<Submission> {
  const { deps } = origin;
  const facts = inspectHeader(received.header);
  const unfit = unfitHeader(facts);
  if (unfit !== undefined) return { answer: unfit };
  const { config, policies } = deps.state();
  const decision = checkFrom(policies, received.identity, received.header);
  if (!decision.accept) return { answer: refusal(decision) };
  const policy = decision.value;
  const unreachable = checkRecipients(origin, received.recipients, policy);
  if (unreachable !== undefined) return { answer: unreachable };

  const id = deps.newId();
  const receivedTimeMs = deps.clock.now();
  const added = Buffer.from(missingFields(facts, { id, hostname: config.hostname, timeMs: receivedTimeMs }));
  const signed = added.length === 0 ? received.header : Buffer.concat([added, received.header]);
  const [signature, content] = await Promise.all([
    deps.signer.sign({ policy, header: signed, bodyHash: received.bodyHash() }),
    stored(received.finish()),
  ]);
  const trace = Buffer.from(receivedField(origin, { id, timeMs: receivedTimeMs, smtputf8: received.sender.smtputf8 }));
  const message: NewMessage = {
    id,
    sender: received.sender,
    tenant: policy.namespace,
    policy: `${policy.namespace}/${policy.name}`,
    ...(policy.tls === 'Opportunistic' ? {} : { tls: policy.tls }),
    receivedTimeMs,
    expiryTimeMs: receivedTimeMs + config.retry.messageLifetimeSeconds * 1000,
    head: Buffer.concat([signature, trace, added]),
    content,
    recipients: received.recipients.map(recipient => toNew(origin, policy, recipient)),
  };
  await stored(deps.submit(message));
  logAccepted(origin, message);
  return { answer: queued(id), message };
}

function unfitHeader(facts: HeaderFacts): Answer | undefined {
  if (facts.fields > maxHeaderFields) return replies.headerTooBig;
  // RFC 5321 s6.3.
  return facts.received > maxReceivedFields ? replies.mailLoop : undefined;
}

/** The From field's policy may route other than the relay, which RCPT was checked against. */
function checkRecipients(
  origin: Origin,
  recipients: readonly EnvelopeRecipient[],
  policy: PolicyConfig,
): Answer | undefined {
  const { policies } = origin.deps.state();
  for (const { forwardPath } of recipients) {
    const decision = checkForwardPath(policies, forwardPath, policy);
    if (!decision.accept) return refusal(decision);
  }
  return undefined;
}

function toNew(origin: Origin, policy: PolicyConfig, recipient: EnvelopeRecipient): NewRecipient {
  const { forwardPath, notify, orcpt } = recipient;
  const { destination, domain } = routeRecipient(origin.deps.state().policies, policy, forwardPath);
  const route = { forwardPath: forwardPath.text, domain, destination, notify };
  return orcpt === undefined ? route : { ...route, orcpt };
}

function logAccepted(origin: Origin, { id, sender, policy, recipients, content }: NewMessage): void {
  origin.deps.log.info(
    {
      session: origin.id,
      queueId: id,
      reversePath: sender.reversePath?.text ?? '',
      recipients: recipients.length,
      sizeBytes: content.sizeBytes,
      policy,
    },
    'accepted',
  );
}
