/** Writes the pages of docs/reference that come from code, so that no page can name a metric or reason that is not there. */
import { writeFile } from 'node:fs/promises';
import { reasons } from '../operator/conditions.ts';
import { rotationReasons } from '../operator/domainpolicy/rotation-reasons.ts';
import { renewalReasons } from '../operator/mailrelay/certificate-policy.ts';
import { operatorMetrics } from '../operator/metric-definitions.ts';
import { warnedReasons } from '../operator/news.ts';
import { type Flag, flags } from '../operator/options.ts';
import { deferReasons, failReasons } from '../relay/deliver/outcome.ts';
import { definitions } from '../relay/metrics.ts';
import { rejectReasons } from '../relay/policy/decision.ts';

interface Metric {
  readonly type: string;
  readonly help: string;
  readonly rise: string;
  readonly labels?: Readonly<Record<string, unknown>>;
}

export function renderMetrics(): string {
  return `# Metrics

Generated from relay/metrics.ts and operator/metric-definitions.ts by \`npm run generate\`. Zeros are there from the start; no label holds an address or an open set of domains.

# Of a relay

At \`/metrics\` on port 8080 of each pod.

${metricTable(definitions)}

Conservation: \`postroad_queue_accepted_recipients_total\` = delivered + failed + discarded + the sum of \`postroad_queue_recipients\`. All of them come from one
snapshot of the queue at each scrape, and survive restarts: alert on any difference.

# Of the operator

At \`/metrics\` on the port of \`--http\` of each replica. Only the one that leads reconciles; all hold caches. \`kind\` is a kind that the
operator reads or writes, \`queue\` one of its work queues.

${metricTable(operatorMetrics)}
`;
}

function metricTable(metrics: Readonly<Record<string, Metric>>): string {
  const rows = Object.entries(metrics).map(([name, { type, labels = {}, help, rise }]) =>
    row([`\`${name}\``, type, Object.keys(labels).join(', '), help, rise]),
  );
  return table(['metric', 'type', 'labels', 'what it counts', 'what a rise means'], rows);
}

/** Events whose reason is neither that of a condition nor in a table of its own. A test compares it with what the code records. */
export const otherEventReasons: Readonly<Record<string, string>> = {
  VolumesKept:
    'A MailRelay is gone, and volumes that may hold mail are kept: a MailRelay of its name takes them up again.',
};

export function renderConditions(): string {
  const conditionRows = Object.entries(reasons).map(([reason, meaning]) =>
    row([`[${reason}](../runbooks/conditions.md#${reason.toLowerCase()})`, meaning]),
  );
  const eventRows = Object.entries({
    'MailRelay: certificate and authority': renewalReasons,
    'MailRelay: volumes': otherEventReasons,
    'DomainPolicy: DKIM keys': rotationReasons,
  }).flatMap(([about, meanings]) =>
    Object.entries(meanings).map(([reason, meaning]) => row([`\`${reason}\``, about, meaning])),
  );
  return `# Reasons of conditions and Events

Generated from the code by \`npm run generate\`. Why a message was refused or deferred is on [another page](reasons.md).

# Conditions

Each links to its section of the runbook.

${table(['reason', 'what it means'], conditionRows)}

# Events

\`kubectl -n NAMESPACE events --for mailrelay/NAME\`, or \`--for domainpolicy/NAME\`. Kubernetes forgets them, usually after an hour. These conditions are told as a Warning when they turn bad, with
their own reason: ${[...warnedReasons].join(', ')}. Beside these:

${table(['reason', 'of', 'what it means'], eventRows)}
`;
}

export function renderOperator(): string {
  const rows = Object.entries<Flag>(flags).map(([name, flag]) => {
    const standard = flag.required
      ? '*required*'
      : flag.default === undefined || flag.default === ''
        ? ''
        : `\`${flag.default}\``;
    return row([`\`--${name}\``, flag.value, standard, flag.help]);
  });
  return `# The operator's process

Generated from operator/options.ts by \`npm run generate\`. With the chart, its values set these; \`operator.extraArgs\` adds others.

    node operator/main.ts --image NAME [options]

\`LIST\` is separated by commas; \`LABELS\` is a LIST of \`key=value\`. Every wrong flag is told at once, and nothing starts.

${table(['flag', 'value', 'unless given', 'what it does'], rows)}

Environment: \`POD_NAMESPACE\` stands in for \`--namespace\`, \`POD_NAME\` names this replica in the lease, \`KUBERNETES_SERVICE_HOST\` and \`KUBERNETES_SERVICE_PORT\` are every pod's.
It ends with 0 when it was stopped by SIGTERM or SIGINT, with 1 when it could not go on (the log says why), with 2 when its options are wrong.

HTTP on \`--http\`: \`/healthz\` fails when a reconciliation has not come to its end for 15 minutes, or when nothing answers at all. \`/readyz\` fails until everything that the cluster holds
has been read; a process that does not lead is ready as well. \`/metrics\` is [another page](metrics.md).
`;
}

function table(head: readonly string[], rows: readonly string[]): string {
  return [row(head), row(head.map(() => '---')), ...rows].join('\n');
}

function row(cells: readonly string[]): string {
  return `| ${cells.map(cell => cell.replaceAll('|', '\\|')).join(' | ')} |`;
}

export function renderReasons(): string {
  return `# Reasons

Generated by \`npm run generate\`. The same word stands in the log (\`reason\`), in the metric's label and, where mail is given up, in the DSN.

# Refused: the client was told so (postroad_accept_refusals_total)

${sections(rejectReasons)}
# Deferred: tried again until the message's lifetime ends (postroad_deliver_attempts_total, outcome Deferred)

${sections(deferReasons)}
# Failed: given up, with a DSN where one is due (postroad_deliver_attempts_total, outcome Failed)

${sections(failReasons)}`;
}

function sections(reasons: Readonly<Record<string, string>>): string {
  return Object.entries(reasons)
    .map(([reason, meaning]) => `## ${reason}\n\n${meaning}\n`)
    .join('\n');
}

/** Every generated page by its path from here. */
export const pages = {
  'reference/conditions.md': renderConditions,
  'reference/metrics.md': renderMetrics,
  'reference/operator.md': renderOperator,
  'reference/reasons.md': renderReasons,
} as const;

if (import.meta.main) {
  for (const [path, render] of Object.entries(pages)) await writeFile(new URL(path, import.meta.url), render());
}
