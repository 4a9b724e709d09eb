/** What Alertmanager says fires, looked at again and again; and causes that are made, watched and mended. */
import { setTimeout as delay } from 'node:timers/promises';
import { waitUntil } from '../../support/wait-until.ts';
import type { Alertmanager } from './api.ts';

export interface Cause {
  /** What a table calls it. */
  readonly name: string;
  /** Alerts that it makes fire: `ALERT` or `ALERT of KIND` of the operator, `ALERT of RELAY` of a relay. */
  readonly fires: readonly string[];
  begin(): Promise<void>;
  /** Done again and again until all of them fire: for what lasts only while somebody does it. */
  goOn?(): Promise<void>;
  mend(): Promise<void>;
}

export interface Row {
  readonly alert: string;
  readonly cause: string;
  /** From the beginning of the cause to Alertmanager. */
  readonly firedAfterSeconds: number;
  /** From the end of the cause until it no longer fires there. */
  readonly resolvedAfterSeconds: number;
}

/** Those that do not meet. */
export function together(...causes: readonly Cause[]): Cause {
  return {
    name: causes.map(({ name }) => name).join('; '),
    fires: causes.flatMap(({ fires }) => fires),
    begin: async () => void (await Promise.all(causes.map(each => each.begin()))),
    goOn: async () => void (await Promise.all(causes.map(each => each.goOn?.()))),
    mend: async () => void (await Promise.all(causes.map(each => each.mend()))),
  };
}

const lookEveryMs = 250;
/** Also for a cause that has to wait until the operator, which another has stopped, is there again; kubelet starts a container that ends at once a fourth time after more than a minute. */
const fireLimitMs = 240_000;
const resolveLimitMs = 300_000;

export class AlertWatch implements AsyncDisposable {
  readonly rows: Row[] = [];
  readonly #alertmanager: Alertmanager;
  readonly #ending = new AbortController();
  readonly #looking: Promise<void>;
  readonly #resolutions: Promise<void>[] = [];
  readonly #failures: unknown[] = [];
  readonly #say: (line: string) => void;
  #firing: ReadonlySet<string> = new Set();
  /** The last time of each, as `performance.now()`: a look while a cause is at work may come too late. */
  readonly #firingSince = new Map<string, number>();
  #hasLooked = false;

  constructor(alertmanager: Alertmanager, say: (line: string) => void) {
    this.#say = say;
    this.#alertmanager = alertmanager;
    this.#looking = this.#look();
  }

  /** Whether Alertmanager has answered yet. */
  get hasLooked(): boolean {
    return this.#hasLooked;
  }

  get firing(): ReadonlySet<string> {
    return this.#firing;
  }

  /** One after the other; one in vain does not keep the others from being made. That alerts resolve is waited for meanwhile: see `settled`. */
  async make(causes: readonly Cause[]): Promise<void> {
    for (const cause of causes) {
      try {
        await this.#make(cause);
      } catch (error) {
        this.#say(`${cause.name}: in vain: ${String(error)}`);
        this.#failures.push(error);
      }
    }
  }

  /** Resolves when everything that fired has resolved. Returns what went wrong. */
  async settled(): Promise<readonly unknown[]> {
    const results = await Promise.allSettled(this.#resolutions);
    return [...this.#failures, ...results.flatMap(each => (each.status === 'rejected' ? [each.reason] : []))];
  }

  async #make(cause: Cause): Promise<void> {
    // By a cause before, on its way to nothing.
    await waitUntil(
      `${cause.fires.join(', ')} to be quiet`,
      () => !cause.fires.some(alert => this.#firing.has(alert)),
      {
        limitMs: resolveLimitMs,
        everyMs: lookEveryMs,
      },
    );
    const began = performance.now();
    const fired = await this.#bringAbout(cause, began);
    const mended = performance.now();
    for (const [alert, at] of fired) {
      this.#resolutions.push(
        this.#resolve({ alert, cause: cause.name, firedAfterSeconds: (at - began) / 1000 }, mended),
      );
    }
  }

  /** And mends it, also when it was in vain: what comes after it must find all well. When each alert fired, as `performance.now()`. */
  async #bringAbout(cause: Cause, began: number): Promise<ReadonlyMap<string, number>> {
    await using _mending = { [Symbol.asyncDispose]: () => cause.mend() };
    const fired = new Map<string, number>();
    await cause.begin();
    await waitUntil(
      `alerts by ${cause.name}: ${cause.fires.join(', ')}`,
      async () => {
        for (const alert of cause.fires)
          if (!fired.has(alert) && (this.#firingSince.get(alert) ?? 0) >= began)
            fired.set(alert, this.#firingSince.get(alert) ?? 0);
        if (fired.size === cause.fires.length) return true;
        await cause.goOn?.();
        return false;
      },
      { limitMs: fireLimitMs, everyMs: lookEveryMs },
    );
    this.#say(`${cause.name}: ${[...fired.keys()].join(', ')}`);
    return fired;
  }

  async #resolve(row: Omit<Row, 'resolvedAfterSeconds'>, mended: number): Promise<void> {
    await waitUntil(`${row.alert} to resolve`, () => !this.#firing.has(row.alert), {
      limitMs: resolveLimitMs,
      everyMs: lookEveryMs,
    });
    this.rows.push({ ...row, resolvedAfterSeconds: (performance.now() - mended) / 1000 });
  }

  async #look(): Promise<void> {
    const { signal } = this.#ending;
    while (!signal.aborted) {
      const active = await this.#alertmanager.active();
      const firing = new Set(active.flatMap(namesOf));
      for (const alert of firing.difference(this.#firing)) this.#firingSince.set(alert, performance.now());
      this.#firing = firing;
      this.#hasLooked = true;
      // It rejects when the watch ends, and so does the loop.
      await delay(lookEveryMs, undefined, { signal }).catch(() => undefined);
    }
  }

  async [Symbol.asyncDispose](): Promise<void> {
    this.#ending.abort();
    await this.#looking;
  }
}

/** As causes name them. */
function namesOf({ alertname = '', relay, kind }: Readonly<Record<string, string>>): readonly string[] {
  return [alertname, ...[relay, kind].flatMap(of => (of === undefined ? [] : [`${alertname} of ${of}`]))];
}
