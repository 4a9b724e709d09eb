/** Greylisting, asked by Postfix over its policy protocol: who brings something for somebody the first time is told to come again. */
import { once } from 'node:events';
import { type AddressInfo, createServer, type Socket } from 'node:net';
import { createInterface } from 'node:readline';

export interface Greylist extends AsyncDisposable {
  /** For smtpd_recipient_restrictions. */
  readonly restriction: string;
  turnedAway(): number;
}

export async function startGreylist(waitMs: number): Promise<Greylist> {
  const firstSeenMs = new Map<string, number>();
  const connections = new Set<Socket>();
  let turnedAway = 0;

  function verdictOn(request: ReadonlyMap<string, string>): string {
    const key = ['client_address', 'sender', 'recipient'].map(name => request.get(name)).join(' ');
    const nowMs = performance.now();
    const seenMs = firstSeenMs.get(key);
    if (seenMs === undefined) firstSeenMs.set(key, nowMs);
    if (seenMs !== undefined && nowMs - seenMs >= waitMs) return 'dunno';
    turnedAway += 1;
    return '450 4.7.1 greylisted, come again';
  }

  const server = createServer(connection => {
    connections.add(connection);
    connection.on('close', () => connections.delete(connection));
    // Postfix ends them as its processes end.
    connection.on('error', () => connection.destroy());
    const request = new Map<string, string>();
    createInterface({ input: connection }).on('line', line => {
      const equals = line.indexOf('=');
      if (equals > 0) request.set(line.slice(0, equals), line.slice(equals + 1));
      if (line !== '') return;
      connection.write(`action=${verdictOn(request)}\n\n`);
      request.clear();
    });
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  return {
    restriction: `check_policy_service inet:127.0.0.1:${port}`,
    turnedAway: () => turnedAway,
    async [Symbol.asyncDispose]() {
      for (const connection of connections) connection.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}
