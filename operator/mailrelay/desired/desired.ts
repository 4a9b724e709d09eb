/**
 * Everything that there should be for one relay, in the order in which it is to be applied, and what there should not be.
 *
 *   what pods start with:  ServiceAccount, Secrets with files, ConfigMap (files before the configuration that names them)
 *   who finds them:        Services, NetworkPolicy, PodDisruptionBudget, before the first pod is there
 *   the pods:              handed-over replicas, workload, autoscaler
 *   around them:           authorities, Certificate, PodMonitor, PrometheusRule, larger volumes
 *   last:                  nudges to pods, once what they should look at has been written
 */
import { httpPort } from '../../../crds/listener.ts';
import { authoritiesConfigMap } from './authorities.ts';
import { autoscaler } from './autoscaler.ts';
import { certificate } from './certificate.ts';
import { configMap, fileSecrets } from './config-map.ts';
import { type Configuration, configurationOf, configurationToRun } from './configuration.ts';
import { disruptionBudget } from './disruption-budget.ts';
import { mostShards, shardCount } from './files.ts';
import type { DesiredOptions, RelayInput } from './input.ts';
import { namesOf } from './names.ts';
import { networkPolicy } from './network-policy.ts';
import type { DesiredObject, ObjectReference } from './object.ts';
import { podMonitor } from './pod-monitor.ts';
import { podNudges } from './pod-nudges.ts';
import { prometheusRule } from './prometheus-rule.ts';
import { type Scale, scaleOf } from './scale.ts';
import { clientService, headlessService, metricsService } from './service.ts';
import { serviceAccount } from './service-account.ts';
import { largerClaims } from './volume-claim.ts';
import { deployment, replicaHandover, statefulSet } from './workload.ts';

export interface Desired {
  /** Applied by `handoverFieldManager`, before the rest. */
  readonly handover: DesiredObject | null;
  /** Applied by `fieldManager`, in this order. */
  readonly objects: readonly DesiredObject[];
  /** Parts of objects that others own, pods and claims: applied by `fieldManager` after `objects`, each only while it is there. */
  readonly patches: readonly DesiredObject[];
  /** Must not exist; deleted where one of that name is owned by the relay. */
  readonly absent: readonly ObjectReference[];
  readonly configuration: Configuration;
  readonly scale: Scale;
}

export function desiredRelay(input: RelayInput, options: DesiredOptions): Desired {
  const { relay } = input;
  const configuration = configurationOf(input, httpPort);
  const scale = scaleOf(input);
  const files = secretsWithFiles(input, configuration);
  const fileShards = files.length === 0 ? (input.existing.workload?.fileShards ?? 0) : files.length;
  const workload = { input, scale, fileShards, options };
  const rendered = {
    network: networkPolicy(relay, options),
    service: clientService(relay),
    autoscaler: autoscaler(input),
    authorities: authoritiesConfigMap(input),
    certificate: certificate(input, options),
    podMonitor: podMonitor(input, options),
    rule: prometheusRule(input, options),
  };
  const objects = [
    serviceAccount(relay),
    ...files,
    configMap(input, configuration),
    headlessService(relay),
    rendered.service,
    metricsService(relay),
    rendered.network,
    disruptionBudget(relay),
    statefulSet(workload),
    deployment(workload),
    rendered.autoscaler,
    rendered.authorities,
    rendered.certificate,
    rendered.podMonitor,
    rendered.rule,
  ].filter(object => object !== null);
  const revision = configurationToRun(configuration)?.revision;
  return {
    handover: replicaHandover(input, scale),
    objects,
    // Claims last: a storage class that lets nothing grow refuses them, and pods must be told of their configuration all the same.
    patches: [...podNudges(input, revision, scale), ...largerClaims(input)],
    absent: absentOf(input, objects, fileShards),
    configuration,
    scale,
  };
}

function secretsWithFiles(input: RelayInput, configuration: Configuration): DesiredObject[] {
  if (configuration.kind !== 'Made') return [];
  const { shards } = configuration;
  return fileSecrets(input, shards, shardCount(shards.length, input.existing.workload?.fileShards ?? 1));
}

/** What a relay may have and this one should not: what was switched off, and kinds of others only where the cluster knows them. */
function absentOf(
  { relay, kinds }: RelayInput,
  objects: readonly DesiredObject[],
  fileShards: number,
): ObjectReference[] {
  const names = namesOf(relay);
  const { namespace } = relay.metadata;
  const possible = [
    ['networking.k8s.io/v1', 'NetworkPolicy', names.relay],
    ['autoscaling/v2', 'HorizontalPodAutoscaler', names.relay],
    ['v1', 'Service', names.service],
    ['v1', 'ConfigMap', names.authorities],
    ...(kinds.certManager ? [['cert-manager.io/v1', 'Certificate', names.relay] as const] : []),
    ...(kinds.podMonitor ? [['monitoring.coreos.com/v1', 'PodMonitor', names.relay] as const] : []),
    ...(kinds.prometheusRule ? [['monitoring.coreos.com/v1', 'PrometheusRule', names.relay] as const] : []),
    // Left alone while nothing says how many are needed.
    ...(fileShards === 0
      ? []
      : Array.from(
          { length: mostShards - fileShards },
          (_, index) => ['v1', 'Secret', names.files(fileShards + index)] as const,
        )),
  ] as const;
  return possible
    .filter(([, kind, name]) => !objects.some(object => object.kind === kind && object.metadata.name === name))
    .map(([apiVersion, kind, name]) => ({ apiVersion, kind, namespace, name }));
}
