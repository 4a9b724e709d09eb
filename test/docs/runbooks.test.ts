import assert from 'node:assert/strict';
import { readFile } from 'node:fs/promises';
import { test } from 'node:test';
import { operatorAlerts } from '../../operator/alerts.ts';
import { alerts as relayAlerts } from '../../operator/mailrelay/alerts.ts';

interface Runbook {
  readonly page: string;
  /** What has a section of its own, titled with its name. */
  readonly names: readonly string[];
}

const runbooks: readonly Runbook[] = [
  { page: 'runbooks/alerts.md', names: [...relayAlerts, ...operatorAlerts].map(({ name }) => name) },
];

for (const { page, names } of runbooks) {
  test(`docs/${page} has a section for each name that leads there, and no other, each with something to do`, async () => {
    const text = await readFile(new URL(`../../docs/${page}`, import.meta.url), 'utf8');
    const sections = text.split(/^#+ /m).slice(1);
    const titled = sections.filter(section => text.includes(`\n## ${section}`));
    assert.deepEqual(titled.map(section => section.split('\n')[0] ?? '').toSorted(), [...names].toSorted());
    for (const section of titled) assert.match(section, /^1\. /m);
  });
}
