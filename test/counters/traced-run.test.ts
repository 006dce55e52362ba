import { expect, test } from 'vitest';
import { countCalls, totalCalls } from './traced-run.ts';

const LOG = `10 openat(AT_FDCWD</work>, "x"..., O_RDONLY) = 7</dir/x>
10 read(7</dir/x>, ""..., 100) = 60
11 write(8</dir/y>, ""..., 100 <unfinished ...>
10 read(9<socket:[5]>, ""..., 100) = 5
11 <... write resumed>) = 100
10 write(12<anon_inode:[eventfd]>, ""..., 8) = 8
10 read(7</dir/x>, ""..., 100) = -1 EAGAIN (Resource temporarily unavailable)
10 pwrite64(8</dir/y>, ""..., 50, 0) = 50
11 futex(0x7f, FUTEX_WAIT_PRIVATE, 2, NULL <unfinished ...>
11 <... futex resumed>) = 0
10 mkdir("/dir/z", 0755) = -1 EEXIST (File exists)
10 exit_group(0) = ?
10 +++ exited with 0 +++`;

test('calls are counted once, bytes by where they come from and go to', () => {
  const traced = countCalls(LOG, '/dir/');
  expect(Object.fromEntries(traced.calls)).toEqual({
    ...{ openat: 1, read: 3, write: 1, write_eventfd: 1, pwrite64: 1, futex: 1, mkdir: 1, exit_group: 1 },
  });
  expect(traced).toMatchObject({ readBytes: 60, otherReadBytes: 5, writtenBytes: 150 });
  expect(totalCalls(traced)).toBe(8);
});
