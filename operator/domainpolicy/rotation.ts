/**
 * How keys follow each other: a pure function of what is kept, what is seen and the time. Each algorithm for itself, and within it each
 * domain of the policy for itself:
 *
 *              seen at every server           loaded by every pod, and due       its successor signs there
 *     (minted) Awaited ─────────► Seen ─────────────────────► Signs ──────────────────► Seen
 *                ▲                  │ record gone               │ record gone
 *                └──────────────────┴───────────────────────────┘
 *
 * The key itself is Active where it signs for any domain, else Published where it is seen at any, else Pending. Once its successor signs
 * wherever it did, it is Retiring: of use no more, until the last message that it signed can have arrived. It returns for a domain for which
 * no other can sign, as long as its record is there.
 *
 * A key signs for a domain only when its record was there at the last definite look and every pod has it. A look without an answer changes
 * nothing: it neither lets a key sign nor stops one. A rotation is over when the old key is gone; the next one does not begin before, unless
 * the owner asks for new keys: those that are there are then revoked, which sign where they do until a successor can, and nowhere else.
 */
import type { DkimAlgorithm, DkimKey } from './dkim-key.ts';
import { domainsIn, type KeyRing, type RingKey, stateAt } from './key-ring.ts';
import { RingMoves, stateOf } from './ring-moves.ts';
import type { RotationEvent } from './rotation-reasons.ts';

const dayMs = 86_400_000;
/** Beyond the life of a message in our queue: the next hop's queue and a receiver's own time. */
export const arrivalMarginMs = dayMs;

/** What is seen of one key. */
export interface KeySight {
  /** Of its record at all servers of a domain. Yes is recent; No may be of any age: it holds until a definite look says otherwise. */
  readonly record: (domain: string) => 'Yes' | 'No' | 'Unknown';
  /** Every ready pod has it. */
  readonly loaded: boolean;
  /** Some pod signs with it, or is about to; undefined: not known. */
  readonly signing: boolean | undefined;
}

export interface RotationInput {
  readonly ring: KeyRing;
  /** Base domains of the policy (base-domains.ts). */
  readonly domains: readonly string[];
  /** Asked for; empty: no managed keys are. */
  readonly algorithms: readonly DkimAlgorithm[];
  /** The owner's wish for new keys (rotate-request.ts): keys of another one are revoked. undefined: none. */
  readonly request: string | undefined;
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
  key: DkimKey,
  { domains, request, nowMs }: Pick<RotationInput, 'domains' | 'request' | 'nowMs'>,
): RingKey {
  const places = domains.map(domain => ({ domain, state: 'Awaited' as const, askedMs: nowMs }));
  const times = { createdMs: nowMs, signedMs: undefined, leftMs: undefined };
  return { ...key, state: 'Pending', places, request, isRevoked: false, ...times };
}

interface Turn extends Omit<Rotation, 'againMs'> {
  /** Times of the clock. */
  readonly againMs: readonly number[];
}

/** Steps in an order in which each may rely on those before it; each is taken at most once a pass. */
function turnOf(algorithm: DkimAlgorithm, input: RotationInput): Turn {
  const keys = input.ring.filter(key => key.algorithm === algorithm);
  const moves = new RingMoves(keys.map(key => inDomains(key, input)));
  const isWanted = input.algorithms.includes(algorithm);
  revoke(moves, input);
  loseRecords(moves, input);
  if (isWanted) {
    findRecords(moves, input);
    for (const domain of input.domains) bringBack(moves, domain, input);
    for (const domain of input.domains) activate(moves, domain, input);
    retireSpent(moves, input);
  } else leave(moves, input);
  remove(moves, input);
  const mint = isWanted && needsKey(moves, input) ? [algorithm] : [];
  return { ring: moves.keys, events: tidy(moves.events), mint, againMs: timesOf(moves.keys, input) };
}

/** A domain that is new waits for its record; one that the policy has no more is forgotten. */
function inDomains(key: RingKey, { domains, nowMs }: RotationInput): RingKey {
  const known = new Map(key.places.map(place => [place.domain, place]));
  const places = domains.map(domain => known.get(domain) ?? { domain, state: 'Awaited' as const, askedMs: nowMs });
  return { ...key, places, state: key.state === 'Retiring' ? 'Retiring' : stateOf(places) };
}

/** With checks off nobody looks, so that nothing is ever seen to be lost. */
function isLost({ selector }: RingKey, domain: string, { checks, sight }: RotationInput): boolean {
  return checks === 'Enabled' && sight(selector).record(domain) === 'No';
}

function isThere({ selector, places }: RingKey, domain: string, input: RotationInput): boolean {
  if (input.checks === 'Enabled') return input.sight(selector).record(domain) === 'Yes';
  const place = places.find(one => one.domain === domain);
  return place !== undefined && input.nowMs >= place.askedMs + input.overlapMs;
}

function revoke(moves: RingMoves, { request }: RotationInput): void {
  if (request === undefined) return;
  for (const key of moves.keys)
    if (!key.isRevoked && key.request !== request) {
      moves.change(key, { isRevoked: true });
      moves.tell('KeyRevoked', key);
    }
}

/** The owner of a revoked one may well have taken its record away. */
function loseRecords(moves: RingMoves, input: RotationInput): void {
  for (const key of moves.keys) {
    const lost = key.places.flatMap(({ domain, state }) =>
      state !== 'Awaited' && isLost(key, domain, input) ? [domain] : [],
    );
    if (lost.length === 0) continue;
    moves.place(key, 'Awaited', lost);
    if (key.state !== 'Retiring' && !key.isRevoked) moves.tell('KeyRecordLost', key, lost);
  }
}

