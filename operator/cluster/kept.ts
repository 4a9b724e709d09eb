/**
 * What is kept of each object. The writer needs its labels, annotations and the fields that are ours; of the rest stays what is read to
 * decide: a thousand relays are 14,000 objects, and most of an object is what nobody asks for.
 */

import { appliedHashAnnotation } from '../kube/apply.ts';
import type { KubeObject, Resource } from '../kube/object.ts';
import { keepingOwnFields, type Transform, withoutManagedFields } from '../kube/transform.ts';
import { fieldManager, nudgesAnnotation, revisionAnnotation, servingLabel } from '../labels.ts';

interface Content {
  readonly spec?: Fields;
  readonly status?: Fields;
}
type Fields = Readonly<Record<string, unknown>>;

const ownFields = keepingOwnFields<KubeObject>(fieldManager);

/** A copy of the whole spec by kubectl: nobody here reads it. */
const lastApplied = 'kubectl.kubernetes.io/last-applied-configuration';

/** Whole, but for what is only bookkeeping of others. */
export function wholeObject<T extends KubeObject>(object: T): T {
  return keepingOwnFields<T>(fieldManager)({ ...object, metadata: metadataOf(object) });
}

/** What users write: of it only status is written, and compared as it is. */
export function userObject<T extends KubeObject>(object: T): T {
  return withoutManagedFields({ ...object, metadata: metadataOf(object) });
}

export const namespaceLabels: Transform<KubeObject> = ({ apiVersion, kind, metadata }) => {
  const { name, resourceVersion = '', labels = {}, deletionTimestamp } = metadata;
  const kept = { name, resourceVersion, labels };
  return { apiVersion, kind, metadata: deletionTimestamp === undefined ? kept : { ...kept, deletionTimestamp } };
};

/** `spec.nodeName`, `status.phase`, `.podIP`, `.conditions`, and how a relay's container ended. */
export const pod: Transform<KubeObject> = object => {
  const { spec = {}, status = {} } = object as KubeObject & Content;
  const conditions = listOf(status['conditions']).map(condition => pick(condition, ['type', 'status']));
  return partly(namedOnly(object), {
    spec: pick(spec, ['nodeName']),
    status: { ...pick(status, ['phase', 'podIP']), conditions, ...endOf(status) },
  });
};

/** kubelet lets a message be longer; of a relay it is not. */
const longestMessage = 256;

function endOf(status: Fields): Fields {
  const ended = listOf(status['containerStatuses']).flatMap(({ name, state }) => {
    const { exitCode, message } = fieldsOf(fieldsOf(state)['terminated']);
    if (name !== 'relay' || typeof exitCode !== 'number' || typeof message !== 'string') return [];
    return message.length > longestMessage ? [] : [{ name, state: { terminated: { exitCode, message } } }];
  });
  return ended.length === 0 ? {} : { containerStatuses: ended.slice(0, 1) };
}

/** `spec.resources`, `.storageClassName`; `status.phase`, `.capacity`. */
export const claim: Transform<KubeObject> = object => {
  const { spec = {}, status = {} } = object as KubeObject & Content;
  const kept = { spec: pick(spec, ['resources', 'storageClassName']), status: pick(status, ['phase', 'capacity']) };
  return partly(namedOnly(object), kept);
};

/** `spec.replicas`, `.volumeClaimTemplates`, `.template.spec.volumes`; all of status. */
const workload: Transform<KubeObject> = object => {
  const { spec = {}, status = {} } = object as KubeObject & Content;
  const template = fieldsOf(spec['template']);
  const volumes = fieldsOf(template['spec'])['volumes'];
  return partly(object, {
    spec: { ...pick(spec, ['replicas', 'volumeClaimTemplates']), template: { spec: { volumes } } },
    status,
  });
};

const withStatus: Transform<KubeObject> = object => {
  const { status } = object as KubeObject & Content;
  return partly(object, status === undefined ? {} : { status });
};

/** `spec` and `status`: what is published already stays while it is not known what is there. */
const endpoint: Transform<KubeObject> = object => {
  const { spec, status } = object as KubeObject & Content;
  return partly(object, { ...(spec !== undefined && { spec }), ...(status !== undefined && { status }) });
};

const metadataOnly: Transform<KubeObject> = object => partly(object, {});

const byKind: Readonly<Record<string, Transform<KubeObject>>> = {
  ServiceAccount: metadataOnly,
  Secret: wholeObject,
  ConfigMap: wholeObject,
  Service: withStatus,
  NetworkPolicy: metadataOnly,
  PodDisruptionBudget: metadataOnly,
  StatefulSet: workload,
  Deployment: workload,
  HorizontalPodAutoscaler: withStatus,
  Certificate: withStatus,
  PodMonitor: metadataOnly,
  PrometheusRule: metadataOnly,
  DNSEndpoint: endpoint,
};

export function managedObject({ kind }: Resource): Transform<KubeObject> {
  return byKind[kind] ?? wholeObject;
}

function partly({ apiVersion, kind, ...object }: KubeObject, content: object): KubeObject {
  return ownFields({ apiVersion, kind, metadata: metadataOf({ apiVersion, kind, ...object }), ...content });
}

/** Anybody's pods and claims may have our labels, and as much beside them as the API server takes. */
function namedOnly({ metadata, ...object }: KubeObject): KubeObject {
  const { namespace = '', name, uid = '', resourceVersion = '', deletionTimestamp } = metadata;
  const { labels = {}, annotations = {}, ownerReferences = [], managedFields = [] } = metadata;
  const controllers = ownerReferences.filter(({ controller }) => controller === true);
  const kept = {
    ...{ namespace, name, uid, resourceVersion },
    labels: pick(labels, ['app.kubernetes.io/instance', servingLabel]),
    annotations: pick(annotations, [revisionAnnotation, nudgesAnnotation, appliedHashAnnotation]),
    ownerReferences: controllers,
    managedFields,
    ...(deletionTimestamp !== undefined && { deletionTimestamp }),
  };
  return { ...object, metadata: kept };
}

function metadataOf({ metadata }: KubeObject): KubeObject['metadata'] {
  const { annotations, ...rest } = metadata;
  if (annotations === undefined) return metadata;
  const { [lastApplied]: _, ...kept } = annotations;
  return { ...rest, annotations: kept };
}

function pick<T>(fields: Readonly<Record<string, T>>, names: readonly string[]): Readonly<Record<string, T>> {
  return Object.fromEntries(
    names.flatMap(name => {
      const value = fields[name];
      return value === undefined ? [] : [[name, value] as const];
    }),
  );
}

function fieldsOf(value: unknown): Fields {
  return typeof value === 'object' && value !== null ? (value as Fields) : {};
}

function listOf(value: unknown): readonly Fields[] {
  return Array.isArray(value) ? value.map(fieldsOf) : [];
}
