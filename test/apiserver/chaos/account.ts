/** What there is to know of a world that did not come to rest, or came to another end than its twin. */
import type { Condition } from '../../../crds/common.ts';
import { domainPolicies, mailRelays, pods } from '../../../operator/cluster/kinds.ts';
import type { KubeObject } from '../../../operator/kube/object.ts';
import { revisionAnnotation } from '../../../operator/labels.ts';
import type { NodeStandIn } from '../../support/node-stand-in.ts';
import type { ApiWorld } from '../api-world.ts';
import { listOf, type Places } from './random-changes.ts';

export type Stored = KubeObject & {
  readonly spec: {
    readonly replicas?: number;
    readonly reconciliation?: string;
    readonly relayRef?: { readonly namespace?: string; readonly name: string };
  };
  readonly status?: {
    readonly observedGeneration?: number;
    readonly configurationRevision?: string;
    readonly appliedRevision?: string;
    readonly conditions?: readonly Condition[];
  };
};

/** Relays and policies of these places. */
export async function storedIn(world: ApiWorld, places: Places): Promise<Stored[]> {
  return [
    ...(await listOf<Stored>(world, mailRelays, { namespace: places.relays })),
    ...(await listOf<Stored>(world, domainPolicies, { namespace: places.policies })),
  ];
}

/** A line for each relay, policy and relay pod. */
export async function accountOf(world: ApiWorld, places: Places, node: NodeStandIn): Promise<string> {
  const objects = await storedIn(world, places);
  const running = await listOf<KubeObject>(world, pods, { namespace: places.relays });
  return [...objects.map(objectLine), ...running.map(pod => podLine(pod, node))].join('\n');
}

function objectLine({ kind, metadata, spec, status = {} }: Stored): string {
  const { name, generation, deletionTimestamp, finalizers } = metadata;
  const { observedGeneration, configurationRevision, appliedRevision, conditions = [] } = status;
  const { replicas, reconciliation, relayRef } = spec;
  const facts = { generation, observedGeneration, deletionTimestamp, finalizers, replicas, reconciliation, relayRef };
  const verdicts = conditions.map(
    ({ type, status: holds, reason, message, observedGeneration: seen }) =>
      `\n    ${type} ${holds} ${reason} at ${seen}: ${message}`,
  );
  return `${kind} ${name} ${JSON.stringify({ ...facts, configurationRevision, appliedRevision })}${verdicts.join('')}`;
}

function podLine(
  { metadata: { namespace, name, annotations = {}, deletionTimestamp } }: KubeObject,
  node: NodeStandIn,
) {
  const key = `${namespace}/${name}`;
  const life = node.pods().find(one => one.key === key);
  const runs = life === undefined ? 'no life' : `${node.reporter(key).revision} after ${life.refreshes} refreshes`;
  return `Pod ${key} told of ${annotations[revisionAnnotation]}, runs ${runs} ${deletionTimestamp ?? ''}`;
}

/** What the one has and the other has not, or has otherwise: a line or two for each name. */
export function differences(one: ReadonlyMap<string, unknown>, other: ReadonlyMap<string, unknown>): string[] {
  return [...new Set([...one.keys(), ...other.keys()])].sort().flatMap(name => {
    const [left, right] = [text(one.get(name)), text(other.get(name))];
    if (left === right) return [];
    const at = [...left].findIndex((letter, index) => letter !== right[index]);
    const from = Math.max(0, at === -1 ? left.length - 40 : at - 40);
    return [`${name} from ${from}:\n  ${left.slice(from, from + 400)}\n  ${right.slice(from, from + 400)}`];
  });
}

function text(value: unknown): string {
  return value === undefined ? '(nothing)' : JSON.stringify(value);
}
