/** What happens to a relay's pods: they die, they stand still, they are not there. */
import { setTimeout as delay } from 'node:timers/promises';
import { startProcess } from '../../support/processes.ts';
import { waitUntil } from '../../support/wait-until.ts';
import type { Cause } from './alert-watch.ts';
import { keepSending, namespace, pause, scaleBy, type World } from './world.ts';

const relay = 'fragile';
const first = `${relay}-relay-0`;
const mortal = { relay: 'mortal', pod: 'mortal-relay-0' };
const faulty = { relay: 'faulty', pod: 'faulty-relay-0' };
const clientsAtOnce = 20;
const slowSyncMs = 2500;

/** Of the relay `fragile`, in their order. */
export function podCauses(world: World): readonly Cause[] {
  return [lateLoop(world), standing(world), scaledAway(world)];
}

/** As under a CPU limit that is far too low: it runs for a moment, then stands still. Prometheus still gets its answers in time. */
function lateLoop({ cluster: { node } }: World): Cause {
  return {
    name: 'a pod that stands still for more than a second, again and again',
    fires: [`PostroadEventLoopSlow of ${relay}`],
    begin: async () => undefined,
    async goOn() {
      const id = await processOf(node, first);
      // To look for it takes longer than it may run; Prometheus has to see it late all the while.
      for (let count = 0; count < 12; count += 1) {
        await standStill(id, () => delay(1300));
        await delay(500);
      }
    },
    mend: async () => undefined,
  };
}

/** It answers nobody, and the other pod does. Kubelet puts an end to it after a while, and starts it anew. */
function standing({ cluster: { node } }: World): Cause {
  let stopped = new Set<number>();
  return {
    name: 'a pod that stands still',
    fires: [`PostroadRelayPodDown of ${relay}`],
    async begin() {
      stopped = new Set();
    },
    async goOn() {
      const id = await node.processOf(namespace, first);
      if (id === undefined || stopped.has(id)) return;
      stopped.add(id);
      signal(id, 'SIGSTOP');
    },
    async mend() {
      for (const id of stopped) signal(id, 'SIGCONT');
    },
  };
}

/** As of a disk that does much else: every third sync of the queue takes longer than a client likes to wait. In between Prometheus gets its answers. */
export function slowDisk({ cluster: { node, get } }: World): Cause {
  interface Pod {
    readonly status: { readonly podIP: string };
  }
  interface Service {
    readonly spec: { readonly ports: readonly [{ readonly targetPort: number }] };
  }
  let parts = new AsyncDisposableStack();
  return {
    name: 'a disk that takes seconds to write',
    fires: [`PostroadAcceptSlow of ${faulty.relay}`],
    async begin() {
      parts = new AsyncDisposableStack();
      const { status } = await get<Pod>('pod', faulty.pod, '-n', namespace);
      const { spec } = await get<Service>('service', faulty.relay, '-n', namespace);
      const id = await processOf(node, faulty.pod);
      const fault = `inject=fsync,fdatasync:delay_enter=${slowSyncMs}ms:when=1+3`;
      // Whoever is traced so goes on when the tracer ends, however it ends.
      const tracer = startProcess('strace', [
        '-f',
        '-q',
        '-o',
        '/dev/null',
        '-e',
        'trace=fsync,fdatasync',
        '-e',
        fault,
        '-p',
        `${id}`,
      ]);
      parts.defer(async () => void (await tracer.stop()));
      // Not through its Service, which it leaves whenever it finds the disk too slow.
      const to = { host: status.podIP, port: spec.ports[0].targetPort };
      parts.use(keepSending({ ...to, from: `a@${faulty.relay}.test`, clients: clientsAtOnce, pauseMs: 0 }));
    },
    mend: () => parts.disposeAsync(),
  };
}

async function processOf(node: World['cluster']['node'], pod: string): Promise<number> {
  return await waitUntil(`${pod} to run`, () => node.processOf(namespace, pod), { limitMs: 60_000, everyMs: 500 });
}

/** A process stands still while something else is done. */
async function standStill(id: number, meanwhile: () => void | Promise<void>): Promise<void> {
  signal(id, 'SIGSTOP');
  try {
    await meanwhile();
  } finally {
    signal(id, 'SIGCONT');
  }
}

/** Nothing where the process has just ended: the next look finds another. */
function signal(id: number, name: NodeJS.Signals): void {
  try {
    process.kill(id, name);
  } catch (error) {
    if (!(error instanceof Error && 'code' in error && error.code === 'ESRCH')) throw error;
  }
}

/** Its container is killed as often as kubelet starts it. */
export function crashing({ cluster: { node }, hurried }: World): Cause {
  let seen: string | undefined;
  return {
    name: 'a container is killed whenever it has started',
    fires: [`PostroadRelayRestarting of ${mortal.relay}`],
    begin: async () => undefined,
    async goOn() {
      const id = await node.processOf(namespace, mortal.pod);
      if (id === undefined) return;
      // It must have been seen to have started.
      const [sample] = await hurried.query(`process_start_time_seconds{namespace="${namespace}",pod="${mortal.pod}"}`);
      if (sample === undefined || sample.value === seen) return;
      seen = sample.value;
      signal(id, 'SIGKILL');
    },
    mend: async () => undefined,
  };
}

/** By hand, while the operator is told to leave it alone. */
function scaledAway(world: World): Cause {
  return {
    name: 'the relay scaled to nothing by hand',
    fires: [`PostroadRelayDown of ${relay}`],
    async begin() {
      await pause(world, relay, true);
      await scaleBy(world, relay, 0);
    },
    async mend() {
      await scaleBy(world, relay, 2);
      await pause(world, relay, false);
    },
  };
}
