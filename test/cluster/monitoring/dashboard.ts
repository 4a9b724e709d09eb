/** The dashboard as Grafana reads it: its queries, with the variables at the top of the page filled in. */
import type { Prometheus, Sample } from './api.ts';

interface Dashboard {
  readonly panels: readonly { readonly title: string; readonly targets?: readonly { readonly expr: string }[] }[];
  readonly templating: {
    readonly list: readonly {
      readonly name: string;
      readonly type: string;
      readonly query: string;
      readonly regex?: string;
    }[];
  };
}

export interface DashboardQuery {
  readonly panel: string;
  readonly expression: string;
}

/** Variables with the choice "All". */
export async function dashboardQueries(text: string, prometheus: Prometheus): Promise<readonly DashboardQuery[]> {
  const { panels, templating } = JSON.parse(text) as Dashboard;
  const chosen: [string, string][] = [];
  const fill = (expression: string): string =>
    chosen.reduce((filled, [name, value]) => filled.replaceAll(`$${name}`, value), expression);
  for (const { name, type, query, regex = '' } of templating.list) {
    if (type !== 'query') continue;
    const [, match = '', label = ''] = /^label_values\((.*), (\w+)\)$/.exec(query) ?? [];
    const values = await prometheus.labelValues(label, fill(match));
    const pattern = new RegExp(regex.slice(1, -1));
    const shown = values.flatMap(value => (regex === '' ? [value] : (pattern.exec(value)?.groups?.['value'] ?? [])));
    chosen.push([name, `(${[...new Set(shown)].join('|')})`]);
  }
  return panels.flatMap(({ title, targets = [] }) =>
    targets.map(({ expr }) => ({ panel: title, expression: fill(expr) })),
  );
}

/** Something to draw. */
export function hasData(samples: readonly Sample[]): boolean {
  return samples.some(({ value }) => value !== 'NaN');
}
