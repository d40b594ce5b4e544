/** What the kernel says of a process's memory. */
import { readFileSync } from 'node:fs';

/** @returns bytes; undefined where the process is gone, or the kernel has no `/proc` as Linux */
export function residentBytes(pid: number | undefined): number | undefined {
  try {
    const kilobytes = /^VmRSS:\s+(\d+) kB$/m.exec(readFileSync(`/proc/${pid}/status`, 'utf8'))?.[1];
    return kilobytes === undefined ? undefined : Number(kilobytes) * 1024;
  } catch {
    return undefined; // no such file
  }
}
