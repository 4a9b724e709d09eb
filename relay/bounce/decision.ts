/** Who is told what (RFC 3461 s4.1, s5.2): pure, and apart from how a DSN looks. */
import type { PolicyConfig, RelayConfig } from '../config.ts';
import type { MessageRecord, QueuedRecipient } from '../queue/queue.ts';
import type { Notify } from '../smtp/envelope.ts';
import { type Path, parsePath } from '../smtp/path.ts';
import type { Reply } from '../smtp/reply.ts';

/** RFC 3464 s2.3.3. `relayed`: handed to a next hop that does not speak the DSN extension, so nobody after it will tell. */
export type Action = 'failed' | 'delayed' | 'delivered' | 'relayed';

/** The gravest first. */
export const actionsByGravity = ['failed', 'delayed', 'relayed', 'delivered'] as const satisfies readonly Action[];

/** What became of one recipient. */
export interface RecipientEvent {
  readonly recipient: QueuedRecipient;
  readonly action: Action;
  /** The last reply; ours where no next hop was asked. */
  readonly reply?: Reply;
  readonly reason: string;
  /** The host whose reply it is. */
  readonly remoteMta?: string;
  readonly lastAttemptTimeMs: number;
  /** Of a delayed recipient. */
  readonly willRetryUntilMs?: number;
}

const wanted: Readonly<Record<Action, Notify>> = {
  failed: 'Failure',
  delayed: 'Delay',
  delivered: 'Success',
  relayed: 'Success',
};

/** The events that the sender is told of; none when there is nobody to tell. */
export function eventsToReport(message: MessageRecord, events: readonly RecipientEvent[]): RecipientEvent[] {
  // RFC 5321 s4.5.5, RFC 3464 s2: never a notification about a notification.
  if (message.sender.reversePath === null) return [];
  return events.filter(({ recipient, action }) => isWanted(recipient.notify, action));
}

/** What a DSN with these events is about, in one word: what its subject tells. */
export function gravestAction(events: readonly Pick<RecipientEvent, 'action'>[]): Action {
  return actionsByGravity.find(action => events.some(event => event.action === action)) ?? 'failed';
}

function isWanted(notify: readonly Notify[], action: Action): boolean {
  // RFC 3461 s4.1: no NOTIFY means FAILURE, and DELAY as we choose.
  if (notify.length === 0) return action === 'failed' || action === 'delayed';
  return !notify.includes('Never') && notify.includes(wanted[action]);
}

/** Where it goes: the policy's address for DSNs, else the reverse-path. */
export function dsnRecipient(config: RelayConfig, message: MessageRecord): Path | null {
  const bouncesTo = policyOf(config, message.policy)?.bouncesTo;
  const path = bouncesTo === undefined ? undefined : parsePath(bouncesTo, { smtputf8: true });
  return path ?? message.sender.reversePath;
}

function policyOf(config: RelayConfig, key: string | null): PolicyConfig | undefined {
  const [namespace, name] = key?.split('/') ?? [];
  return config.policies.find(policy => policy.name === name && policy.namespace === namespace);
}
