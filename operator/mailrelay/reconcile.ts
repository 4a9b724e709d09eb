/**
 * One pass over a relay: observe, decide, write, say. No pass builds on another; each step can be the last one before a crash:
 *
 *   finalizer .......... before anything that could hold mail
 *   keys ............... stored before anything is made from them
 *   files, then the configuration that names them, then the pods' nudges (desired/desired.ts has the order)
 *   status ............. last, and also when a write was refused
 */
import type { MailRelay } from '../../crds/mail-relay.ts';
import { mailRelays } from '../cluster/kinds.ts';
import type { RelayState } from '../cluster/relay-states.ts';
import type { ControllerDeps } from '../controller.ts';
import { nameOf } from '../domainpolicy/attach.ts';
import { type ApiError, isConflict, isNotFound } from '../kube/errors.ts';
import type { Reconcile, Requeue } from '../kube/workqueue.ts';
import { drainFinalizer } from '../labels.ts';
import { tellNews } from '../news.ts';
import { type Applied, applyDesired } from './apply-desired.ts';
import { configurationToRun } from './desired/configuration.ts';
import { type Desired, desiredRelay } from './desired/desired.ts';
import type { ObservedPod } from './desired/input.ts';
import { namesOf } from './desired/names.ts';
import { isDraining, isGone } from './desired/scale.ts';
import { seenPods, type Workload, workloadOf, writtenRevision } from './existing.ts';
import type { MarkIdlest } from './idlest.ts';
import type { KeptMaterial } from './key-material.ts';
import type { LastWords } from './last-words.ts';
import type { RelayMaterial } from './material.ts';
import { type Observed, observe, type PolicyStatesOf } from './observe.ts';
import { type PassOutcome, statusOf } from './pass-status.ts';
import type { PodReports } from './pods.ts';
import { dueInMs } from './requeue.ts';
import { firstStatus } from './status.ts';
import { StatusHold } from './status-hold.ts';
import { releaseVolumes, removeVolumes } from './volumes.ts';
import { appliedRevisionOf, podsToAsk } from './workload-status.ts';
import type { RelayWriter } from './writer.ts';
import { WrittenWorkloads } from './written-workloads.ts';

export interface ReconcileParts {
  readonly deps: ControllerDeps;
  readonly writer: RelayWriter;
  readonly material: RelayMaterial;
  readonly reports: PodReports;
  readonly lastWords: LastWords;
  readonly policyStatesOf: PolicyStatesOf;
  readonly markIdlest: MarkIdlest;
  readonly hold: StatusHold;
  readonly written: WrittenWorkloads;
}

/** The cache is behind our own write, or somebody wrote at the same time. */
const afterConflictMs = 200;

export function createReconcile(given: Omit<ReconcileParts, 'hold' | 'written'>): Reconcile {
  const parts = { ...given, hold: new StatusHold(), written: new WrittenWorkloads() };
  const { deps, writer, reports, lastWords, hold, written } = parts;
  const { cluster, states } = deps;

  function forget(key: string): void {
    states.delete(key);
    reports.forget(key);
    lastWords.forget(key);
    writer.forget(key);
    hold.forget(key);
    written.forget(key);
  }

  return async (key, signal) => {
    const relay = cluster.relay(key);
    if (relay === undefined) {
      forget(key);
      return undefined;
    }
    try {
      const { requeue, refusal } = await saidAtLeast(deps, relay, signal, () => pass(parts, relay, signal));
      if (refusal !== undefined) throw refusal;
      return requeue;
    } catch (error) {
      if (!isConflict(error)) throw error;
      return { requeueAfterMs: afterConflictMs };
    }
  };
}

interface PassEnd {
  readonly requeue: Requeue | undefined;
  /** What the API server would not take; the status tells of the rest. */
  readonly refusal?: ApiError | undefined;
}

const nothingLeft: PassEnd = { requeue: undefined };

