/** A policy's keys beside a DNS and pods that a test moves. */
import type { DkimAlgorithm } from '../../../operator/domainpolicy/dkim-key.ts';
import { domainsIn, type KeyRing, type RingKey } from '../../../operator/domainpolicy/key-ring.ts';
import {
  freshKey,
  type KeySight,
  type Rotation,
  type RotationInput,
  rotate,
} from '../../../operator/domainpolicy/rotation.ts';

export const dayMs = 86_400_000;

export type Settings = Omit<RotationInput, 'ring' | 'sight' | 'nowMs'>;
export type Record = ReturnType<KeySight['record']>;

export const settings: Settings = {
  domains: ['shop.example'],
  algorithms: ['RSA2048', 'Ed25519'],
  request: undefined,
  rotationPeriodMs: 90 * dayMs,
  overlapMs: 7 * dayMs,
  checks: 'Enabled',
  messageLifetimeMs: 5 * dayMs,
};

/** Keys are stored, and known by their order of making: `r1`, `e2`. */
export class RingWorld {
  nowMs = Date.UTC(2026, 0, 1);
  ring: KeyRing = [];
  settings: Settings;
  loaded = new Set<string>();
  signing = new Set<string>();
  events: string[] = [];
  /** By selector and domain: what DNS says now. */
  readonly #records = new Map<string, Record>();
  /** What the last look that was definite said. */
  readonly #definite = new Map<string, Record>();
  #made = 0;

  constructor(changes: Partial<Settings> = {}) {
    this.settings = { ...settings, ...changes };
  }

  record(selector: string, domain: string): Record {
    return this.#records.get(`${selector} ${domain}`) ?? 'Unknown';
  }

  lastDefinite(selector: string, domain: string): Record | undefined {
    return this.#definite.get(`${selector} ${domain}`);
  }

  /** Without a domain: at all of them. */
  say(selector: string, record: Record, domain?: string): void {
    for (const one of domain === undefined ? this.settings.domains : [domain])
      this.#records.set(`${selector} ${one}`, record);
  }

  publishAll(): void {
    for (const { selector } of this.ring) this.say(selector, 'Yes');
  }

  pass(): Rotation {
    const rotation = rotate({ ...this.settings, ring: this.ring, sight: this.#look(), nowMs: this.nowMs });
    const minted = rotation.mint.map(algorithm => this.#mint(algorithm));
    this.ring = [...rotation.ring, ...minted];
    this.events.push(...rotation.events.map(({ reason, selector }) => `${selector} ${reason}`));
    return rotation;
  }

  #look(): RotationInput['sight'] {
    for (const [place, record] of this.#records) if (record !== 'Unknown') this.#definite.set(place, record);
    return selector => ({
      record: domain => this.record(selector, domain),
      loaded: this.loaded.has(selector),
      signing: this.signing.has(selector),
    });
  }

  #mint(algorithm: DkimAlgorithm): RingKey {
    const selector = `${algorithm === 'RSA2048' ? 'r' : 'e'}${++this.#made}`;
    const key = { selector, algorithm, privateKeyPem: '', recordValue: '' };
    return freshKey(key, { ...this.settings, nowMs: this.nowMs });
  }

  /** The pods follow: they run what the ring asks for. */
  roll(): void {
    const of = (...states: readonly string[]): Set<string> =>
      new Set(this.ring.filter(({ state }) => states.includes(state)).map(({ selector }) => selector));
    this.loaded = of('Published', 'Active', 'Retiring');
    this.signing = of('Active');
  }

  /** Until nothing changes any more: the owner publishes what is asked for, and the pods follow. */
  settle(): void {
    for (let turn = 0; turn < 6; turn++) {
      this.publishAll();
      this.pass();
      this.roll();
    }
  }

  get states(): string {
    return this.ring.map(({ selector, state }) => `${selector} ${state}`).join(', ');
  }

  /** `r1@shop.example`: which key signs for which domain. */
  get signed(): string[] {
    return this.ring.flatMap(key => domainsIn(key, 'Signs').map(domain => `${key.selector}@${domain}`));
  }
}
