/**
 * How keys follow each other: a pure function of what is kept, what is seen and the time. Each algorithm for itself:
 *
 *              seen at every server           loaded by every pod, and due       its successor signs
 *   (minted) Pending ─────────► Published ─────────────────────► Active ──────────────────► Retiring ─────► gone
 *              ▲                    │ record gone                  │ record gone              │   last message it signed
 *              └────────────────────┴──────────────────────────────┘                         │   can have arrived
 *                                   ▲      none signs, and its record is still seen           │
 *                                   └─────────────────────────────────────────────────────────┘
 *
 * A key signs only when its record was there at the last definite look and every pod has it. A look without an answer changes nothing: it
 * neither lets a key sign nor stops one. A rotation is over when the old key is gone; the next one does not begin before.
 */
import type { DkimAlgorithm } from './dkim-key.ts';
import type { KeyRing, RingKey } from './key-ring.ts';

const dayMs = 86_400_000;
/** Beyond the life of a message in our queue: the next hop's queue and a receiver's own time. */
export const arrivalMarginMs = dayMs;

/** Reason -> what it means; they end up in events unchanged. */
export const rotationReasons = {
  KeyMinted: 'A DKIM key was made, and its record is awaited.',
  KeyPublished: 'The record of a DKIM key is there, and the pods load the key.',
  KeyActivated: 'Every pod has loaded a DKIM key whose record is there: it signs from now on.',
  KeyRetired: 'A DKIM key signs no more; its record is needed until the last message it signed can have arrived.',
  KeyReturned: 'A DKIM key that was replaced is used again: its record is there, and that of its successor is not.',
  KeyRemoved: 'No message signed with a DKIM key can still arrive: its record may go.',
  KeyRecordLost:
    'The record of a DKIM key is gone or different at a server of its domain: the key does not sign until it is back.',
} as const;
export type RotationReason = keyof typeof rotationReasons;

export interface RotationEvent {
  readonly reason: RotationReason;
  readonly selector: string;
  readonly algorithm: DkimAlgorithm;
}

/** What is seen of one key. */
export interface KeySight {
  /** Of its record at all servers of all domains. Yes is recent; No may be of any age: it holds until a definite look says otherwise. */
  readonly record: 'Yes' | 'No' | 'Unknown';
  /** Every ready pod has it. */
  readonly loaded: boolean;
  /** Some pod signs with it, or is about to; undefined: not known. */
  readonly signing: boolean | undefined;
}

export interface RotationInput {
  readonly ring: KeyRing;
  /** Asked for; empty: no managed keys are. */
  readonly algorithms: readonly DkimAlgorithm[];
  /** 0: never. */
  readonly rotationPeriodMs: number;
  readonly overlapMs: number;
  readonly checks: 'Enabled' | 'Disabled';
  readonly sight: (selector: string) => KeySight;
  /** The relay's. */
  readonly messageLifetimeMs: number;
  readonly nowMs: number;
}

export interface Rotation {
  readonly ring: KeyRing;
  readonly events: readonly RotationEvent[];
  /** Keys to be made, stored as Pending, and only then spoken of. */
  readonly mint: readonly DkimAlgorithm[];
  /** When time alone changes something. */
  readonly againMs: number | undefined;
}

export function rotate(input: RotationInput): Rotation {
  const known = [...new Set([...input.algorithms, ...input.ring.map(({ algorithm }) => algorithm)])];
  const turns = known.map(algorithm => turnOf(algorithm, input));
  const times = turns.flatMap(({ againMs }) => againMs ?? []);
  const ring = turns.flatMap(turn => turn.ring).sort((one, other) => one.createdMs - other.createdMs);
  return {
    ring,
    events: turns.flatMap(({ events }) => events),
    mint: turns.flatMap(({ mint }) => mint),
    againMs: times.length === 0 ? undefined : Math.max(0, Math.min(...times) - input.nowMs),
  };
}

export function freshKey(
  key: Pick<RingKey, 'selector' | 'algorithm' | 'privateKeyPem' | 'recordValue'>,
  nowMs: number,
): RingKey {
  return { ...key, state: 'Pending', createdMs: nowMs, signedMs: undefined, leftMs: undefined };
}

interface Turn extends Omit<Rotation, 'againMs'> {
  /** Times of the clock. */
  readonly againMs: readonly number[];
}

interface Moves {
  keys: readonly RingKey[];
  readonly events: RotationEvent[];
}

/** Steps in an order in which each may rely on those before it; each is taken at most once a pass. */
function turnOf(algorithm: DkimAlgorithm, input: RotationInput): Turn {
  const moves: Moves = { keys: input.ring.filter(key => key.algorithm === algorithm), events: [] };
  const isWanted = input.algorithms.includes(algorithm);
  loseRecords(moves, input);
  if (isWanted) {
    publish(moves, input);
    bringBack(moves, input);
    activate(moves, input);
  } else leave(moves, input);
  remove(moves, input);
  const mint = isWanted && needsKey(moves.keys, input) ? [algorithm] : [];
  return { ring: moves.keys, events: moves.events, mint, againMs: timesOf(moves.keys, input) };
}

function move(moves: Moves, key: RingKey, next: Partial<RingKey>, reason: RotationReason): void {
  moves.keys = moves.keys.map(one => (one === key ? { ...key, ...next } : one));
  moves.events.push({ reason, selector: key.selector, algorithm: key.algorithm });
}

function inState(keys: readonly RingKey[], ...states: readonly RingKey['state'][]): RingKey[] {
  return keys.filter(({ state }) => states.includes(state));
}

