/** What a kind is besides its schema. */
import type { Node, Rule } from './schema.ts';

export interface Column {
  readonly name: string;
  readonly description: string;
  readonly jsonPath: string;
  readonly type: 'string' | 'integer' | 'date';
  /** Shown with `-o wide` only. */
  readonly wide?: boolean;
}

export interface Kind {
  readonly kind: string;
  readonly plural: string;
  readonly singular: string;
  readonly shortName: string;
  readonly description: string;
  readonly labels: Readonly<Record<string, string>>;
  readonly spec: Node;
  readonly status: Node;
  /** On the whole object; of its metadata they may use the name. */
  readonly rules: readonly Rule<KubernetesObject>[];
  readonly columns: readonly Column[];
  readonly scale?: {
    readonly specReplicasPath: string;
    readonly statusReplicasPath: string;
    readonly labelSelectorPath: string;
  };
}

export interface Metadata {
  readonly name: string;
  readonly namespace: string;
  readonly uid?: string;
  readonly generation?: number;
  readonly creationTimestamp?: string;
  readonly deletionTimestamp?: string;
  readonly labels?: Readonly<Record<string, string>>;
  readonly annotations?: Readonly<Record<string, string>>;
  readonly finalizers?: readonly string[];
}
export interface KubernetesObject<Kind extends string = string, Spec = unknown, Status = unknown> {
  readonly apiVersion: string;
  readonly kind: Kind;
  readonly metadata: Metadata;
  readonly spec: Spec;
  readonly status?: Status;
}
