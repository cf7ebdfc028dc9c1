// How figures are said.

import { brotliCompressSync, gzipSync } from "node:zlib";

export const quantile = (values, part) => [...values].sort((a, b) => a - b)[Math.min(values.length - 1, Math.floor(values.length * part))];

export const of = (values) => `p50 ${quantile(values, 0.5).toFixed(0)}, p95 ${quantile(values, 0.95).toFixed(0)}, worst ${Math.max(...values).toFixed(0)} ms`;

export const say = (what, words) => console.log(`${what.padEnd(51)} ${words}`);

export const size = (files) => {
  const sum = (each) => files.reduce((total, bytes) => total + each(bytes), 0);
  const kb = (bytes) => `${(bytes / 1000).toFixed(0)} KB`;
  return `${kb(sum((bytes) => bytes.length))}, gzip ${kb(sum((bytes) => gzipSync(bytes, { level: 9 }).length))}, brotli ${kb(sum((bytes) => brotliCompressSync(bytes).length))}`;
};
