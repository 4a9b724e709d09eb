/** What a relay says of itself at /metrics (docs/decisions/0002-how-pods-report.md says why there). */

export interface PodReport {
  readonly revision: string;
  readonly queuedRecipients: number;
  readonly openSessions: number;
}

/** Metrics of one relay have some 20 KiB; whatever sends more is none. */
export const mostReportBytes = 1024 * 1024;

/** `undefined`: the text is not from a relay that has its configuration. */
export function podReportOf(metrics: string): PodReport | undefined {
  const revision = /^postroad_config_revision_info\{revision="([^"\\]{1,128})"\} 1$/m.exec(metrics)?.[1];
  const queuedRecipients = sumOf(metrics.matchAll(/^postroad_queue_recipients\{[^}]*\} ([0-9.e+]+)$/gm));
  const openSessions = sumOf(metrics.matchAll(/^postroad_accept_sessions_open\{[^}]*\} ([0-9.e+]+)$/gm)) ?? 0;
  if (revision === undefined || queuedRecipients === undefined) return undefined;
  return { revision, queuedRecipients, openSessions };
}

/** `undefined`: nothing to add up, or no numbers. */
function sumOf(matches: Iterable<RegExpExecArray>): number | undefined {
  const values = [...matches].map(([, value]) => Number(value));
  const sum = values.reduce((total, value) => total + value, 0);
  return values.length === 0 || !Number.isFinite(sum) ? undefined : sum;
}