/** With checks off nobody looks, so that nothing is ever seen to be lost. */
function isLost({ selector }: RingKey, { checks, sight }: RotationInput): boolean {
  return checks === 'Enabled' && sight(selector).record === 'No';
}

function isThere({ selector, createdMs }: RingKey, { checks, sight, overlapMs, nowMs }: RotationInput): boolean {
  return checks === 'Enabled' ? sight(selector).record === 'Yes' : nowMs >= createdMs + overlapMs;
}

function loseRecords(moves: Moves, input: RotationInput): void {
  for (const key of inState(moves.keys, 'Published', 'Active'))
    if (isLost(key, input)) move(moves, key, { state: 'Pending' }, 'KeyRecordLost');
}

function publish(moves: Moves, input: RotationInput): void {
  for (const key of inState(moves.keys, 'Pending'))
    if (isThere(key, input)) move(moves, key, { state: 'Published' }, 'KeyPublished');
}

/** Unsigned mail is worse than an old key, but an old key is not worth a second that signs. */
function bringBack(moves: Moves, input: RotationInput): void {
  if (inState(moves.keys, 'Active', 'Published').length > 0) return;
  const old = inState(moves.keys, 'Retiring').findLast(key => isThere(key, input));
  if (old !== undefined) move(moves, old, { state: 'Published', leftMs: undefined }, 'KeyReturned');
}

function activate(moves: Moves, input: RotationInput): void {
  const next = inState(moves.keys, 'Published').at(-1);
  if (next === undefined || !isThere(next, input) || !input.sight(next.selector).loaded) return;
  const [signing] = inState(moves.keys, 'Active');
  if (signing !== undefined && (next.createdMs < signing.createdMs || input.nowMs < dueMs(signing, input))) return;
  move(moves, next, { state: 'Active', signedMs: next.signedMs ?? input.nowMs, leftMs: undefined }, 'KeyActivated');
  for (const old of moves.keys)
    if (old.selector !== next.selector && (old.state === 'Active' || isSpent(old, next))) retire(moves, old);
}

/** Older than the one that signs now, and of no more use. */
function isSpent({ state, createdMs }: RingKey, signing: RingKey): boolean {
  return (state === 'Pending' || state === 'Published') && createdMs < signing.createdMs;
}

/** A key that has never signed is asked for by nobody. */
function retire(moves: Moves, key: RingKey): void {
  if (key.signedMs !== undefined) move(moves, key, { state: 'Retiring', leftMs: undefined }, 'KeyRetired');
  else moves.keys = moves.keys.filter(one => one !== key);
}

/** An algorithm that is asked for no more signs until one that is asked for does. */
function leave(moves: Moves, input: RotationInput): void {
  const replaced =
    input.algorithms.length === 0 ||
    input.ring.some(key => key.state === 'Active' && input.algorithms.includes(key.algorithm) && !isLost(key, input));
  for (const key of inState(moves.keys, 'Pending', 'Published', 'Active'))
    if (replaced || key.state !== 'Active') retire(moves, key);
}

function remove(moves: Moves, input: RotationInput): void {
  for (const key of inState(moves.keys, 'Retiring')) {
    const { signing } = input.sight(key.selector);
    if (signing === true && key.leftMs !== undefined)
      moves.keys = moves.keys.map(one => (one === key ? { ...key, leftMs: undefined } : one));
    else if (signing === false && key.leftMs === undefined)
      moves.keys = moves.keys.map(one => (one === key ? { ...key, leftMs: input.nowMs } : one));
    else if (key.leftMs !== undefined && input.nowMs >= goneMs(key.leftMs, input)) {
      moves.keys = moves.keys.filter(one => one !== key);
      moves.events.push({ reason: 'KeyRemoved', selector: key.selector, algorithm: key.algorithm });
    }
  }
}

/** Nothing that could sign is there, or the time of the one that signs is nearly over and nothing else is under way. */
function needsKey(keys: readonly RingKey[], input: RotationInput): boolean {
  const living = inState(keys, 'Pending', 'Published', 'Active');
  const [only] = living;
  if (only === undefined) return true;
  if (keys.length > 1 || only.state !== 'Active' || input.rotationPeriodMs === 0) return false;
  return input.nowMs >= successorMs(only, input);
}

/** When the one that signs makes way; with rotation off, whatever follows it follows at once. */
function dueMs({ signedMs, createdMs }: RingKey, { rotationPeriodMs }: RotationInput): number {
  return rotationPeriodMs === 0 ? 0 : (signedMs ?? createdMs) + rotationPeriodMs;
}

/** Early enough for its record to be published by hand. */
function successorMs(signing: RingKey, input: RotationInput): number {
  return dueMs(signing, input) - Math.min(input.overlapMs, input.rotationPeriodMs / 2);
}

function goneMs(leftMs: number, { messageLifetimeMs, overlapMs }: RotationInput): number {
  return leftMs + Math.max(messageLifetimeMs + arrivalMarginMs, overlapMs);
}

function timesOf(keys: readonly RingKey[], input: RotationInput): number[] {
  const times = keys.flatMap(key => {
    if (key.state === 'Retiring') return key.leftMs === undefined ? [] : [goneMs(key.leftMs, input)];
    if (key.state === 'Active' && input.rotationPeriodMs > 0) return [successorMs(key, input), dueMs(key, input)];
    return key.state === 'Pending' && input.checks === 'Disabled' ? [key.createdMs + input.overlapMs] : [];
  });
  return times.filter(time => time > input.nowMs);
}
