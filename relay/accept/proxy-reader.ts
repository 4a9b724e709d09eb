import type { Socket } from 'node:net';
import { type ProxyHeader, parseProxyHeader } from './proxy.ts';

/**
 * Reads the header from the front of a connection and leaves the rest unread. Calls back once; after an error the socket is
 * destroyed, since nothing can be said to a peer that does not speak as agreed.
 */
export function readProxyHeader(socket: Socket, done: (error: Error | null, header?: ProxyHeader) => void): void {
  let bytes: Buffer = Buffer.alloc(0);

  function settle(error: Error | null, header?: ProxyHeader): void {
    socket.off('readable', read).off('end', onEnd).off('close', onEnd);
    if (error === null) socket.off('error', settle);
    else socket.destroy();
    done(error, header);
  }

  function onEnd(): void {
    settle(new Error('connection ended before its PROXY header'));
  }

  function read(): void {
    let header: ProxyHeader | 'Incomplete' | 'Invalid' = 'Incomplete';
    for (let chunk: unknown = socket.read(); chunk instanceof Buffer; chunk = socket.read()) {
      bytes = Buffer.concat([bytes, chunk]);
      header = parseProxyHeader(bytes);
      if (header !== 'Incomplete') break;
    }
    if (header === 'Invalid') settle(new Error('PROXY header is missing or malformed'));
    else if (header !== 'Incomplete') found(header);
  }

  function found(header: ProxyHeader): void {
    if (bytes.length > header.length) socket.unshift(bytes.subarray(header.length));
    settle(null, header);
  }

  socket.on('readable', read).on('end', onEnd).on('close', onEnd).on('error', settle);
}
