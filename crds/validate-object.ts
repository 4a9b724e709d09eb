/** A whole object of the API: what `kubectl apply` would be told. */
import { apiVersion, namePatterns } from './common.ts';
import type { DomainPolicy } from './domain-policy.ts';
import type { Kind, KubernetesObject } from './kind.ts';
import { kinds } from './kinds.ts';
import type { MailRelay } from './mail-relay.ts';
import { nearName } from './near-name.ts';
import type { Pattern } from './schema.ts';
import { type Fault, isRecord, ruleFaults, unknownFields, validateNode } from './validate.ts';

export type PostroadObject = MailRelay | DomainPolicy;

export interface ObjectValidation {
  readonly faults: readonly Fault[];
  /** With defaults filled in; undefined where there are faults. */
  readonly object: PostroadObject | undefined;
}

/** Fields that the API server writes are allowed: `kubectl get -o yaml` is a manifest too. */
const metadataFields = [
  'name',
  'namespace',
  'labels',
  'annotations',
  'uid',
  'generation',
  'creationTimestamp',
  'deletionTimestamp',
  'deletionGracePeriodSeconds',
  'resourceVersion',
  'selfLink',
  'generateName',
  'ownerReferences',
  'finalizers',
  'managedFields',
];

/** `previous` is the object before a change. */
export function validateObject(object: unknown, previous?: PostroadObject): ObjectValidation {
  if (!isRecord(object))
    return refused([{ path: '', message: 'must be an object with apiVersion, kind and metadata' }]);
  const kind = kinds.find(one => one.kind === object['kind']);
  const head = headFaults(object, kind);
  if (kind === undefined || head.length > 0) return refused(head);
  const metadata = validateMetadata(object['metadata']);
  const extra = unknownFields(Object.keys(object), ['apiVersion', 'kind', 'metadata', 'spec', 'status'], '');
  const spec =
    object['spec'] === undefined || object['spec'] === null
      ? { faults: [{ path: 'spec', message: 'must be given' }], value: undefined }
      : validateNode(kind.spec, 'spec', object['spec'], previous?.spec);
  const faults = [...extra, ...metadata.faults, ...spec.faults];
  const valid = { apiVersion, kind: kind.kind, metadata: metadata.value, spec: spec.value } as KubernetesObject;
  if (metadata.faults.length === 0) faults.push(...ruleFaults(kind.rules, '', valid, previous));
  return faults.length > 0 ? refused(faults) : { faults: [], object: valid as PostroadObject };
}

function refused(faults: readonly Fault[]): ObjectValidation {
  return { faults, object: undefined };
}

function headFaults(object: Record<string, unknown>, kind: Kind | undefined): Fault[] {
  const faults: Fault[] = [];
  if (object['apiVersion'] !== apiVersion) faults.push({ path: 'apiVersion', message: `must be ${apiVersion}` });
  if (kind === undefined) {
    const names = kinds.map(one => one.kind);
    const near = nearName(String(object['kind']), names);
    faults.push({ path: 'kind', message: near === undefined ? `must be ${names.join(' or ')}` : `must be ${near}` });
  }
  return faults;
}

/** Names become parts of file names and of API paths, so that nothing else may pass (RFC 1123 as Kubernetes reads it). */
export function validateMetadata(metadata: unknown): { faults: readonly Fault[]; value: KubernetesObject['metadata'] } {
  if (!isRecord(metadata))
    return {
      faults: [{ path: 'metadata', message: 'must be an object with a name' }],
      value: { name: '', namespace: '' },
    };
  const { name, namespace = 'default' } = metadata;
  const faults = [
    ...unknownFields(Object.keys(metadata), metadataFields, 'metadata'),
    ...nameFaults('metadata.name', name, namePatterns.objectName, 253),
    ...nameFaults('metadata.namespace', namespace, namePatterns.namespace, 63),
  ];
  const { creationTimestamp, generation } = metadata;
  return {
    faults,
    value: {
      name: String(name),
      namespace: String(namespace),
      ...(typeof creationTimestamp === 'string' ? { creationTimestamp } : {}),
      ...(typeof generation === 'number' ? { generation } : {}),
    },
  };
}

function nameFaults(path: string, name: unknown, pattern: Pattern, maxLength: number): Fault[] {
  const right = typeof name === 'string' && name.length <= maxLength && new RegExp(pattern.regex).test(name);
  return right ? [] : [{ path, message: `must be ${pattern.means}, at most ${maxLength} characters` }];
}
