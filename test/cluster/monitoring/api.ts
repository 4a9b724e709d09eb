/** Prometheus and Alertmanager by their HTTP interfaces. */

export interface Sample {
  readonly metric: Readonly<Record<string, string>>;
  /** As Prometheus writes it, such as `NaN`. */
  readonly value: string;
}

export interface Target {
  readonly labels: Readonly<Record<string, string>>;
  readonly health: string;
  readonly scrapeInterval: string;
}

export interface LoadedRule {
  readonly name: string;
  readonly query: string;
  readonly health: string;
  readonly lastError?: string;
}

export interface Prometheus {
  /** What an expression is now. @throws Error when Prometheus refuses it */
  query(expression: string): Promise<readonly Sample[]>;
  /** Values of a label among the series of a metric or matcher. */
  labelValues(label: string, match: string): Promise<readonly string[]>;
  targets(): Promise<readonly Target[]>;
  rules(): Promise<readonly LoadedRule[]>;
}

export interface Alertmanager {
  /** Labels of those that fire now. */
  active(): Promise<readonly Readonly<Record<string, string>>[]>;
}

const limitMs = 20_000;

export function prometheusAt(address: string): Prometheus {
  const ask = async <T>(path: string, parameters: Readonly<Record<string, string>> = {}): Promise<T> => {
    const url = `http://${address}/api/v1/${path}?${new URLSearchParams(parameters)}`;
    const { data } = (await answerOf(url)) as { readonly data: T };
    return data;
  };
  return {
    async query(expression) {
      const { result } = await ask<{ result: { metric: Sample['metric']; value: [number, string] }[] }>('query', {
        query: expression,
      });
      return result.map(({ metric, value: [, value] }) => ({ metric, value }));
    },
    labelValues: (label, match) => ask(`label/${label}/values`, { 'match[]': match }),
    targets: async () => (await ask<{ activeTargets: Target[] }>('targets', { state: 'active' })).activeTargets,
    rules: async () => (await ask<{ groups: { rules: LoadedRule[] }[] }>('rules')).groups.flatMap(({ rules }) => rules),
  };
}

export function alertmanagerAt(address: string): Alertmanager {
  return {
    async active() {
      const alerts = await answerOf(`http://${address}/api/v2/alerts?active=true`);
      return (alerts as { readonly labels: Readonly<Record<string, string>> }[]).map(({ labels }) => labels);
    },
  };
}

async function answerOf(url: string): Promise<unknown> {
  const answer = await fetch(url, { signal: AbortSignal.timeout(limitMs) });
  const text = await answer.text();
  if (!answer.ok) throw new Error(`${url}: ${answer.status} ${text}`);
  return JSON.parse(text);
}
