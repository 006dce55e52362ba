import { readFile, truncate } from 'node:fs/promises';
import { getCACertificates, setDefaultCACertificates } from 'node:tls';
import { afterAll, beforeAll, expect, test } from 'vitest';
import type { Checksum } from '../../src/formats/ids.ts';
import { openSource } from '../../src/sources/open-source.ts';
import { describeSource } from '../contract/source-contract.ts';
import { type Nginx, startNginx } from '../support/nginx.ts';
import { describeWithPeers } from '../support/peers.ts';
import { makeTemporaryDirectory } from '../support/temporary-directory.ts';
import { readVectorFacts, unpackVectorRepository, vectorRepository } from '../support/vector-repositories.ts';

const files = (): Checksum[] =>
  readVectorFacts()
    .commits['main-3'].objects.filter(({ type }) => type === 'file')
    .map(({ checksum }) => checksum);

describeWithPeers('nginx, HTTP/1.1', ['nginx'], () => {
  let nginx: Nginx;
  beforeAll(async () => {
    nginx = await startNginx({ root: await vectorRepository('archive') });
  });
  afterAll(() => nginx[Symbol.asyncDispose]());
  describeSource('archive', { open: () => openSource(nginx.url), mode: 'archive', canList: false });

  test('every object is asked for once', async () => {
    const before = (await nginx.requests()).length;
    await using source = await openSource(nginx.url);
    await Promise.all(files().map((checksum) => source.openFile(checksum)));
    await expect
      .poll(async () =>
        (await nginx.requests())
          .slice(before)
          .map(({ path }) => path)
          .sort(),
      )
      .toEqual(['/config', ...files().map((c) => `/objects/${c.slice(0, 2)}/${c.slice(2)}.filez`)].sort());
  });
});

describeWithPeers('nginx, connections that end after a few requests', ['nginx'], () => {
  let nginx: Nginx;
  beforeAll(async () => {
    const serverConfiguration = 'keepalive_requests 5; gzip on; gzip_types *;';
    nginx = await startNginx({ root: await vectorRepository('archive'), serverConfiguration });
  });
  afterAll(() => nginx[Symbol.asyncDispose]());
  describeSource('archive', { open: () => openSource(nginx.url), mode: 'archive', canList: false });
});

describeWithPeers('nginx, HTTP/2', ['nginx', 'openssl'], () => {
  const trusted = getCACertificates('default');
  let nginx: Nginx;
  beforeAll(async () => {
    nginx = await startNginx({ root: await vectorRepository('archive'), http2: true });
    setDefaultCACertificates([...trusted, await readFile(nginx.certificateFile ?? '', 'utf8')]);
  });
  afterAll(async () => {
    setDefaultCACertificates(trusted);
    await nginx[Symbol.asyncDispose]();
  });
  describeSource('archive', { open: () => openSource(nginx.url), mode: 'archive', canList: false });

  test('really is HTTP/2', async () => {
    expect(new Set((await nginx.requests()).map(({ protocol }) => protocol))).toEqual(new Set(['HTTP/2.0']));
  });
});

describeWithPeers('nginx that goes away', ['nginx'], () => {
  test('in the middle of a large file: an error, soon', async () => {
    await using directory = await makeTemporaryDirectory();
    await unpackVectorRepository('archive', directory.path);
    const [checksum] = files();
    await truncate(directory.join('objects', checksum.slice(0, 2), `${checksum.slice(2)}.filez`), 64 << 20);
    await using nginx = await startNginx({ root: directory.path, serverConfiguration: 'limit_rate 4m;' });
    await using source = await openSource(nginx.url, { retries: 2, retryDelayMs: 1 });
    const body = await source.openFile(checksum);
    if (body.form !== 'archive-chunks') throw new Error('expected chunks');
    const chunks = body.chunks[Symbol.asyncIterator]();
    await chunks.next();
    await nginx.stop();
    const rest = (async () => {
      while (!(await chunks.next()).done);
    })();
    await expect(rest).rejects.toMatchObject({ code: 'CFS_SOURCE', exitCode: 6 });
    await expect(source.fetchMetadata(checksum, 'dirtree')).rejects.toMatchObject({ code: 'CFS_SOURCE' });
  });
});
