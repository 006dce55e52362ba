/** The peers themselves: that they start, see our files, and leave nothing behind. */

import { readFile, writeFile } from 'node:fs/promises';
import { connect as connectHttp2 } from 'node:http2';
import { expect, test } from 'vitest';
import { runCfsctl } from '../support/cfsctl.ts';
import { HOST_ROOT, runComposefsInfo, runFlatpak, runInChroot, runMkcomposefs, runOstree } from '../support/chroot.ts';
import { startNginx } from '../support/nginx.ts';
import { CHROOT_DIRECTORY, describeWithPeers } from '../support/peers.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';

describeWithPeers('the chroot', ['ostree', 'mkcomposefs', 'composefs-info', 'flatpak'], () => {
  test('ostree is a current one', async () => {
    const { stdout } = await runOstree(['--version']);
    const [, year, release] = /Version: '(\d+)\.(\d+)'/.exec(stdout) ?? [];
    expect(Number(year) * 100 + Number(release)).toBeGreaterThanOrEqual(202604);
  });

  test.each(['disk', 'memory'] as const)('sees temporary directories on %s at the same path', async (place) => {
    await using directory = await makeTemporaryDirectory(place);
    await runOstree(['init', `--repo=${directory.join('repo')}`, '--mode=archive']);
    expect(await readFile(directory.join('repo', 'config'), 'utf8')).toContain('mode=archive-z2');
  });

  test('sees the machine below HOST_ROOT', async () => {
    await using directory = await makeTemporaryDirectory();
    const repo = directory.join('repo');
    await runOstree(['init', `--repo=${repo}`, '--mode=archive']);
    const tree = `--tree=dir=${HOST_ROOT}/usr/share/keyrings`;
    const { stdout } = await runOstree(['commit', `--repo=${repo}`, '-b', 'main', tree]);
    expect(stdout).toMatch(/^[0-9a-f]{64}\n$/);
  });

  test('failures come through', async () => {
    expect(await runInChroot('ostree', ['refs', '--repo=/nowhere'])).toMatchObject({ exitCode: 1 });
    await expect(runOstree(['refs', '--repo=/nowhere'])).rejects.toThrow('/nowhere');
  });

  test('composefs tools and flatpak start', async () => {
    await using directory = await makeTemporaryDirectory();
    await writeFile(directory.join('dump'), '/ 0 40755 1 0 0 0 0.0 - - -\n');
    await runMkcomposefs(['--from-file', directory.join('dump'), directory.join('image')]);
    expect((await runComposefsInfo(['dump', directory.join('image')])).stdout).toMatch(/^\/ \d+ 40755 /);
    expect((await runFlatpak(['--version'])).stdout).toMatch(/^Flatpak 1\./);
  });

  test('nothing stays mounted', async () => {
    await runOstree(['--version']);
    expect(await readFile('/proc/self/mountinfo', 'utf8')).not.toContain(CHROOT_DIRECTORY);
  });
});

describeWithPeers('nginx', ['nginx', 'openssl'], () => {
  test('serves a directory, and says what was asked', async () => {
    await using directory = await makeTemporaryDirectory();
    await writeFile(directory.join('hello'), 'world');
    await using server = await startNginx({ root: directory.path });
    expect(await (await fetch(`${server.url}/hello`)).text()).toBe('world');
    expect((await fetch(`${server.url}/absent`)).status).toBe(404);
    expect(await server.requests()).toMatchObject([
      {
        method: 'GET',
        path: '/hello',
        status: 200,
        sizeBytes: 5,
        protocol: 'HTTP/1.1',
      },
      { path: '/absent', status: 404 },
    ]);
    await server.stop();
    await expect(fetch(`${server.url}/hello`)).rejects.toThrow();
  });

  test('speaks HTTP/2', async () => {
    await using directory = await makeTemporaryDirectory();
    await writeFile(directory.join('hello'), 'world');
    await using server = await startNginx({
      root: directory.path,
      http2: true,
    });
    const ca = await readFile(server.certificateFile ?? '');
    const session = connectHttp2(server.url, { ca });
    const request = session.request({ ':path': '/hello' });
    let body = '';
    for await (const chunk of request) body += chunk;
    session.close();
    expect(body).toBe('world');
    expect(await server.requests()).toMatchObject([{ protocol: 'HTTP/2.0', status: 200 }]);
  });
});

describeWithPeers('cfsctl', ['cfsctl'], () => {
  test('is the release that we compare with', async () => {
    expect((await runCfsctl(['--version'])).stdout).toContain('0.9.4');
  });
});
