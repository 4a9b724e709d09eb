/** The bench's sink itself: see sink.ts, which starts it and speaks to it over IPC. */
import { createServer } from 'node:net';
import type { SinkAnswer, SinkRequest } from './sink.ts';
import { SinkConversation } from './sink-conversation.ts';
import { SinkLedger } from './sink-ledger.ts';

const ledger = new SinkLedger();

function answer(message: SinkAnswer): void {
  process.send?.(message);
}

function listen(address: string, chunking: boolean): void {
  const server = createServer({ noDelay: true }, socket => {
    const conversation = new SinkConversation(socket, ledger, chunking);
    socket.on('data', (chunk: Buffer) => conversation.receive(chunk));
    // A relay that is ended may reset its connections.
    socket.on('error', () => socket.destroy());
  });
  server.listen({ host: address, port: 0, backlog: 1024 }, () => {
    const bound = server.address();
    if (bound === null || typeof bound === 'string') throw new Error('no address');
    answer({ type: 'listening', port: bound.port });
  });
}

process.on('message', (request: SinkRequest) => {
  switch (request.type) {
    case 'listen':
      listen(request.address, request.chunking);
      break;
    case 'begin':
      ledger.begin(request.run, request.expected, request.deferEvery);
      ledger.looksForSignatures = request.looksForSignatures;
      answer({ type: 'begun' });
      ledger.onComplete(() => answer({ type: 'complete' }));
      break;
    case 'count':
      answer({ type: 'counted', counts: ledger.counts() });
  }
});
process.on('disconnect', () => process.exit(0));
