/** MailRelays: from what is asked for to workloads that run it. */
import { httpPort } from '../../crds/listener.ts';
import type { Controller, ControllerDeps } from '../controller.ts';
import { createWorkQueue } from '../kube/workqueue.ts';
import { askPod } from './ask-pod.ts';
import { relaysConcerned } from './changes.ts';
import { createMarkIdlest } from './idlest.ts';
import { createLastWords } from './last-words.ts';
import { createRelayMaterial } from './material.ts';
import type { PolicyStatesOf } from './observe.ts';
import { createPodReports, type PodReportsOptions } from './pods.ts';
import { createReconcile } from './reconcile.ts';
import { createRelayWriter } from './writer.ts';

export interface MailRelayParts {
  readonly policyStatesOf: PolicyStatesOf;
  readonly askPod?: PodReportsOptions['ask'];
}

export function createMailRelayController(
  deps: ControllerDeps,
  { policyStatesOf, askPod: ask = askPod }: MailRelayParts,
): Controller {
  const { cluster, clock, random, log, metrics, touchRelay, events } = deps;
  const queue = createWorkQueue({ name: 'mailrelay', clock, random, log, metrics });
  const reports = createPodReports({ clock, random, log, port: httpPort, ask, touchRelay });
  const lastWords = createLastWords(key => cluster.relay(key) !== undefined);
  const writer = createRelayWriter(deps);
  const { clusterDomain } = deps.options.desired;
  const material = createRelayMaterial({ cluster, writer, events, clusterDomain });
  const markIdlest = createMarkIdlest({ cluster, writer, port: httpPort, ask });
  return {
    queue,
    reconcile: createReconcile({ deps, writer, material, reports, lastWords, policyStatesOf, markIdlest }),
    onChange(change) {
      // A pass may come when the pod is gone.
      if (change.about === 'Pod') lastWords.seen(change.object);
      const priority = change.isInitial ? 'backlog' : 'fresh';
      for (const key of relaysConcerned(change, cluster)) queue.add(key, priority);
    },
  };
}
