/** A TCP peer that says whatever it wants, whenever it wants: for next hops that are worse than a script can say. */
import { once } from 'node:events';
import { createServer, type Socket } from 'node:net';

export type Conversation = (socket: Socket) => void;

export interface RawPeer extends AsyncDisposable {
  readonly port: number;
}

export async function startRawPeer(talk: Conversation): Promise<RawPeer> {
  const sockets = new Set<Socket>();
  const server = createServer(socket => {
    sockets.add(socket);
    socket.on('close', () => sockets.delete(socket));
    socket.on('error', () => socket.destroy());
    talk(socket);
  });
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  const address = server.address();
  if (address === null || typeof address === 'string') throw new Error('no port');
  return {
    port: address.port,
    async [Symbol.asyncDispose]() {
      for (const socket of sockets) socket.destroy();
      server.close();
      await once(server, 'close');
    },
  };
}

/** Greets, then answers each line; undefined is silence. */
export function answering(socket: Socket, answer: (line: string) => string | undefined): void {
  let input = '';
  socket.write('220 mx.dest.test\r\n');
  socket.on('data', chunk => {
    input += chunk.toString('latin1');
    for (let end = input.indexOf('\r\n'); end >= 0; end = input.indexOf('\r\n')) {
      const line = input.slice(0, end);
      input = input.slice(end + 2);
      const said = answer(line);
      if (said !== undefined && socket.writable) socket.write(said);
    }
  });
}
