/** What a relay says of itself at /metrics (docs/decisions/0002-how-pods-report.md says why there). */

export interface PodReport {
  readonly revision: string;
  readonly queuedRecipients: number;
  readonly openSessions: number;
  /** Transactions with next hops under way. */
  readonly deliveries: number;
  /** Why its queue in Redis takes no mail (relay/queue/redis/durability.ts). */
  readonly storeTroubles: readonly string[];
}

/** Metrics of one relay have some 20 KiB; whatever sends more is none. */
export const mostReportBytes = 1024 * 1024;

/** Of a line that is of interest, a multiple. What is longer is no metric of ours. */
const longestLine = 1024;
/** There are fewer reasons. */
const mostTroubles = 16;

/** `undefined`: the text is not from a relay that has its configuration. */
export function podReportOf(metrics: string): PodReport | undefined {
  let revision: string | undefined;
  const queued: number[] = [];
  const away: number[] = [];
  const sessions: number[] = [];
  const deliveries: number[] = [];
  const storeTroubles: string[] = [];
  // Line by line: an answer may be hostile, and a pattern that runs over lines could be made to take minutes for a megabyte.
  for (const line of metrics.split('\n')) {
    if (line.length > longestLine || !line.startsWith('postroad_')) continue;
    revision ??= /^postroad_config_revision_info\{revision="([^"\\]{1,128})"\} 1$/.exec(line)?.[1];
    queued.push(...valueIn(line, 'postroad_queue_recipients'));
    away.push(...valueIn(line, 'postroad_queue_parts_away'));
    sessions.push(...valueIn(line, 'postroad_accept_sessions_open'));
    deliveries.push(...valueIn(line, 'postroad_schedule_deliveries_running'));
    const trouble = /^postroad_queue_store_trouble\{reason="([A-Za-z]{1,64})"\} 1$/.exec(line)?.[1];
    if (trouble !== undefined && storeTroubles.length < mostTroubles) storeTroubles.push(trouble);
  }
  const [known, openSessions] = [sumOf(queued), sumOf(sessions) ?? 0];
  if (revision === undefined || known === undefined) return undefined;
  // What does not answer may hold mail that this pod has not heard of: it is not empty.
  const queuedRecipients = known + (sumOf(away) ?? 0);
  return { revision, queuedRecipients, openSessions, deliveries: sumOf(deliveries) ?? 0, storeTroubles };
}

function valueIn(line: string, name: string): number[] {
  if (!line.startsWith(name)) return [];
  const value = /^(?:\{[^}]*\})? ([0-9.e+]+)$/.exec(line.slice(name.length))?.[1];
  return value === undefined ? [] : [Number(value)];
}

/** `undefined`: nothing to add up, or no numbers. */
function sumOf(values: readonly number[]): number | undefined {
  const sum = values.reduce((total, value) => total + value, 0);
  return values.length === 0 || !Number.isFinite(sum) ? undefined : sum;
}
