/** One step of a policy's keys: rotate, make what is due, store it, and only then tell of it. */
import type { DomainPolicy } from '../../crds/domain-policy.ts';
import { managedDkimDefaults } from '../../crds/domain-policy.ts';
import type { MailRelay } from '../../crds/mail-relay.ts';
import { secrets as secretKind } from '../cluster/kinds.ts';
import type { ControllerDeps } from '../controller.ts';
import { Turns } from '../dns/bounds.ts';
import type { KubeObject } from '../kube/object.ts';
import { nameOf } from './attach.ts';
import { type DkimAlgorithm, dkimKeyOf, mintDkimKey } from './dkim-key.ts';
import { type KeyRing, type RingKey, ringOf, ringSecret, ringSecretKey } from './key-ring.ts';
import {
  freshKey,
  type KeySight,
  type RotationEvent,
  type RotationInput,
  rotate,
  rotationReasons,
} from './rotation.ts';

export interface RingStep {
  readonly ring: KeyRing;
  readonly againMs: number | undefined;
}

export interface RingQuestion {
  readonly relay: MailRelay;
  readonly policy: DomainPolicy;
  readonly sight: (key: RingKey) => KeySight;
  readonly signal: AbortSignal;
}

export type RingKeeper = ReturnType<typeof createRingKeeper>;

const dayMs = 86_400_000;
/** An RSA key takes a core for some 50 ms: what else runs here must get its turn. */
const mintedAtATime = 2;
/** A cache shows what was written within this, or something is wrong with it. */
const rememberedMs = 30_000;

interface Written {
  readonly object: KubeObject;
  readonly overVersion: string | undefined;
  readonly timeMs: number;
}

export function createRingKeeper({ cluster, apply, events, clock, touchRelay }: ControllerDeps) {
  const turns = new Turns(mintedAtATime);
  const written = new Map<string, Written>();

  /** What is stored: the cache may still show what was before our last write, and a key must not be made twice. */
  function stored(key: string): KubeObject | undefined {
    const live = cluster.managed(secretKind, key);
    const own = written.get(key);
    if (own === undefined) return live;
    const isBehind = live?.metadata.resourceVersion === own.overVersion && clock.now() - own.timeMs < rememberedMs;
    if (isBehind) return own.object;
    written.delete(key);
    return live;
  }

  async function mint(algorithm: DkimAlgorithm): Promise<RingKey> {
    const pem = await turns.run(() => mintDkimKey(algorithm));
    return freshKey(dkimKeyOf(pem), clock.now());
  }

  async function store(question: RingQuestion, ring: KeyRing): Promise<void> {
    const { relay, policy, signal } = question;
    const key = ringSecretKey(relay, policy);
    const live = stored(key);
    const wanted = ringSecret(relay, policy, ring);
    const { result, object } = await apply.apply({
      ...{ resource: secretKind, wanted, live, signal },
      onlyIfUnchanged: live !== undefined,
    });
    if (result === 'Unchanged') return;
    const overVersion = cluster.managed(secretKind, key)?.metadata.resourceVersion;
    written.set(key, { object: object as KubeObject, overVersion, timeMs: clock.now() });
    touchRelay(nameOf(relay));
  }

  /** Those of a relay that the policy named before, else none: a key whose record is published is worth keeping. */
  function inherited({ policy }: RingQuestion): KeyRing {
    for (const secret of cluster.keySecretsOf(nameOf(policy))) {
      const ring = ringOf(secret);
      // The pods of this relay have none of them yet.
      if (ring.length > 0)
        return ring.map(key => ({
          ...key,
          state: key.state === 'Active' ? 'Published' : key.state,
          leftMs: undefined,
        }));
    }
    return [];
  }

  function tell(policy: DomainPolicy, { reason, selector, algorithm }: RotationEvent): void {
    const type = reason === 'KeyRecordLost' ? 'Warning' : 'Normal';
    events.record(policy, {
      type,
      reason,
      action: 'Rotate',
      note: `${selector} (${algorithm}): ${rotationReasons[reason]}`,
    });
  }

  return {
    /** As stored, for who only looks. */
    ring: (relay: MailRelay, policy: DomainPolicy): KeyRing => ringOf(stored(ringSecretKey(relay, policy))),

    async step(question: RingQuestion): Promise<RingStep> {
      const { relay, policy, signal } = question;
      const live = stored(ringSecretKey(relay, policy));
      const before = live === undefined ? inherited(question) : ringOf(live);
      const rotation = rotate(rotationOf(question, before, clock.now()));
      const minted = await Promise.all(rotation.mint.map(mint));
      const ring = [...rotation.ring, ...minted];
      if (ring.length === 0) {
        if (live !== undefined) await apply.delete({ resource: secretKind, live, signal });
        return { ring, againMs: undefined };
      }
      if (live === undefined || isDifferent(before, ring)) await store(question, ring);
      const births = minted.map(({ selector, algorithm }) => ({ reason: 'KeyMinted' as const, selector, algorithm }));
      for (const event of [...rotation.events, ...births]) tell(policy, event);
      return { ring, againMs: minted.length > 0 ? 0 : rotation.againMs };
    },

    /** Rings that nobody signs by any more: the policy is gone, or has its keys with another relay. */
    async sweep(policyKey: string, kept: string | undefined, signal: AbortSignal): Promise<void> {
      for (const live of cluster.keySecretsOf(policyKey)) {
        const key = `${live.metadata.namespace}/${live.metadata.name}`;
        if (key !== kept) await apply.delete({ resource: secretKind, live, signal });
      }
    },
  };
}

function rotationOf({ relay, policy, sight }: RingQuestion, ring: KeyRing, nowMs: number): RotationInput {
  const { managed, type } = policy.spec.dkim;
  const { algorithms, rotationPeriodDays, overlapDays } = { ...managedDkimDefaults, ...managed };
  const bySelector = new Map(ring.map(key => [key.selector, key]));
  return {
    ring,
    algorithms: type === 'Managed' ? algorithms : [],
    rotationPeriodMs: rotationPeriodDays * dayMs,
    overlapMs: overlapDays * dayMs,
    checks: policy.spec.dns.checks,
    sight: selector => {
      const key = bySelector.get(selector);
      return key === undefined ? unseen : sight(key);
    },
    messageLifetimeMs: relay.spec.retry.messageLifetimeSeconds * 1000,
    nowMs,
  };
}

const unseen: KeySight = { record: 'Unknown', loaded: false, signing: undefined };

function isDifferent(before: KeyRing, after: KeyRing): boolean {
  const kept = (ring: KeyRing): string => JSON.stringify(ring.map(({ privateKeyPem: _, ...key }) => key));
  return kept(before) !== kept(after);
}
