import type { Pod } from './api.ts';
import type { PodFiles } from './files.ts';

/** As kubelet tells of a container. */
export interface End {
  readonly exitCode: number;
  /** What it wrote into its termination log. */
  readonly message: string;
}

/** What runs in a pod's place. */
export interface Workload {
  /** With its first files; resolves when it runs, ready or not. */
  start(files: PodFiles): Promise<void>;
  /** Its files are these now. */
  refresh(files: PodFiles): Promise<void>;
  isReady(): Promise<boolean>;
  readonly restarts: number;
  /** As the end of a pod: asked to stop, and killed after its grace period. Undefined: it never ran. */
  stop(graceMs: number): Promise<End | undefined>;
  /** At once, as the end of a node. */
  kill(): Promise<void>;
  /** How often isReady() is worth asking without being told of a change; undefined: never. */
  readonly pollMs: number | undefined;
}

export type CreateWorkload = (pod: Pod, address: string, onChange: () => void) => Workload;
