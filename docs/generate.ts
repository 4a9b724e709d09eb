/** Writes docs/reference/metrics.md from relay/metrics.ts, so that page, dashboard and alerts cannot name a metric that is not there. */
import { writeFile } from 'node:fs/promises';
import { definitions } from '../relay/metrics.ts';

export function renderMetrics(): string {
  const rows = Object.entries(definitions).map(([name, definition]) => {
    const labels = 'labels' in definition ? Object.keys(definition.labels).join(', ') : '';
    return `| \`${name}\` | ${definition.type} | ${labels} | ${definition.help} | ${definition.rise} |`;
  });
  return `# Metrics of the relay

Generated from relay/metrics.ts by \`npm run generate\`. Zeros are there from the start; no label holds an address or an open set of domains.

| metric | type | labels | what it counts | what a rise means |
| --- | --- | --- | --- | --- |
${rows.join('\n')}

Conservation: \`postroad_queue_accepted_recipients_total\` = delivered + failed + discarded + the sum of \`postroad_queue_recipients\`. All of them come from one
snapshot of the queue at each scrape, and survive restarts: alert on any difference.
`;
}

if (import.meta.main) await writeFile(new URL('reference/metrics.md', import.meta.url), renderMetrics());