async function pass(parts: ReconcileParts, seen: MailRelay, signal: AbortSignal): Promise<PassEnd> {
  const { deps, reports } = parts;
  const isDeleted = seen.metadata.deletionTimestamp !== undefined;
  const hasFinalizer = seen.metadata.finalizers?.includes(drainFinalizer) ?? false;
  // What is left of it is others' to finish.
  if (isDeleted && !hasFinalizer) return nothingLeft;
  const nowMs = deps.clock.now();
  const workload = workloadOf(deps.cluster, seen);
  if (parts.written.isAheadOf(nameOf(seen), workload, nowMs)) return { requeue: { requeueAfterMs: afterConflictMs } };
  const isHeld = seen.spec.reconciliation === 'Paused';
  const relay = hasFinalizer || isHeld ? seen : await withFinalizer(deps, seen, signal);
  reports.see(nameOf(relay), seenPods(deps.cluster, relay));
  parts.lastWords.dropWanted(nameOf(relay), workload?.spec.replicas);
  const turn = { relay, nowMs, signal };
  const isSettled = isHeld || isDeleted;
  const kept = isSettled ? await parts.material.kept(turn) : await parts.material.renewed(turn);
  const observed = await observe({ ...parts, cluster: deps.cluster }, { ...turn, kept });
  if (isDeleted && !isHeld && isGone(observed.input.existing)) {
    await finish(parts, relay, signal);
    return nothingLeft;
  }
  return await carryOut(parts, { relay, kept, observed, isHeld, nowMs }, signal);
}

/** Of this version is what the cache shows next: what is written over it is not to be written again then. */
async function withFinalizer({ apply }: ControllerDeps, relay: MailRelay, signal: AbortSignal): Promise<MailRelay> {
  const { metadata } = await apply.addFinalizer({
    ...{ resource: mailRelays, live: relay, signal },
    finalizer: drainFinalizer,
  });
  const { resourceVersion, finalizers } = metadata;
  return {
    ...relay,
    metadata: {
      ...relay.metadata,
      ...(resourceVersion !== undefined && { resourceVersion }),
      ...(finalizers !== undefined && { finalizers: [...finalizers] }),
    },
  };
}

const nothingApplied: Applied = { workload: undefined, refusal: undefined, refusedClaims: [] };

interface Pass {
  readonly relay: MailRelay;
  readonly kept: KeptMaterial;
  readonly observed: Observed;
  /** Nothing of it is changed. */
  readonly isHeld: boolean;
  readonly nowMs: number;
}

async function carryOut(parts: ReconcileParts, pass_: Pass, signal: AbortSignal): Promise<PassEnd> {
  const { deps, writer, reports } = parts;
  const { relay, observed, isHeld, kept, nowMs } = pass_;
  const key = nameOf(relay);
  const desired = desiredRelay(observed.input, deps.options.desired);
  if (!isHeld) await parts.markIdlest({ relay, desired, pods: observed.input.existing.pods, signal });
  const applied = isHeld ? nothingApplied : await applyDesired({ deps, writer }, { relay, desired, signal });
  const { workload, refusal, refusedClaims } = applied;
  if (workload !== undefined) parts.written.wrote(key, workload, nowMs);
  await release(parts, relay, applied, signal);
  const { configuration, scale } = desired;
  const { pods } = observed.input.existing;
  const toRun = configurationToRun(configuration);
  const wanted = (isHeld ? undefined : toRun?.revision) ?? writtenRevision(deps.cluster, relay);
  const appliedRevision = appliedRevisionOf(pods.map(pod => assumed(pod, relay, reports)));
  // Of no pods, all run it: nothing is awaited for the policies of a relay that is parked, as its own status says.
  const isParked = scale.replicas === 0 && pods.length === 0;
  const running = isParked || toRun?.revision === appliedRevision ? toRun?.parts : undefined;
  tellPolicies(deps, key, { rendered: configuration.parts, running });
  const isShared = relay.spec.queue.type === 'Redis';
  const toAsk = podsToAsk({ pods, isShared }, wanted, scale.leaving);
  reports.ask(key, { revision: wanted, toAsk, leaving: scale.leaving, signal });
  const outcome: PassOutcome = {
    observed,
    desired,
    appliedRevision,
    workload: workload ?? workloadOf(deps.cluster, relay),
    taken: stillTaken(writer, relay, desired),
    refusedClaims,
    ownCertificatePem: relay.spec.tls.type === 'SelfSigned' ? kept.certificate?.certificate : undefined,
    nowMs,
  };
  const status = statusOf(outcome);
  tellNews(deps.events, relay, status.conditions);
  const heldMs = refusal === undefined ? parts.hold.leftMs(relay, status, nowMs) : undefined;
  if (heldMs !== undefined) return { requeue: { requeueAfterMs: heldMs } };
  await writeStatus(deps, relay, status, signal);
  const { taken } = outcome;
  const requeueAfterMs = dueInMs({ relay, status, isDraining: isDraining(relay, scale), taken, refusedClaims, nowMs });
  return { requeue: { requeueAfterMs }, refusal };
}

