/** One step of a policy's keys: rotate, make what is due, store it, and only then tell of it. */
import type { DomainPolicy } from '../../crds/domain-policy.ts';
import { managedDkimDefaults } from '../../crds/domain-policy.ts';
import type { MailRelay } from '../../crds/mail-relay.ts';
import { domainPolicies, secrets as secretKind } from '../cluster/kinds.ts';
import type { ControllerDeps } from '../controller.ts';
import { Turns } from '../dns/bounds.ts';
import { type KubeObject, keyOf, nameOf as nameIn } from '../kube/object.ts';
import { nameOf } from './attach.ts';
import { baseDomains } from './base-domains.ts';
import { type DkimAlgorithm, dkimKeyOf, mintDkimKey } from './dkim-key.ts';
import {
  isLoadedAlike,
  isRing,
  type KeyRing,
  type RingKey,
  ringOf,
  ringSecret,
  ringSecretKey,
  ringSecretName,
  toldKeys,
} from './key-ring.ts';
import { overlapMsOf, signsFrom } from './key-wait.ts';
import { listed } from './listed.ts';
import { homesOf, inheritedRing, ringsOf } from './observe.ts';
import { rotateRequestOf } from './rotate-request.ts';
import { freshKey, type KeySight, type RotationInput, rotate } from './rotation.ts';
import { type RotationEvent, rotationReasons } from './rotation-reasons.ts';

export interface RingStep {
  readonly ring: KeyRing;
  readonly againMs: number | undefined;
  /** Where the keys are, as `namespace/name` of their Secret; undefined: nowhere. */
  readonly keptAt: string | undefined;
  /** The Secret of somebody else that has their place, likewise. */
  readonly taken?: string;
}

export interface RingQuestion {
  readonly relay: MailRelay;
  readonly policy: DomainPolicy;
  readonly sight: (key: RingKey) => KeySight;
  readonly signal: AbortSignal;
}

interface RingChange {
  readonly live: KubeObject | undefined;
  readonly before: KeyRing;
  readonly ring: KeyRing;
}

export type RingKeeper = ReturnType<typeof createRingKeeper>;

const dayMs = 86_400_000;
/** An RSA key takes a core for some 50 ms: what else runs here must get its turn. */
const mintedAtATime = 2;
/** A cache shows what was written within this, or something is wrong with it. */
const rememberedMs = 30_000;
/** After that it is looked whether a name that was somebody else's is free by now. */
const takenForMs = 60_000;

interface Written {
  readonly object: KubeObject;
  readonly overVersion: string | undefined;
  readonly timeMs: number;
}

