/**
 * One term of leadership: both controllers made anew, told of all that the caches hold, then of each change, until the lease is lost or
 * given back. Whatever is written goes through parts that ask the lease first.
 */
import type { Clock } from '../relay/clock.ts';
import type { Log } from '../relay/log.ts';
import type { Caches } from './cluster/caches.ts';
import type { ClusterChange } from './cluster/change.ts';
import { RelayStates } from './cluster/relay-states.ts';
import type { Controller, ControllerDeps, ControllerOptions } from './controller.ts';
import { createApplier } from './kube/apply.ts';
import type { KubeClient } from './kube/client.ts';
import { linkedSignal } from './kube/deadline.ts';
import { createEventRecorder } from './kube/events.ts';
import { fieldManager, handoverFieldManager } from './labels.ts';
import type { OperatorMetricSink } from './metric-definitions.ts';

export interface ControllerFactories {
  readonly relays: (deps: ControllerDeps) => Controller;
  readonly policies: (deps: ControllerDeps) => Controller;
}

export interface TermParts {
  readonly factories: ControllerFactories;
  readonly caches: Caches;
  /** Its requests are over before anybody else may lead. */
  readonly client: KubeClient;
  readonly clock: Clock;
  readonly random: () => number;
  readonly log: Log;
  readonly metrics: OperatorMetricSink;
  readonly options: ControllerOptions;
  readonly workers: number;
  readonly identity: string;
  /** Aborted when the term ends. */
  readonly signal: AbortSignal;
  /** Throws unless the lease is held and the term lasts. */
  readonly assertMayWrite: () => void;
  /** Throws unless the lease is held: for what is still said once the term is at its end. */
  readonly assertHeld: () => void;
}

export interface Term {
  /** How long the longest reconciliation under way has taken. */
  readonly oldestRunMs: number;
  /** Resolves when the signal is aborted and all that was under way has ended. */
  run(): Promise<void>;
}

export function createTerm(parts: TermParts): Term {
  const { caches, client, clock, log, metrics, signal, assertMayWrite, assertHeld } = parts;
  const writer = { client, metrics, assertMayWrite };
  const events = createEventRecorder({
    client: guarded(client, assertHeld),
    ...{ clock, log, metrics },
    controller: 'postroad.dev/operator',
    instance: parts.identity,
  });
  const deps: ControllerDeps = {
    cluster: caches.cluster,
    apply: createApplier({ ...writer, fieldManager }),
    handoverApply: createApplier({ ...writer, fieldManager: handoverFieldManager }),
    events,
    ...{ clock, log, metrics },
    random: parts.random,
    states: new RelayStates(),
    options: parts.options,
    touchRelay: key => relays.queue.add(key),
    touchPolicy: key => policies.queue.add(key),
  };
  const relays = parts.factories.relays(deps);
  const policies = parts.factories.policies(deps);
  const controllers = [relays, policies];

  /** One controller's bug neither ends the term nor keeps the change from the other. */
  function onChange(change: ClusterChange): void {
    for (const controller of controllers) {
      try {
        controller.onChange(change);
      } catch (error) {
        metrics.add('postroad_operator_handler_errors_total', { kind: change.about });
        log.error({ err: error, about: change.about }, 'a controller could not take a change');
      }
    }
  }

  return {
    get oldestRunMs() {
      return Math.max(...controllers.map(({ queue }) => queue.oldestRunMs));
    },
    async run() {
      const silence = caches.onChange(onChange);
      const saying = new AbortController();
      const said = events.run(saying.signal);
      try {
        caches.replay(onChange);
        await workTogether(controllers, parts.workers, signal);
      } finally {
        silence();
        // What the last pass had to say is said before the lease is given back.
        saying.abort();
        await said;
      }
    },
  };
}

/** When a part fails, the others are told to end, and are waited for: nothing may go on once the lease is given back. */
async function workTogether(controllers: readonly Controller[], workers: number, signal: AbortSignal): Promise<void> {
  using together = linkedSignal(signal);
  const options = { concurrency: workers, signal: together.signal };
  const parts = controllers.flatMap(({ queue, reconcile, beside }) => [
    queue.run(reconcile, options),
    ...(beside === undefined ? [] : [beside(together.signal)]),
  ]);
  const ends = await Promise.allSettled(
    parts.map(async part => {
      try {
        await part;
      } finally {
        together.abort(new Error('another part of the term has ended'));
      }
    }),
  );
  for (const end of ends) if (end.status === 'rejected' && !signal.aborted) throw end.reason;
}

/** An Event is a write as well. */
function guarded(client: KubeClient, assertHeld: () => void): KubeClient {
  return {
    ...client,
    async request(request) {
      assertHeld();
      return await client.request({ ...request, beforeSend: assertHeld });
    },
  };
}
