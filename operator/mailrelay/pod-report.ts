/** What a relay says of itself at /metrics (docs/decisions/0002-how-pods-report.md says why there). */
import type { ObservedPod } from './desired/input.ts';

export type PodReport = NonNullable<ObservedPod['report']>;

/** Metrics of one relay have some 20 KiB; whatever sends more is none. */
export const mostReportBytes = 1024 * 1024;

/** `undefined`: the text is not from a relay that has its configuration. */
export function podReportOf(metrics: string): PodReport | undefined {
  const revision = /^postroad_config_revision_info\{revision="([^"\\]{1,128})"\} 1$/m.exec(metrics)?.[1];
  const queued = [...metrics.matchAll(/^postroad_queue_recipients\{[^}]*\} ([0-9.e+]+)$/gm)].map(([, value]) =>
    Number(value),
  );
  const queuedRecipients = queued.reduce((sum, value) => sum + value, 0);
  if (revision === undefined || queued.length === 0 || !Number.isFinite(queuedRecipients)) return undefined;
  return { revision, queuedRecipients };
}