export function createRingKeeper({ cluster, apply, events, clock, touchRelay }: ControllerDeps) {
  const turns = new Turns(mintedAtATime);
  const written = new Map<string, Written>();

  /** What is stored: the cache may still show what was before our last write, and a key must not be made twice. */
  function stored(relay: MailRelay, policy: DomainPolicy): KubeObject | undefined {
    const key = ringSecretKey(relay, policy);
    const cached = cluster.managed(secretKind, key);
    const live = cached !== undefined && isRing(cached, relay) ? cached : undefined;
    const own = written.get(key);
    if (own === undefined) return live;
    const isBehind = cached?.metadata.resourceVersion === own.overVersion && clock.now() - own.timeMs < rememberedMs;
    if (isBehind) return own.object;
    written.delete(key);
    return live;
  }

  /** The cache shows what has our labels: whatever else is under the name is seen before anything is written over it. */
  async function find({ relay, policy, signal }: RingQuestion): Promise<KubeObject | 'Taken' | undefined> {
    const live = stored(relay, policy);
    // What is stored first is not written over anything: only a name that was seen is worth a look, before keys are made in vain.
    if (live === undefined && !cluster.hasSecret(ringSecretKey(relay, policy))) return undefined;
    const isAsked = policy.spec.dkim.type === 'Managed' || ringsOf(cluster, nameOf(policy)).length > 0;
    if (live !== undefined || !isAsked) return live;
    const name = { namespace: relay.metadata.namespace, name: ringSecretName(relay, policy) };
    const there = await apply.peek(secretKind, name, signal);
    return there === undefined || isRing(there, relay) ? there : 'Taken';
  }

  async function mint(algorithm: DkimAlgorithm, policy: DomainPolicy): Promise<RingKey> {
    const pem = await turns.run(() => mintDkimKey(algorithm));
    return freshKey(dkimKeyOf(pem), { ...wishOf(policy), nowMs: clock.now() });
  }

  /** Returns what is there instead: nothing was stored. */
  async function store(question: RingQuestion, { live, before, ring }: RingChange): Promise<KubeObject | undefined> {
    const { relay, policy, signal } = question;
    const key = ringSecretKey(relay, policy);
    const write = { resource: secretKind, wanted: ringSecret(relay, policy, ring), signal };
    const { result, object } =
      live === undefined ? await apply.create(write) : await apply.apply({ ...write, live, onlyIfUnchanged: true });
    if (result === 'There') return object;
    if (result === 'Unchanged') return undefined;
    const overVersion = cluster.managed(secretKind, key)?.metadata.resourceVersion;
    written.set(key, { object: object as KubeObject, overVersion, timeMs: clock.now() });
    if (!isLoadedAlike(before, ring)) touchRelay(nameOf(relay));
    return undefined;
  }

  /** Returns what is there instead. */
  async function keep(question: RingQuestion, change: RingChange): Promise<KubeObject | undefined> {
    const { relay, policy, signal } = question;
    const { live, before, ring } = change;
    if (ring.length === 0) {
      if (live !== undefined) await apply.delete({ resource: secretKind, live, signal });
      return undefined;
    }
    // Found by its name alone, it has lost its labels.
    const isSeen = live !== undefined && live === stored(relay, policy);
    return !isSeen || isDifferent(before, ring) ? await store(question, change) : undefined;
  }

  /**
   * While their place is taken, keys stay where they were, with the relay before, and the pods load them from there: what loses its record stops
   * signing all the same. None is made: whoever is told of a key must find it again.
   */
  async function stepElsewhere(question: RingQuestion): Promise<RingStep> {
    const { relay, policy } = question;
    const taken = ringSecretKey(relay, policy);
    const [former] = homesOf(cluster, policy);
    if (former === undefined) return { ring: [], keptAt: undefined, taken, againMs: takenForMs };
    const { live, relay: home } = former;
    const before = toldKeys(live, policy, clock.now());
    const { ring, events: happened } = rotate(rotationOf(question, before, clock.now()));
    await keep({ ...question, relay: home }, { live, before, ring });
    if (!isLoadedAlike(before, ring)) touchRelay(nameOf(relay));
    tell(policy, happened);
    return { ring, keptAt: keyOf(live.metadata), taken, againMs: takenForMs };
  }

  /** Keys that take the same step together are told of together. */
  function tell(policy: DomainPolicy, happened: readonly RotationEvent[]): void {
    for (const [reason, steps] of Map.groupBy(happened, event => event.reason)) {
      const type = reason === 'KeyRecordLost' ? 'Warning' : 'Normal';
      const keys = steps.map(stepText).join(', ');
      const wait = reason === 'KeyMinted' ? waitText(policy, clock.now()) : '';
      events.record(policy, { type, reason, action: 'Rotate', note: `${keys}: ${rotationReasons[reason]}${wait}` });
    }
  }

  async function stepFrom(question: RingQuestion, live: KubeObject | 'Taken' | undefined): Promise<RingStep> {
    if (live === 'Taken') return await stepElsewhere(question);
    const before = live === undefined ? inheritedRing(cluster, question.policy, clock.now()) : ringOf(live);
    const rotation = rotate(rotationOf(question, before, clock.now()));
    const minted = await Promise.all(rotation.mint.map(algorithm => mint(algorithm, question.policy)));
    // In the order in which the next pass will have them: another one would be written once more.
    const ring = [...rotation.ring, ...minted].sort((one, other) => one.createdMs - other.createdMs);
    const there = await keep(question, { live, before, ring });
    if (there !== undefined) return await stepFrom(question, isRing(there, question.relay) ? there : 'Taken');
    // The first keys are part of making a policy, which its status tells; an event is a write as well. That mail stays unsigned for days whatever
    // is published is told twice.
    const births = minted.map(({ selector, algorithm }) => ({
      ...{ reason: 'KeyMinted' as const, selector, algorithm },
      domains: [],
    }));
    const isTold = before.length > 0 || question.policy.spec.dns.checks === 'Disabled';
    tell(question.policy, isTold ? [...rotation.events, ...births] : []);
    const keptAt = ringSecretKey(question.relay, question.policy);
    return { ring, keptAt, againMs: minted.length > 0 ? 0 : rotation.againMs };
  }

  return {
    /** As stored, for who only looks. */
    ring: (relay: MailRelay, policy: DomainPolicy): KeyRing => ringOf(stored(relay, policy)),

    step: async (question: RingQuestion): Promise<RingStep> => await stepFrom(question, await find(question)),

    /** Rings that nobody signs by any more: the policy is gone, or has its keys with another relay. */
    async sweep(policyKey: string, kept: string | undefined, signal: AbortSignal): Promise<void> {
      const rings = ringsOf(cluster, policyKey).filter(({ metadata }) => keyOf(metadata) !== kept);
      if (rings.length === 0) return;
      // The kinds of a cache are not of one moment: a ring can be seen before the policy that it was made for.
      const isGone = kept === undefined && (await apply.peek(domainPolicies, nameIn(policyKey), signal)) === undefined;
      if (kept === undefined && !isGone) return;
      for (const live of rings) await apply.delete({ resource: secretKind, live, signal });
    },
  };
}

