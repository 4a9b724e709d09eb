/** Writes what of the chart comes from code: definitions, alerts, dashboard, the table of values. `node charts/generate.ts [ROOT]` */
import { mkdirSync, readFileSync, writeFileSync } from 'node:fs';
import { dirname, join } from 'node:path';
import { stringify } from 'yaml';
import { kinds } from '../crds/kinds.ts';
import { customResourceDefinition } from '../crds/open-api.ts';
import { operatorAlerts } from '../operator/alerts.ts';
import { dashboard } from './dashboard.ts';
import { chartValues, withValuesTable } from './values-table.ts';

const chart = 'charts/postroad';
const head = '# Made by `npm run generate`.\n';
const yamlOptions = { aliasDuplicateObjects: false, lineWidth: 120 } as const;

/** Text by path from the root. The README's own words are read from `root`. */
export function generatedChartFiles(root: string): ReadonlyMap<string, string> {
  const read = (path: string): string => readFileSync(join(root, chart, path), 'utf8');
  return new Map([
    ...kinds.map(
      kind => [`${chart}/templates/crds/${kind.plural}.yaml`, crdTemplate(customResourceDefinition(kind))] as const,
    ),
    [`${chart}/files/operator-alerts.yaml`, head + stringify(alertRules(), { ...yamlOptions, lineWidth: 0 })],
    [`${chart}/files/dashboard.json`, `${JSON.stringify(dashboard(), null, 2)}\n`],
    [`${chart}/README.md`, withValuesTable(read('README.md'), chartValues(read('values.yaml')))],
  ]);
}

/** crds/*.yaml with Helm's own labels, and asked for by `crds.enabled`. */
function crdTemplate(definition: object): string {
  const { metadata, ...rest } = definition as { metadata: { name: string } };
  // What the schema says in double braces is not for Helm to read.
  const text = (value: unknown): string => stringify(value, yamlOptions).replaceAll('{{', '{{ "{{" }}');
  const { apiVersion, kind, ...content } = rest as { apiVersion: string; kind: string };
  return `${head}{{- if .Values.crds.enabled }}
${text({ apiVersion, kind })}metadata:
  name: ${metadata.name}
  labels:
    {{- include "postroad.crdLabels" . | nindent 4 }}
  {{- if .Values.crds.keep }}
  annotations:
    helm.sh/resource-policy: keep
  {{- end }}
${text(content)}{{- end }}
`;
}

/** `$pods`, `$namespace` and `$runbooks` are filled in by the template. */
function alertRules(): unknown {
  return operatorAlerts.map(({ name, expression, severity, summary, for: pending }) => ({
    alert: name,
    expr: expression,
    for: pending,
    labels: { severity, namespace: '$namespace' },
    annotations: { summary: `Postroad operator: ${summary}`, runbook_url: `$runbooks#${name.toLowerCase()}` },
  }));
}

if (import.meta.main) {
  const root = process.argv[2] ?? join(import.meta.dirname, '..');
  for (const [path, text] of generatedChartFiles(root)) {
    mkdirSync(dirname(join(root, path)), { recursive: true });
    writeFileSync(join(root, path), text);
  }
}
