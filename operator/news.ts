/** Conditions that turned bad, as Events: what should be known at once by whoever looks at the object. */
import type { Condition } from '../crds/common.ts';
import type { EventRecorder } from './kube/events.ts';
import type { KubeObject } from './kube/object.ts';

export const warnedReasons: ReadonlySet<string> = new Set([
  'NotSupported',
  'NameTaken',
  'SecretNotFound',
  'SecretNotReadable',
  'SecretInvalid',
  'ConfigurationTooLarge',
  'CertificateExpired',
  'CertManagerNotFound',
  'DrainTimedOut',
  'VolumeExpansionRefused',
]);

interface Told extends KubeObject {
  /** What was said last. */
  readonly status?: { readonly conditions?: readonly Condition[] };
}

/** Compares with the status that the object has; the same event is told once in a while at most. */
export function tellNews(events: EventRecorder, object: Told, conditions: readonly Condition[] = []): void {
  for (const { type, status, reason, message } of conditions) {
    const before = object.status?.conditions?.find(one => one.type === type);
    const isBad = status === 'False' && warnedReasons.has(reason);
    if (isBad && before?.reason !== reason && type !== 'Ready')
      events.record(object, { type: 'Warning', reason, action: 'Reconcile', note: message });
  }
}