function rotationOf({ relay, policy, sight }: RingQuestion, ring: KeyRing, nowMs: number): RotationInput {
  const { managed, type } = policy.spec.dkim;
  const { algorithms, rotationPeriodDays } = { ...managedDkimDefaults, ...managed };
  const bySelector = new Map(ring.map(key => [key.selector, key]));
  return {
    ring,
    ...wishOf(policy),
    algorithms: type === 'Managed' ? algorithms : [],
    rotationPeriodMs: rotationPeriodDays * dayMs,
    overlapMs: overlapMsOf(policy),
    checks: policy.spec.dns.checks,
    sight: selector => {
      const key = bySelector.get(selector);
      return key === undefined ? notLookedAt : sight(key);
    },
    messageLifetimeMs: relay.spec.retry.messageLifetimeSeconds * 1000,
    nowMs,
  };
}

/** What a key is made for. */
function wishOf(policy: DomainPolicy): Pick<RotationInput, 'domains' | 'request'> {
  return { domains: baseDomains(policy), request: rotateRequestOf(policy) };
}

function stepText({ selector, algorithm, domains }: RotationEvent): string {
  return `${selector} (${algorithm})${domains.length === 0 ? '' : ` at ${listed(domains)}`}`;
}

function waitText(policy: DomainPolicy, mintedMs: number): string {
  const from = signsFrom(policy, mintedMs);
  return from === undefined
    ? ''
    : ` Nobody looks whether it is there (spec.dns.checks is Disabled): the key signs from ${from} on.`;
}

const notLookedAt: KeySight = { record: () => 'Unknown', loaded: false, signing: undefined };

function isDifferent(before: KeyRing, after: KeyRing): boolean {
  const kept = (ring: KeyRing): string => JSON.stringify(ring.map(({ privateKeyPem: _, ...key }) => key));
  return kept(before) !== kept(after);
}
