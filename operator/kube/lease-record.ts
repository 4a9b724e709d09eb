/** The Lease object, and what we have seen of it. Writes are by resourceVersion, so of two that reach for it one gets it. */
import type { Clock } from '../../relay/clock.ts';
import type { KubeClient } from './client.ts';
import { isConflict, isNotFound } from './errors.ts';
import { type KubeObject, pathOf, type Resource } from './object.ts';
import type { Deadline, Uptime } from './uptime.ts';

const resource: Resource = {
  apiVersion: 'coordination.k8s.io/v1',
  kind: 'Lease',
  plural: 'leases',
  isNamespaced: true,
};

interface LeaseSpec {
  readonly holderIdentity?: string;
  readonly leaseDurationSeconds?: number;
  readonly acquireTime?: string;
  readonly renewTime?: string;
  readonly leaseTransitions?: number;
}

interface Lease extends KubeObject {
  readonly spec?: LeaseSpec;
}

export interface LeaseRecordHandle {
  /** As last seen; undefined: nobody, or not looked yet. */
  readonly holder: string | undefined;
  /** True: it is ours, as stored by this call. False: somebody else has it, or was quicker. */
  hold(signal: AbortSignal): Promise<boolean>;
  release(signal: AbortSignal): Promise<void>;
}

export interface LeaseRecordOptions {
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly uptime: Uptime;
  readonly namespace: string;
  readonly name: string;
  readonly identity: string;
  /** Written into the lease, for how long the others leave it alone. */
  readonly durationMs: number;
  /** Of one of several requests in an attempt; the whole attempt is bounded by the elector. */
  readonly requestTimeoutMs: number;
}

export function createLeaseRecord(options: LeaseRecordOptions): LeaseRecordHandle {
  const { client, clock, uptime, namespace, name, identity, durationMs, requestTimeoutMs } = options;
  let lease: Lease | undefined;
  /** Runs out when the lease as we know it has stood still for its duration while we looked. */
  let patience: Deadline | undefined;

  async function send(
    client_: KubeClient,
    method: 'GET' | 'PUT' | 'POST',
    signal: AbortSignal,
    body?: Lease,
  ): Promise<Lease> {
    const path = pathOf(resource, { namespace, name: method === 'POST' ? undefined : name });
    return await client_.request<Lease>({ method, path, body, signal, timeoutMs: requestTimeoutMs });
  }

  /** Starts to watch it anew whenever anything about it has changed. */
  function observe(seen: Lease | undefined): void {
    if (seen?.metadata.resourceVersion === lease?.metadata.resourceVersion && patience !== undefined) return;
    lease = seen;
    const seconds = seen?.spec?.leaseDurationSeconds;
    // The holder's own word for how long to leave it alone; one that gives its lease back says so by naming nobody.
    patience = uptime.patience(seconds === undefined ? durationMs : seconds * 1000);
  }

  async function read(signal: AbortSignal): Promise<void> {
    try {
      observe(await send(client, 'GET', signal));
    } catch (error) {
      if (!isNotFound(error)) throw error;
      observe(undefined);
    }
  }

  function mayTake(): boolean {
    const holder = lease?.spec?.holderIdentity ?? '';
    return holder === '' || holder === identity || patience?.isOver() === true;
  }

  function wanted(): Lease {
    const now = microTime(clock.now());
    const { holderIdentity, acquireTime, leaseTransitions = 0 } = lease?.spec ?? {};
    const isRenewal = holderIdentity === identity;
    return {
      apiVersion: resource.apiVersion,
      kind: resource.kind,
      metadata: { ...lease?.metadata, namespace, name },
      spec: {
        holderIdentity: identity,
        leaseDurationSeconds: Math.ceil(durationMs / 1000),
        acquireTime: isRenewal ? (acquireTime ?? now) : now,
        renewTime: now,
        leaseTransitions: isRenewal || lease === undefined ? leaseTransitions : leaseTransitions + 1,
      },
    };
  }

  return {
    get holder() {
      const holder = lease?.spec?.holderIdentity;
      return holder === '' ? undefined : holder;
    },
    async hold(signal) {
      // A renewal goes by what we wrote last: one request, and a conflict when that is not what is there.
      if (lease?.spec?.holderIdentity !== identity) await read(signal);
      if (!mayTake()) return false;
      try {
        observe(await send(client, lease === undefined ? 'POST' : 'PUT', signal, wanted()));
        return true;
      } catch (error) {
        if (!isConflict(error) && !isNotFound(error)) throw error;
        await read(signal);
        return false;
      }
    },
    async release(signal) {
      if (lease?.spec?.holderIdentity !== identity) return;
      const now = microTime(clock.now());
      const spec = { ...lease.spec, holderIdentity: '', leaseDurationSeconds: 1, acquireTime: now, renewTime: now };
      await send(client, 'PUT', signal, { ...lease, spec });
    },
  };
}

/** Kubernetes' MicroTime: six digits, always. */
export function microTime(timeMs: number): string {
  return new Date(timeMs).toISOString().replace('Z', '000Z');
}
