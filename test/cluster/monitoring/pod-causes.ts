/** What happens to a relay's pods: they die, they stand still, they are not there. */
import { setTimeout as delay } from 'node:timers/promises';
import type { Cause } from './alert-watch.ts';
import { pause, scaleBy, send, type World } from './world.ts';

const relay = 'fragile';
const first = `${relay}-relay-0`;

export function podCauses(world: World): readonly Cause[] {
  return [starved(world), crashing(world), scaledAway(world)];
}

/** As under a CPU limit that is far too low: it runs for a moment, then stands still for seconds. */
function starved({ cluster: { node } }: World): Cause {
  return {
    name: 'a pod without CPU time',
    fires: [`PostroadEventLoopSlow of ${relay}`, `PostroadAcceptSlow of ${relay}`],
    begin: async () => undefined,
    async goOn() {
      // As many at once as make it likely that some are between their last byte and their 250 when it stops.
      const to = Array.from({ length: 60 }, (_, index) => `b${index}@well.test`);
      const sent = send(relay, `a@${relay}.test`, to);
      await node.signalContainer('mail', first, 'SIGSTOP');
      await delay(2500);
      await node.signalContainer('mail', first, 'SIGCONT');
      await sent;
    },
    mend: async () => undefined,
  };
}

/** Its container is killed as often as kubelet starts it. */
function crashing({ cluster: { node, get } }: World): Cause {
  interface Pod {
    readonly status: { readonly containerStatuses?: readonly { readonly state: { readonly running?: object } }[] };
  }
  return {
    name: 'a container is killed whenever it has started',
    fires: [`PostroadRelayRestarting of ${relay}`, `PostroadRelayPodDown of ${relay}`],
    begin: async () => undefined,
    async goOn() {
      const { status } = await get<Pod>('pod', first, '-n', 'mail');
      if (status.containerStatuses?.[0]?.state.running === undefined) return;
      // It must have been seen to have started.
      await delay(4000);
      await node.killContainer('mail', first);
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
