/** What happens to a relay's pods: they die, they stand still, they are not there. */
import { readFile } from 'node:fs/promises';
import { setTimeout as delay } from 'node:timers/promises';
import { Dialogue } from '../../support/smtp-dialogue.ts';
import { waitUntil } from '../../support/wait-until.ts';
import type { Cause } from './alert-watch.ts';
import { namespace, pause, scaleBy, type World } from './world.ts';

const relay = 'fragile';
const first = `${relay}-relay-0`;
const clientsAtOnce = 30;
/** Far less than that many messages cost. */
const takingMailMs = 20;

export function podCauses(world: World): readonly Cause[] {
  return [lateLoop(world), lateAnswers(world), crashing(world), scaledAway(world)];
}

/** As under a CPU limit that is far too low: it runs for a moment, then stands still. Prometheus still gets its answers in time. */
function lateLoop({ cluster: { node } }: World): Cause {
  return {
    name: 'a pod that stands still for more than a second, again and again',
    fires: [`PostroadEventLoopSlow of ${relay}`],
    begin: async () => undefined,
    async goOn() {
      const id = await firstProcess(node);
      // To look for it takes longer than it may run.
      for (let count = 0; count < 5; count += 1) {
        await standStill(id, () => delay(1300));
        await delay(300);
      }
    },
    mend: async () => undefined,
  };
}

/** The same, with many messages between their last byte and their 250 each time that it stands still. */
function lateAnswers({ cluster: { node, get } }: World): Cause {
  interface Pod {
    readonly status: { readonly podIP: string };
  }
  return {
    name: 'a pod that stands still while it takes mail',
    fires: [`PostroadAcceptSlow of ${relay}`],
    begin: async () => undefined,
    async goOn() {
      const id = await firstProcess(node);
      const { status } = await get<Pod>('pod', first, '-n', namespace);
      const opened = await Promise.allSettled(
        Array.from({ length: clientsAtOnce }, () => Dialogue.open(25, status.podIP)),
      );
      const clients = opened.flatMap(each => (each.status === 'fulfilled' ? [each.value] : []));
      try {
        // Kubelet may have started it anew just now: the next time, then.
        if (clients.length < clientsAtOnce) return;
        await Promise.all(clients.map(client => client.begin({ from: `a@${relay}.test`, to: ['b@well.test'] })));
        // It finds all of them complete at once.
        await standStill(id, () => {
          for (const client of clients) client.send('Subject: hello\r\n\r\nhello\r\n.\r\n');
        });
        await hasRun(id, takingMailMs);
        await standStill(id, () => delay(2500));
        await Promise.all(clients.map(client => client.reply()));
      } finally {
        for (const client of clients) client.close();
      }
    },
    mend: async () => undefined,
  };
}

async function firstProcess(node: World['cluster']['node']): Promise<number> {
  return await waitUntil(`${first} to run`, () => node.processOf(namespace, first), { limitMs: 60_000, everyMs: 500 });
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

/** Until it has had so much CPU time, however busy the machine is. */
async function hasRun(id: number, cpuMs: number): Promise<void> {
  const before = await cpuMsOf(id);
  await waitUntil('the process to run', async () => (await cpuMsOf(id)) >= before + cpuMs, { everyMs: 2 });
}

/** In steps of 10 ms. */
async function cpuMsOf(id: number): Promise<number> {
  const text = await readFile(`/proc/${id}/stat`, 'utf8');
  const [user, system] = text
    .slice(text.lastIndexOf(')') + 2)
    .split(' ')
    .slice(11, 13);
  return 10 * (Number(user) + Number(system));
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
function crashing({ cluster: { node }, hurried }: World): Cause {
  let seen: string | undefined;
  return {
    name: 'a container is killed whenever it has started',
    fires: [`PostroadRelayRestarting of ${relay}`, `PostroadRelayPodDown of ${relay}`],
    begin: async () => undefined,
    async goOn() {
      const id = await node.processOf(namespace, first);
      if (id === undefined) return;
      // It must have been seen to have started.
      const [sample] = await hurried.query(`process_start_time_seconds{namespace="${namespace}",pod="${first}"}`);
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
