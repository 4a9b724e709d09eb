/**
 * One pass over a policy: who takes it, its keys, its records for external-dns, its status. It waits for the API server alone: what DNS
 * says is looked up beside it, and brings the policy back here when it changes.
 */
import type { DomainPolicy, DomainPolicyStatus } from '../../crds/domain-policy.ts';
import type { MailRelay } from '../../crds/mail-relay.ts';
import { domainPolicies } from '../cluster/kinds.ts';
import type { Stamp } from '../conditions.ts';
import type { ControllerDeps } from '../controller.ts';
import type { Requeue } from '../kube/workqueue.ts';
import { tellNews } from '../news.ts';
import type { Admissions } from './admissions.ts';
import { nameOf, relayNameOf } from './attach.ts';
import { baseDomains } from './base-domains.ts';
import { type KeyStanding, standingOf } from './dkim-status.ts';
import { type DnsRecord, desiredRecords } from './dns-record.ts';
import type { RingKeeper, RingStep } from './keep-ring.ts';
import { loadedKeys, type RingKey } from './key-ring.ts';
import { isAskedFor, type SightInput, sightOf } from './key-sight.ts';
import { notAttached, policyStateOf } from './observe.ts';
import { programmeOf } from './programme.ts';
import { publishRecords } from './publish.ts';
import { type CheckedRecord, checkRecord } from './record-check.ts';
import type { RecordWatch } from './record-watch.ts';
import type { PolicyState } from './state.ts';
import {
  brokenKeysStatus,
  domainPolicyStatus,
  firstPolicyStatus,
  type Programme,
  type PublishProblem,
} from './status.ts';

export interface Parts {
  readonly deps: ControllerDeps;
  readonly admissions: Admissions;
  readonly watch: RecordWatch;
  readonly rings: RingKeeper;
}

type Attached = PolicyState & { readonly relay: MailRelay };

export async function reconcilePolicy(key: string, parts: Parts, signal: AbortSignal): Promise<Requeue | undefined> {
  const { cluster } = parts.deps;
  const policy = cluster.policy(key);
  if (policy === undefined) {
    parts.watch.forget(key);
    await parts.rings.sweep(key, undefined, signal);
    return undefined;
  }
  try {
    return await pass(policy, parts, signal);
  } catch (error) {
    await sayFirst(policy, parts, signal);
    throw error;
  }
}

async function pass(policy: DomainPolicy, parts: Parts, signal: AbortSignal): Promise<Requeue | undefined> {
  const { cluster } = parts.deps;
  const relay = cluster.relay(relayNameOf(policy));
  const admission = parts.admissions.verdictOn(nameOf(policy));
  if (relay === undefined || admission.status !== 'True') {
    parts.watch.forget(nameOf(policy));
    const state = notAttached(policy, admission);
    await writeStatus(
      { state, keys: [], records: [], programme: 'Rejected', publishProblem: undefined },
      parts,
      signal,
    );
    return undefined;
  }
  const state = await policyStateOf({ relay, policy, admission }, cluster, signal);
  if (state.areKeysBroken) {
    await putStatus(policy, brokenKeysStatus({ ...state, stamp: stampOf(policy, parts) }), parts, signal);
    return undefined;
  }
  return await passAttached({ ...state, relay }, parts, signal);
}

async function passAttached(attached: Attached, parts: Parts, signal: AbortSignal): Promise<Requeue | undefined> {
  const { relay, policy } = attached;
  const isPaused = relay.spec.reconciliation === 'Paused';
  const seen = sightInputOf(attached, parts);
  const question = { relay, policy, signal, sight: (key: RingKey) => sightOf(key, seen) };
  const { ring, againMs, keptAt, taken }: RingStep = isPaused
    ? { ring: parts.rings.ring(relay, policy), againMs: undefined, keptAt: undefined }
    : await parts.rings.step(question);
  const given = policy.spec.dkim.type === 'SecretRef' ? attached.keys : [];
  const domains = baseDomains(policy);
  const wanted = recordsOf(attached, [...ring, ...given]).filter(record => isAskedFor(record, ring, domains));
  look(attached, { wanted, ring }, parts);
  const records = wanted.map(record => checked(record, nameOf(policy), parts));
  const publishProblem = isPaused ? undefined : await publishRecords(policy, records, parts.deps, signal);
  // What is kept elsewhere goes only once it is kept here.
  if (keptAt !== undefined) await parts.rings.sweep(nameOf(policy), keptAt, signal);
  const waitMs = policy.status?.dnsRecords === undefined ? parts.watch.firstLookMs(nameOf(policy)) : undefined;
  // What a first look finds is there in a moment, and brings the policy back: one status in place of two.
  if (waitMs !== undefined) return { requeueAfterMs: waitMs };
  const keys = [...ring.map(key => standingOf(key, policy)), ...given.map(key => givenKey(key, domains))].sort(
    (one, other) => (one.selector < other.selector ? -1 : 1),
  );
  const programme = programmeOf({
    policy,
    state: parts.deps.states.get(nameOf(relay)),
    keys: policy.spec.dkim.type === 'SecretRef' ? attached.keys : loadedKeys(ring, domains),
  });
  await writeStatus({ state: attached, keys, records, programme, publishProblem, taken }, parts, signal);
  return againMs === undefined ? undefined : { requeueAfterMs: againMs };
}

