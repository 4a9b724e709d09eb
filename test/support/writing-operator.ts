/**
 * An operator whose controller writes all the time, whatever its signal says: only the lease can stop it. Its user agent says which one
 * wrote.
 */
import type { Controller, ControllerDeps } from '../../operator/controller.ts';
import { kubeconfigConnection } from '../../operator/kube/kubeconfig.ts';
import { createWorkQueue } from '../../operator/kube/workqueue.ts';
import { startOperator } from '../../operator/operator.ts';
import { parseOptions } from '../../operator/options.ts';
import { systemClock } from '../../relay/clock.ts';
import { createLog } from '../../relay/log.ts';

const name = process.env['POD_NAME'] ?? '';
const options = parseOptions(process.argv.slice(2), 'mail');
const log = createLog('info');

const { signal: never } = new AbortController();
const resource = { apiVersion: 'v1', kind: 'ConfigMap', plural: 'configmaps', isNamespaced: true };

function writer({ clock, random, metrics, apply, events, cluster }: ControllerDeps): Controller {
  const queue = createWorkQueue({ name: 'mailrelay', clock, random, log, metrics });
  let count = 0;
  return {
    queue,
    onChange(change) {
      if (change.about === 'Relay') queue.add(change.key, change.isInitial ? 'backlog' : 'fresh');
    },
    async reconcile(key) {
      const relay = cluster.relay(key);
      if (relay === undefined) return undefined;
      count += 1;
      const metadata = { name: relay.metadata.name, namespace: 'mail' };
      const wanted = { apiVersion: 'v1', kind: 'ConfigMap', metadata, data: { by: `${name} ${count}` } };
      await apply.apply({ resource, wanted, live: undefined, signal: never });
      events.record(relay, { type: 'Normal', reason: 'Written', action: 'Apply', note: `by ${name}` });
      return { requeueAfterMs: 200 };
    },
  };
}

function idle({ clock, random, metrics }: ControllerDeps): Controller {
  const queue = createWorkQueue({ name: 'domainpolicy', clock, random, log, metrics });
  return { queue, reconcile: async () => undefined, onChange: () => undefined };
}

const { kubeconfig = '' } = options;
const operator = await startOperator(options, {
  connection: await kubeconfigConnection({ file: kubeconfig }),
  factories: { relays: writer, policies: idle },
  clock: systemClock,
  random: Math.random,
  log,
  identity: name,
  version: name,
});
process.on('SIGTERM', () => operator.stop());
log.info({ http: operator.http }, 'started');
await operator.done;
