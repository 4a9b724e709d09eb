/** Operator processes that are killed, stopped and made to lose their lease, each place under a user of its own that the audit log names. */
import { writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import { isNotFound } from '../../../operator/kube/errors.ts';
import type { KubeObject, Resource } from '../../../operator/kube/object.ts';
import { writeKubeconfig } from '../../support/apiserver-certificates.ts';
import { type OperatorProcess, startOperatorProcess } from '../../support/operator-process.ts';
import { waitUntil } from '../../support/wait-until.ts';
import type { ApiWorld } from '../api-world.ts';

export const leases: Resource = {
  ...{ apiVersion: 'coordination.k8s.io/v1', kind: 'Lease', plural: 'leases', isNamespaced: true },
};

export const leaseFlags = ['--lease-duration-seconds=4', '--renew-deadline-seconds=2', '--retry-seconds=1'];

/** A file for `--token-auth-file`: each user has its name as its token, and may do everything. */
export async function writeTokens(file: string, users: readonly string[]): Promise<void> {
  await writeFile(file, users.map(user => `token-of-${user},${user},${user},"system:masters"\n`).join(''));
}

/** In turn, so that each run has its share of all. */
const fates = ['kill', 'standStill', 'stop', 'kill', 'standStill', 'kill'] as const;

export interface Wounds {
  kills: number;
  stops: number;
  /** Stood still until another had its lease. */
  losses: number;
}

export interface OperatorSlots extends AsyncDisposable {
  readonly wounds: Wounds;
  /** Harms one of the operators, whoever leads more often than not, and resolves when as many as before run again. */
  wound(random: () => number): Promise<void>;
  /** One of them leads, and has nothing to do now. */
  isIdle(): Promise<boolean>;
  stopAll(): Promise<void>;
  /** Bytes of the largest resident set that was seen. */
  readonly largestBytes: number;
}

export interface SlotOptions {
  readonly world: ApiWorld;
  readonly folder: string;
  readonly caFile: string;
  readonly users: readonly string[];
}

export async function startOperatorSlots({ world, folder, caFile, users }: SlotOptions): Promise<OperatorSlots> {
  const running = new Map<string, OperatorProcess>();
  const wounds: Wounds = { kills: 0, stops: 0, losses: 0 };
  let largestBytes = 0;
  let wounded = 0;

  async function begin(user: string): Promise<void> {
    const kubeconfigFile = join(folder, `${user}.kubeconfig`);
    await writeKubeconfig(kubeconfigFile, world.server.url, caFile, { token: `token-of-${user}` });
    running.set(user, await startOperatorProcess({ kubeconfigFile, name: user, flags: leaseFlags }));
  }

  async function holder(): Promise<string | undefined> {
    const lease = await world.get<KubeObject & { readonly spec: { readonly holderIdentity?: string } }>(leases, {
      ...{ namespace: 'mail', name: 'postroad-operator' },
    });
    return lease.spec.holderIdentity?.split('_')[0];
  }

  async function isLed(): Promise<boolean> {
    try {
      return users.includes((await holder()) ?? '');
    } catch (error) {
      if (isNotFound(error)) return false;
      throw error;
    }
  }

  async function isIdle(): Promise<boolean> {
    const leader = running.get((await holder()) ?? '');
    if (leader === undefined) return false;
    const { text } = await leader.get('/metrics');
    const depths = text.split('\n').filter(line => line.startsWith('postroad_operator_queue_depth{'));
    return depths.length > 0 && depths.every(line => line.endsWith(' 0'));
  }

  /** A process that ended by itself is a fault of its own, not ours. */
  async function end(user: string, signal: 'SIGKILL' | 'SIGTERM'): Promise<void> {
    const operator = running.get(user);
    if (operator === undefined) return;
    largestBytes = Math.max(largestBytes, (await operator.metric('process_resident_memory_bytes')) ?? 0);
    running.delete(user);
    const exit = await operator.stop(signal);
    const expected = signal === 'SIGKILL' ? exit.signal === 'SIGKILL' : exit.code === 0;
    if (!expected)
      throw new Error(`${user} ended with ${JSON.stringify(exit)}: ${JSON.stringify(operator.log.at(-1))}`);
  }

  async function standStill(user: string): Promise<void> {
    const operator = running.get(user);
    const isLeader = (await holder()) === user;
    operator?.signal('SIGSTOP');
    try {
      if (!isLeader) return;
      const taken = async (): Promise<boolean> => ![user, ''].includes((await holder()) ?? '');
      await waitUntil('another to lead', taken, { limitMs: 20_000, everyMs: 100 });
      wounds.losses += 1;
    } finally {
      operator?.signal('SIGCONT');
    }
  }

  await Promise.all(users.map(begin));
  await waitUntil('one to lead', isLed, { limitMs: 30_000 });
  return {
    wounds,
    get largestBytes() {
      return largestBytes;
    },
    async wound(random) {
      const kind = fates[wounded++ % fates.length];
      const leader = await holder();
      const others = users.filter(user => user !== leader);
      const isLeader = leader !== undefined && leader !== '' && (kind === 'standStill' || random() < 0.75);
      const user = isLeader ? leader : (others[Math.floor(random() * others.length)] ?? '');
      if (kind === 'standStill') {
        await standStill(user);
        return;
      }
      await end(user, kind === 'kill' ? 'SIGKILL' : 'SIGTERM');
      wounds[kind === 'kill' ? 'kills' : 'stops'] += 1;
      await begin(user);
    },
    isIdle,
    async stopAll() {
      await Promise.all(users.map(user => end(user, 'SIGTERM')));
    },
    async [Symbol.asyncDispose]() {
      await Promise.all([...running.values()].map(operator => operator[Symbol.asyncDispose]()));
    },
  };
}
