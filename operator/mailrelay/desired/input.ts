/** What the objects of a relay are made from. Observed by others: nothing below reads a client, a clock or chance. */
import type { DomainPolicy } from '../../../crds/domain-policy.ts';
import type { MailRelay } from '../../../crds/mail-relay.ts';
import type { SecretData } from '../../credentials.ts';
import type { LoadedKey } from '../../domainpolicy/dkim-key.ts';
import type { Namespaces } from '../../namespaces.ts';

export interface RelayInput {
  /** From the API server: with its uid. */
  readonly relay: MailRelay;
  /** Those attached to it. */
  readonly policies: readonly AttachedPolicy[];
  readonly namespaces: Namespaces;
  /** Secrets that relay and complete policies refer to, by `namespace/name`, each found right by `secretProblem`. */
  readonly secrets: ReadonlyMap<string, SecretData>;
  /** The relay itself lacks something, a Secret say: its configuration stays as it is. */
  readonly blocked: boolean;
  /** What the listeners present, in PEM. Missing while there is none yet. */
  readonly certificate: { readonly certificate: string; readonly privateKey: string } | undefined;
  readonly material: KeyMaterial;
  readonly existing: Existing;
  /** Kinds of others that this cluster knows. */
  readonly kinds: { readonly certManager: boolean; readonly podMonitor: boolean; readonly prometheusRule: boolean };
  /** The time for draining is over, or its owner does not want it. */
  readonly drainOver: boolean;
}

export interface AttachedPolicy {
  readonly policy: DomainPolicy;
  /** False when a Secret is missing or wrong: what its configuration was stays in force, so that a tenant's slip refuses no mail for good. */
  readonly complete: boolean;
  /** Those that the pods load. */
  readonly keys: readonly LoadedKey[];
  /** Which those are is not known: the Secret that keeps them cannot be read. Left out: it can. */
  readonly areKeysBroken?: boolean;
}

/** Made by chance once, in reconcile, and kept in the Secret `names.keys`, which no pod mounts. */
export interface KeyMaterial {
  /** Makes revisions and file names unguessable: both cover secrets, and both are shown to everybody. */
  readonly revisionKey: string;
  /** Certificates, in PEM, that clients should trust; empty where the certificate is not from an authority of ours. */
  readonly authorities: readonly string[];
}

export interface Existing {
  readonly workload:
    | {
        readonly replicas: number;
        /** Of its claim template, which can never change. */
        readonly claimSize: string | number | undefined;
        /** How many Secrets its pods mount. */
        readonly fileShards: number;
      }
    | undefined;
  /** `relay.json` of the ConfigMap. */
  readonly configText: string | undefined;
  /** Content of the Secrets with files, in order: bytes by name. */
  readonly fileShards: readonly ReadonlyMap<string, Buffer>[];
  readonly pods: readonly ObservedPod[];
  /** Volumes that are there, by ordinal of their pod. */
  readonly claims: ReadonlyMap<number, { readonly size: string | number }>;
  readonly hasAutoscaler: boolean;
}

export interface ObservedPod {
  readonly name: string;
  readonly uid: string;
  readonly ready: boolean;
  /** It is being deleted. */
  readonly terminating: boolean;
  readonly labels: Readonly<Record<string, string>>;
  readonly annotations: Readonly<Record<string, string>>;
  /** What the pod said of itself when it was last asked (pod-report.ts). */
  readonly report: { readonly revision: string; readonly queuedRecipients: number } | undefined;
  /** How many times it should have been told again of a revision that it does not run. */
  readonly nudged: { readonly revision: string | undefined; readonly times: number };
  /** Why its shared queue takes no mail, as it said while it was not ready. */
  readonly storeTroubles: readonly string[];
}

/** The same for every relay: from the operator's own flags. */
export interface DesiredOptions {
  /** The operator's own image, unless a relay names another. */
  readonly image: string;
  readonly clusterDomain: string;
  readonly logLevel: string;
  /** User and group of the pods; undefined where the platform gives them out itself. */
  readonly podUser: number | undefined;
  /** Where the operator's own pods are: they ask relays what they run. */
  readonly operator: { readonly namespace: string; readonly podLabels: Readonly<Record<string, string>> };
  /** Namespaces whose pods may scrape metrics. */
  readonly monitoringNamespaces: readonly string[];
  /** Labels by which a Prometheus selects its PodMonitors and PrometheusRules. */
  readonly monitoringLabels: Readonly<Record<string, string>>;
  /** The page with the runbooks; each alert is a section of it. */
  readonly runbookUrl: string;
}

export const noExisting: Existing = {
  workload: undefined,
  configText: undefined,
  fileShards: [],
  pods: [],
  claims: new Map(),
  hasAutoscaler: false,
};
