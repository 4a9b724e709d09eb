/** Kills a relay at random instants of a load and starts it again, sometimes killing it while it starts. */
import { setTimeout as delay } from 'node:timers/promises';
import type { RelayProcess } from '../support/relay-process.ts';
import type { Kill } from './verdict.ts';

export interface KillerOptions {
  readonly relay: RelayProcess;
  readonly kills: number;
  readonly random: () => number;
  /** Of 1: how far the load is. Kills are spread over it. */
  readonly progress: () => number;
  /** Messages acknowledged so far. */
  readonly accepted: () => number;
  /** Nothing more is sent. */
  readonly isOver: () => boolean;
}

export interface KillerReport {
  readonly kills: readonly Kill[];
  readonly slowestStartMs: number;
}

const duringStartShare = 0.1;
const longestStartMs = 400;
const longestLatenessMs = 60;
/** Between a start and the next kill, for the run to show something on a machine that is too busy to start a relay in a second. */
const leastBetweenKills = 100;
const longestWaitMs = 20_000;

export async function killRepeatedly(options: KillerOptions): Promise<KillerReport> {
  const { relay, kills, random, progress, accepted, isOver } = options;
  const instants = Array.from({ length: kills }, random).sort((a, b) => a - b);
  const done: Kill[] = [];
  let slowestStartMs = 0;

  async function killNow(): Promise<void> {
    const fromMs = Date.now();
    await relay.kill();
    done.push({ fromMs, toMs: Date.now() });
  }

  /** Starts it and kills it before or just after it is ready. */
  async function killWhileStarting(): Promise<void> {
    const starting = relay.start().then(
      () => 'ready',
      () => 'killed',
    );
    await delay(random() * longestStartMs);
    await killNow();
    // On a busy machine its process may not have been there yet.
    if ((await starting) === 'ready' && relay.running) await killNow();
  }

  async function served(): Promise<void> {
    const enough = accepted() + leastBetweenKills;
    const deadline = performance.now() + longestWaitMs;
    while (accepted() < enough && !isOver() && performance.now() < deadline) await delay(5);
  }

  for (const instant of instants) {
    while (progress() < instant) await delay(5);
    // Not at the moment a poll found: anywhere between messages, commits and settlements.
    await delay(random() * longestLatenessMs);
    await killNow();
    if (done.length < kills && random() < duringStartShare) await killWhileStarting();
    if (done.length >= kills) break;
    await relay.start();
    slowestStartMs = Math.max(slowestStartMs, relay.readyMs);
    await served();
  }
  if (!relay.running) await relay.start();
  return { kills: done, slowestStartMs: Math.max(slowestStartMs, relay.readyMs) };
}