function findRecords(moves: RingMoves, input: RotationInput): void {
  for (const key of moves.living.filter(({ isRevoked }) => !isRevoked)) {
    const found = domainsIn(key, 'Awaited').filter(domain => isThere(key, domain, input));
    if (found.length === 0) continue;
    moves.place(key, 'Seen', found);
    moves.tell('KeyPublished', key, found);
  }
}

/** Unsigned mail is worse than an old key, but an old key is not worth a second that signs. */
function bringBack(moves: RingMoves, domain: string, input: RotationInput): void {
  if (moves.living.some(key => !isAway(key, domain, input))) return;
  const old = moves.retiring.findLast(key => !key.isRevoked && isThere(key, domain, input));
  if (old === undefined) return;
  const there = input.domains.filter(one => isThere(old, one, input));
  moves.place(moves.change(old, { state: 'Pending', leftMs: undefined }), 'Seen', there);
  moves.tell('KeyReturned', old, [domain]);
}

/** One of which no look has said anything yet may be there: its look is under way. */
function isAway(key: RingKey, domain: string, input: RotationInput): boolean {
  const state = stateAt(key, domain);
  if (state === 'Signs' || (state === 'Seen' && !key.isRevoked)) return false;
  return key.isRevoked || input.checks === 'Disabled' || isLost(key, domain, input);
}

function activate(moves: RingMoves, domain: string, input: RotationInput): void {
  const { living } = moves;
  const next = living.findLast(key => mayBegin(key, domain, input));
  const signing = living.find(key => stateAt(key, domain) === 'Signs');
  if (next === undefined) return;
  if (signing !== undefined) {
    if (living.indexOf(next) < living.indexOf(signing) || input.nowMs < dueMs(signing, input)) return;
    moves.place(signing, 'Seen', [domain]);
  }
  moves.place(moves.change(next, { signedMs: next.signedMs ?? input.nowMs }), 'Signs', [domain]);
  moves.tell('KeyActivated', next, [domain]);
}

function mayBegin(key: RingKey, domain: string, input: RotationInput): boolean {
  if (key.isRevoked || stateAt(key, domain) !== 'Seen') return false;
  return isThere(key, domain, input) && input.sight(key.selector).loaded;
}

/** Those that sign nothing, while a newer one signs and nothing is left for them to do. */
function retireSpent(moves: RingMoves, { domains }: RotationInput): void {
  for (const key of moves.living) {
    if (key.state === 'Active') continue;
    const newer = moves.living.slice(moves.living.findIndex(({ selector }) => selector === key.selector) + 1);
    const isOfUse = domains.some(
      domain => stateAt(key, domain) === 'Seen' && !newer.some(one => stateAt(one, domain) === 'Signs'),
    );
    if (key.isRevoked || (!isOfUse && newer.some(({ state }) => state === 'Active'))) moves.retire(key);
  }
}

/** An algorithm that is asked for no more signs for a domain until one that is asked for does. */
function leave(moves: RingMoves, input: RotationInput): void {
  const { algorithms, ring } = input;
  const isReplaced = (domain: string): boolean =>
    algorithms.length === 0 ||
    ring.some(
      key => algorithms.includes(key.algorithm) && stateAt(key, domain) === 'Signs' && !isLost(key, domain, input),
    );
  for (const key of moves.living) {
    const left = moves.place(key, 'Seen', domainsIn(key, 'Signs').filter(isReplaced));
    if (left.state !== 'Active') moves.retire(left);
  }
}

function remove(moves: RingMoves, input: RotationInput): void {
  for (const key of moves.retiring) {
    const { signing } = input.sight(key.selector);
    if (signing === true && key.leftMs !== undefined) moves.change(key, { leftMs: undefined });
    else if (signing === false && key.isRevoked) {
      moves.drop(key);
      moves.tell('KeyWithdrawn', key);
    } else if (signing === false && key.leftMs === undefined) moves.change(key, { leftMs: input.nowMs });
    else if (key.leftMs !== undefined && input.nowMs >= goneMs(key.leftMs, input)) {
      moves.drop(key);
      moves.tell('KeyRemoved', key);
    }
  }
}

/** One event for all domains of a step. */
function tidy(events: readonly RotationEvent[]): RotationEvent[] {
  const groups = Map.groupBy(events, ({ reason, selector }) => `${reason} ${selector}`);
  return [...groups.values()].flatMap(([first, ...more]) =>
    first === undefined ? [] : [{ ...first, domains: [first, ...more].flatMap(({ domains }) => domains) }],
  );
}

/** Nothing that could sign is there, or the time of the one that signs is nearly over and nothing else is under way. */
function needsKey({ keys, living }: RingMoves, input: RotationInput): boolean {
  const [only] = living.filter(({ isRevoked }) => !isRevoked);
  if (only === undefined) return true;
  if (keys.length > 1 || only.state !== 'Active' || input.rotationPeriodMs === 0) return false;
  return input.nowMs >= successorMs(only, input);
}

/** When the one that signs makes way; with rotation off, whatever follows it follows at once. */
function dueMs({ signedMs, createdMs, isRevoked }: RingKey, { rotationPeriodMs }: RotationInput): number {
  return rotationPeriodMs === 0 || isRevoked ? 0 : (signedMs ?? createdMs) + rotationPeriodMs;
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
    const waits =
      input.checks === 'Disabled' && !key.isRevoked
        ? key.places.flatMap(({ state, askedMs }) => (state === 'Awaited' ? [askedMs + input.overlapMs] : []))
        : [];
    const isTimed = key.state === 'Active' && input.rotationPeriodMs > 0 && !key.isRevoked;
    return isTimed ? [...waits, successorMs(key, input), dueMs(key, input)] : waits;
  });
  return times.filter(time => time > input.nowMs);
}
