/** A content that tells whether it is whole and whose it is. */
export function crashContent(id: string, sizeBytes: number): Buffer {
  return Buffer.alloc(sizeBytes, `${id} `);
}
