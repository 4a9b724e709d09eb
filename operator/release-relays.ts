/**
 * Before the operator goes for good. A MailRelay has a finalizer, so that its queue is delivered before it goes; without an operator
 * nobody takes it off, and whoever deletes the relay, its namespace or its definition would wait for ever.
 *
 * Keep: relays stay and run on; each is released from the finalizer. For when the operator is gone already: it would put it back.
 * Delete: relays are deleted, and the operator, which is still there, drains them; what is left after the time limit is released as it
 * is. No one can put a finalizer on what is being deleted.
 */
import { setTimeout as delay } from 'node:timers/promises';
import type { MailRelay } from '../crds/mail-relay.ts';
import { mailRelays } from './cluster/kinds.ts';
import type { KubeClient } from './kube/client.ts';
import { isConflict, isNotFound } from './kube/errors.ts';
import { listAll } from './kube/list.ts';
import { type KubeObject, keyOf, pathOf } from './kube/object.ts';
import { drainFinalizer } from './labels.ts';

export interface Release {
  readonly client: KubeClient;
  readonly relays: 'Keep' | 'Delete';
  /** How long relays that are deleted may drain. */
  readonly drainTimeoutMs: number;
  /** After that, and for the rest: how long releasing may take. */
  readonly releaseTimeoutMs: number;
  readonly pollMs: number;
  readonly signal: AbortSignal;
  readonly say: (line: string) => void;
}

type Found = MailRelay & KubeObject;

/** @throws Error when relays are left that wait for the finalizer. */
export async function releaseRelays(release: Release): Promise<void> {
  if (release.relays === 'Delete') await deleteAndDrain(release);
  await releaseAll(release);
}

async function deleteAndDrain(release: Release): Promise<void> {
  const { client, signal, say, drainTimeoutMs } = release;
  const relays = await list(release);
  say(`${relays.length} MailRelays are deleted, and may drain for ${drainTimeoutMs / 1000} s`);
  for (const { metadata } of relays) {
    const body = { apiVersion: 'v1', kind: 'DeleteOptions', propagationPolicy: 'Background' };
    await client.request({ method: 'DELETE', path: pathOf(mailRelays, metadata), body, signal }).catch(unlessGone);
  }
  const left = await until(release, drainTimeoutMs, async () => await list(release));
  if (left.length === 0) say('all MailRelays are gone');
}

async function releaseAll(release: Release): Promise<void> {
  const { say, releaseTimeoutMs, relays } = release;
  const left = await until(release, releaseTimeoutMs, async () => {
    const bound = (await list(release)).filter(({ metadata }) => metadata.finalizers?.includes(drainFinalizer));
    for (const relay of bound) {
      await takeOff(release, relay);
      const outcome =
        relays === 'Keep' ? 'it runs on without an operator' : 'what it had not delivered is on its volumes';
      say(`${keyOf(relay.metadata)} is released: ${outcome}`);
    }
    return bound;
  });
  if (left.length > 0) throw new Error(`not released: ${left.map(({ metadata }) => keyOf(metadata)).join(', ')}`);
}

async function takeOff({ client, signal }: Release, { metadata }: Found): Promise<void> {
  const finalizers = (metadata.finalizers ?? []).filter(each => each !== drainFinalizer);
  // Refused when somebody else has written it since: the next look sees what.
  const body = { metadata: { resourceVersion: metadata.resourceVersion, finalizers } };
  const contentType = 'application/merge-patch+json';
  await client
    .request({ method: 'PATCH', path: pathOf(mailRelays, metadata), body, contentType, signal })
    .catch((error: unknown) => {
      if (!isConflict(error)) unlessGone(error);
    });
}

/** Looks until there is nothing left; gives what is left at the end of the time. */
async function until(
  { pollMs, signal }: Release,
  limitMs: number,
  look: () => Promise<readonly Found[]>,
): Promise<readonly Found[]> {
  const endMs = performance.now() + limitMs;
  for (;;) {
    const left = await look();
    if (left.length === 0 || performance.now() >= endMs) return left;
    await delay(pollMs, undefined, { signal });
  }
}

/** None where the definition is gone as well. */
async function list({ client, signal }: Release): Promise<Found[]> {
  const everywhere = { namespace: undefined, labelSelector: undefined, fieldSelector: undefined };
  try {
    return await listAll<Found>({ client, resource: mailRelays, ...everywhere, signal, pageSize: 500, most: 100_000 });
  } catch (error) {
    unlessGone(error);
    return [];
  }
}

function unlessGone(error: unknown): void {
  if (!isNotFound(error)) throw error;
}