function givenKey({ selector, algorithm }: PolicyState['keys'][number], domains: readonly string[]): KeyStanding {
  return { selector, algorithm, state: 'Active', signsFor: [...domains] };
}

function recordsOf(
  { policy, relay }: Attached,
  keys: readonly { selector: string; recordValue: string }[],
): DnsRecord[] {
  return desiredRecords({ policy, keys, hostname: relay.spec.hostname, route: relay.spec.route });
}

interface Looked {
  readonly wanted: readonly DnsRecord[];
  readonly ring: readonly RingKey[];
}

/** After a switch, secondaries of the zone may still change their minds. */
const newForMs = 3_600_000;

/** Guarded: a key by which somebody signs, is about to, or would sign again if its successor's record went. */
function look({ policy }: Attached, { wanted, ring }: Looked, { watch }: Parts): void {
  if (policy.spec.dns.checks === 'Disabled') {
    watch.forget(nameOf(policy));
    return;
  }
  const byValue = new Map(ring.map(key => [key.recordValue, key]));
  const records = wanted.map(record => {
    const key = record.purpose === 'DKIM' ? byValue.get(record.value) : undefined;
    return { record, isGuarded: key !== undefined, newUntilMs: newUntilMs(key) };
  });
  watch.want(nameOf(policy), records, String(policy.metadata.generation));
}

function newUntilMs(key: RingKey | undefined): number {
  return key?.state === 'Active' && key.signedMs !== undefined ? key.signedMs + newForMs : 0;
}

function checked(record: DnsRecord, policyKey: string, { watch }: Parts): CheckedRecord {
  return watch.seen(policyKey, record)?.record ?? checkRecord(record, undefined);
}

function sightInputOf({ relay, policy }: Attached, { deps, watch }: Parts): SightInput {
  const policyKey = nameOf(policy);
  return {
    ...{ policyKey, seen: record => watch.seen(policyKey, record) },
    ...{ relayState: deps.states.get(nameOf(relay)), nowMs: deps.clock.now() },
  };
}

interface Outcome {
  readonly state: PolicyState;
  readonly keys: readonly KeyStanding[];
  readonly records: readonly CheckedRecord[];
  readonly programme: Programme;
  readonly publishProblem: PublishProblem | undefined;
  readonly taken?: string | undefined;
}

async function writeStatus(outcome: Outcome, parts: Parts, signal: AbortSignal): Promise<void> {
  const { policy, admission, secretProblems } = outcome.state;
  const { spec } = policy;
  const status = domainPolicyStatus({
    ...{
      policy,
      admission,
      secretProblems,
      keys: outcome.keys,
      records: outcome.records,
      programme: outcome.programme,
    },
    isChecking: spec.dns.checks === 'Enabled' && admission.status === 'True',
    isLookedAt: parts.watch.isLookedAt(nameOf(policy)),
    publishProblem: outcome.publishProblem,
    ...(outcome.taken !== undefined && { taken: outcome.taken }),
    previous: policy.status,
    stamp: stampOf(policy, parts),
  });
  await putStatus(policy, status, parts, signal);
}

function stampOf({ metadata: { generation } }: DomainPolicy, { deps }: Parts): Stamp {
  return { nowMs: deps.clock.now(), generation };
}

async function putStatus(
  policy: DomainPolicy,
  status: DomainPolicyStatus,
  { deps }: Parts,
  signal: AbortSignal,
): Promise<void> {
  const { apiVersion, kind, metadata } = policy;
  const { name, namespace } = metadata;
  const wanted = { apiVersion, kind, metadata: { name, namespace }, status };
  tellNews(deps.events, policy, status.conditions);
  await deps.apply.applyStatus({ resource: domainPolicies, wanted, live: policy, signal });
}

/** Whoever waits for a condition finds it also while a pass fails. */
async function sayFirst(policy: DomainPolicy, { deps }: Parts, signal: AbortSignal): Promise<void> {
  if (policy.status !== undefined || signal.aborted) return;
  const { apiVersion, kind, metadata } = policy;
  const { name, namespace, generation } = metadata;
  const status = firstPolicyStatus({ nowMs: deps.clock.now(), generation });
  const wanted = { apiVersion, kind, metadata: { name, namespace }, status };
  try {
    await deps.apply.applyStatus({ resource: domainPolicies, wanted, live: policy, signal });
  } catch (error) {
    // The pass has failed already, and says why.
    deps.log.warn({ err: error, policy: nameOf(policy) }, 'the first status of a policy was not written');
  }
}
