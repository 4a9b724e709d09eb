/** One relay process, kept true to a folder of manifests. */
import type { Clock } from '../../relay/clock.ts';
import { type Applied, createController, RefusedError } from './controller.ts';
import type { Options } from './options.ts';
import { type Ready, type RelayProcess, startRelayProcess } from './relay-process.ts';
import { policyLines, servedLines } from './report.ts';
import { fingerprint, watchFolder } from './watch.ts';

export interface ServeOptions extends Options {
  /** The relay's main program. */
  readonly program: string;
  readonly clock: Clock;
  readonly output: NodeJS.WritableStream;
  /** A paragraph for people. */
  readonly say: (lines: readonly string[]) => void;
}

export interface Service {
  /** Asks the relay to stop; asked again, it is killed. */
  stop(): void;
  /** The exit code, once all is over. */
  readonly done: Promise<number>;
}

/** A relay that takes longer to be ready, for a large queue is checked first, is still waited for, but not for ever. */
const readyTimeoutMs = 300_000;
/** In a run of months certificates become due, too. */
const recheckMs = 12 * 3_600_000;
/** After a failure that is not the manifests' own, such as a full disk. */
const retryMs = 30_000;

/** @throws RefusedError when the manifests cannot be served. */
export async function serve(options: ServeOptions): Promise<Service> {
  const { clock, say } = options;
  const controller = await createController(options, clock);
  const seen = await fingerprint(options.manifests);
  const applied = await controller.apply();
  const stopping = new AbortController();
  const relay = startRelayProcess({
    program: options.program,
    configFile: controller.configFile,
    dataDir: options.dataDir,
    output: options.output,
    onRevision: revision => void note(revision),
  });

  async function note(revision: string | undefined): Promise<void> {
    try {
      await controller.noteRevision(revision);
    } catch (error) {
      say([`the status could not be written: ${messageOf(error)}`]);
    }
  }

  let refused = false;

  async function onChange(): Promise<number> {
    try {
      const next = await controller.apply();
      if (next.changed) say(['The manifests changed; the relay takes this up:', ...describe(next)]);
      else if (refused) say(['The manifests can be served again, and ask for what the relay runs already.']);
      refused = false;
      return recheckMs;
    } catch (error) {
      refused = true;
      const faults = error instanceof RefusedError ? error.faults : [messageOf(error)];
      say(['The manifests changed, and cannot be served; what was served before stays:', ...indent(faults)]);
      return error instanceof RefusedError ? recheckMs : retryMs;
    }
  }

  async function run(): Promise<number> {
    say(describe(applied));
    const ready = await untilReady(relay, say);
    if (ready !== undefined) {
      await note(applied.plan.configuration?.config.revision);
      say(servedLines(applied.plan, ready, applied.authorityFile));
    }
    const { manifests: folder } = options;
    const watching = watchFolder({ folder, clock, signal: stopping.signal, seen, onChange, firstRecheckMs: recheckMs });
    // Should watching fail, the relay is stopped below: it must not live on with nobody to configure it.
    const { code, cause } = await Promise.race([relay.ended, watching.then(() => relay.ended)]);
    const asked = stopping.signal.aborted;
    stopping.abort();
    await watching;
    await note(undefined);
    if (asked) return code;
    say([`${cause}, unasked: stopping, so that whatever supervises this process can start it again`]);
    return code === 0 ? 1 : code;
  }

  async function runThenStop(): Promise<number> {
    try {
      return await run();
    } catch (error) {
      stopping.abort();
      relay.stop();
      await relay.ended;
      throw error;
    }
  }

  return {
    stop() {
      stopping.abort();
      relay.stop();
    },
    done: runThenStop(),
  };
}

function describe({ plan, warnings }: Applied): string[] {
  return [...warnings, ...policyLines(plan)];
}

async function untilReady(relay: RelayProcess, say: ServeOptions['say']): Promise<Ready | undefined> {
  const timer = setTimeout(() => {
    say([`the relay was not ready after ${readyTimeoutMs / 1000} s`]);
    relay.stop();
  }, readyTimeoutMs);
  const ready = await relay.ready;
  clearTimeout(timer);
  return ready;
}

export function indent(lines: readonly string[]): string[] {
  return lines.map(line => `  ${line}`);
}

export function messageOf(error: unknown): string {
  return error instanceof Error ? error.message : String(error);
}
