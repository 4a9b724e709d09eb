/** The writes of one pass, in the order of desired/desired.ts. */
import type { MailRelay } from '../../crds/mail-relay.ts';
import { pods as podKind } from '../cluster/kinds.ts';
import type { ControllerDeps } from '../controller.ts';
import { nameOf } from '../domainpolicy/attach.ts';
import { ApiError, isConflict, isNotFound } from '../kube/errors.ts';
import type { KubeObject } from '../kube/object.ts';
import type { Desired } from './desired/desired.ts';
import { namesOf } from './desired/names.ts';
import type { DesiredObject } from './desired/object.ts';
import { isDraining } from './desired/scale.ts';
import { workloadOf } from './existing.ts';
import type { RelayWriter } from './writer.ts';

export interface Turn {
  readonly relay: MailRelay;
  readonly desired: Desired;
  readonly signal: AbortSignal;
}

export interface Applied {
  /** As it is after this pass; undefined: there is none. */
  readonly workload: KubeObject | undefined;
  /** What the API server would not take. What comes after it in the order was not tried: it may build on it. */
  readonly refusal: ApiError | undefined;
  /** Names of claims that may not grow. Nothing builds on them, and trying again at once would not help. */
  readonly refusedClaims: readonly string[];
}

interface Parts {
  readonly deps: ControllerDeps;
  readonly writer: RelayWriter;
}

/** @throws ConnectionError, and ApiError for what waiting alone can mend */
export async function applyDesired(parts: Parts, turn: Turn): Promise<Applied> {
  const refusedClaims: string[] = [];
  let workload: KubeObject | undefined;
  try {
    const { relay, desired, signal } = turn;
    if (desired.handover !== null)
      await parts.writer.handOver(desired.handover, workloadOf(parts.deps.cluster, relay), signal);
    for (const object of desired.objects) {
      const now = await applyOne(parts, turn, object);
      if (object.kind === 'StatefulSet' || object.kind === 'Deployment') workload = now;
    }
    for (const reference of desired.absent) await parts.writer.remove(relay, reference, signal);
    for (const patch of desired.patches) {
      if (!(await isPatched(parts, turn, patch))) refusedClaims.push(patch.metadata.name);
    }
    return { workload, refusal: undefined, refusedClaims };
  } catch (error) {
    if (!isRefusal(error)) throw error;
    return { workload, refusal: error, refusedClaims };
  }
}

/** A relay that is being deleted gets nothing new, but for what pods need that are still to deliver what they hold. */
async function applyOne(
  { writer }: Parts,
  { relay, desired, signal }: Turn,
  object: DesiredObject,
): Promise<KubeObject | undefined> {
  const isNeeded = isDraining(relay, desired.scale) && isStartedWith(relay, object);
  const onlyExisting = relay.metadata.deletionTimestamp !== undefined && !isNeeded;
  return await writer.own({ relay, object, signal, onlyExisting });
}

/** No pod starts without it. */
function isStartedWith(relay: MailRelay, { kind, metadata: { name } }: DesiredObject): boolean {
  return ['ServiceAccount', 'Secret'].includes(kind) || (kind === 'ConfigMap' && name === namesOf(relay).config);
}

/** False of a claim that is refused: its storage class lets nothing grow, or a quota is used up. */
async function isPatched({ deps, writer }: Parts, { relay, signal }: Turn, patch: DesiredObject): Promise<boolean> {
  const key = nameOf(relay);
  const isPod = patch.kind === podKind.kind;
  const all = isPod ? deps.cluster.podsOf(key) : deps.cluster.claimsOf(key);
  const live = all.find(({ metadata }) => metadata.name === patch.metadata.name);
  if (live === undefined) return true;
  try {
    await writer.patch(patch, live, signal);
  } catch (error) {
    // Gone, or another one by this name: it will be seen, and looked at anew.
    if (isNotFound(error) || isConflict(error)) return true;
    if (isPod || !isRefusal(error)) throw error;
    deps.log.warn({ err: error, key }, 'a volume may not grow');
    return false;
  }
  return true;
}

/** Not: a conflict, a limit, or trouble of the server's own. */
function isRefusal(error: unknown): error is ApiError {
  return error instanceof ApiError && error.status < 500 && ![401, 409, 429].includes(error.status);
}