async function release(
  { deps, lastWords }: ReconcileParts,
  relay: MailRelay,
  { workload, refusal }: Applied,
  signal: AbortSignal,
): Promise<void> {
  const running = (workload as Workload | undefined)?.spec.replicas;
  if (running === undefined) return;
  lastWords.wrote(nameOf(relay), running);
  if (refusal === undefined) await releaseVolumes(deps, relay, { lastWords, running, signal });
}

/** What is no longer wanted may be anybody's. */
function stillTaken(writer: RelayWriter, relay: MailRelay, { objects }: Desired): string[] {
  const wanted = new Set(objects.map(({ kind, metadata }) => `${kind} ${metadata.name}`));
  return writer.taken(relay).filter(one => wanted.has(one) || one === `Secret ${namesOf(relay).keys}`);
}

function assumed(pod: ObservedPod, relay: MailRelay, reports: PodReports): ObservedPod {
  const revision = relay.status?.appliedRevision;
  if (pod.report !== undefined || revision === undefined || !reports.isInherited(nameOf(relay), pod.name)) return pod;
  return { ...pod, report: { revision, queuedRecipients: Number.POSITIVE_INFINITY } };
}

/** What ran when every pod was last seen to run what was wanted still runs where nothing was heard since. */
function tellPolicies({ states, touchPolicy }: ControllerDeps, key: string, { rendered, running }: RelayState): void {
  const state = { rendered, running: running ?? states.get(key)?.running };
  for (const policy of states.set(key, state)) touchPolicy(policy);
}

/** A pass ends with a status; whoever waits for a condition finds it also while the first one fails. */
async function saidAtLeast<T>(
  deps: ControllerDeps,
  relay: MailRelay,
  signal: AbortSignal,
  work: () => Promise<T>,
): Promise<T> {
  try {
    return await work();
  } catch (error) {
    if (relay.status?.conditions === undefined && !signal.aborted) await sayFirst(deps, relay, signal);
    throw error;
  }
}

async function sayFirst(deps: ControllerDeps, relay: MailRelay, signal: AbortSignal): Promise<void> {
  const status = firstStatus({ nowMs: deps.clock.now(), generation: relay.metadata.generation });
  try {
    await writeStatus(deps, relay, status, signal);
  } catch (error) {
    // The pass has failed already, and says why.
    deps.log.warn({ err: error, key: nameOf(relay) }, 'the first status of a relay was not written');
  }
}

async function writeStatus(
  { apply }: ControllerDeps,
  relay: MailRelay,
  status: NonNullable<MailRelay['status']>,
  signal: AbortSignal,
): Promise<void> {
  const { apiVersion, kind, metadata } = relay;
  const { namespace, name } = metadata;
  const wanted = { apiVersion, kind, metadata: { namespace, name }, status } as unknown as MailRelay;
  try {
    await apply.applyStatus({ resource: mailRelays, wanted, live: relay, signal });
  } catch (error) {
    // It has gone meanwhile; the cache will say so.
    if (!isNotFound(error)) throw error;
  }
}

/** Nothing runs any more: volumes without mail go, the others stay, and the object may go. */
async function finish({ deps, lastWords }: ReconcileParts, relay: MailRelay, signal: AbortSignal): Promise<void> {
  await removeVolumes(deps, relay, { lastWords, signal });
  await deps.apply.removeFinalizer({ resource: mailRelays, live: relay, finalizer: drainFinalizer, signal });
}
