/** An nginx of the test's own: own configuration, a free loopback port, everything in a temporary directory. */

import { type ChildProcess, spawn } from 'node:child_process';
import { once } from 'node:events';
import { readFile, writeFile } from 'node:fs/promises';
import { type AddressInfo, connect, createServer } from 'node:net';
import { setTimeout as sleep } from 'node:timers/promises';
import { getPeer } from './peers.ts';
import { runChecked } from './run-command.ts';
import { makeTemporaryDirectory, type TemporaryDirectory } from './temporary-directory.ts';

export interface NginxOptions {
  /** Directory that is served as `/`. */
  root: string;
  /** HTTP/2 over TLS with a certificate made for this run; `certificateFile` is what a client has to trust. */
  http2?: boolean;
  /** HTTP/1.1 over TLS, with such a certificate. */
  tls?: boolean;
  /** Lines for the `server` block, such as `limit_rate 1m;`. */
  serverConfiguration?: string;
}

export interface NginxRequest {
  method: string;
  path: string;
  status: number;
  /** Body bytes sent. */
  sizeBytes: number;
  /** `HTTP/1.1` or `HTTP/2.0`. */
  protocol: string;
}

const START_ATTEMPTS = 5;
const START_TIMEOUT_MS = 10_000;

export class Nginx implements AsyncDisposable {
  /** Without a trailing slash. */
  readonly url: string;
  /** PEM, only with TLS. */
  readonly certificateFile: string | undefined;
  readonly #directory: TemporaryDirectory;
  readonly #process: ChildProcess;

  constructor(url: string, certificateFile: string | undefined, directory: TemporaryDirectory, process: ChildProcess) {
    this.url = url;
    this.certificateFile = certificateFile;
    this.#directory = directory;
    this.#process = process;
  }

  /** Requests that were answered so far, in order of completion. */
  async requests(): Promise<NginxRequest[]> {
    const lines = (await readFile(this.#directory.join('access.log'), 'utf8'))
      .split('\n')
      .filter((line) => line !== '');
    return lines.map((line) => {
      const [method, path, status, sizeBytes, protocol] = line.split('\t');
      return {
        method,
        path,
        status: Number(status),
        sizeBytes: Number(sizeBytes),
        protocol,
      };
    });
  }

  /** Cuts connections at once; calling it again does nothing. */
  async stop(): Promise<void> {
    if (this.#process.exitCode !== null || this.#process.signalCode !== null) return;
    const ended = once(this.#process, 'exit');
    this.#process.kill('SIGTERM'); // the fast shutdown of nginx
    await ended;
  }

  async [Symbol.asyncDispose](): Promise<void> {
    await this.stop();
    await this.#directory[Symbol.asyncDispose]();
  }
}

export async function startNginx(options: NginxOptions): Promise<Nginx> {
  const directory = await makeTemporaryDirectory();
  try {
    const certificateFile = usesTls(options) ? await makeCertificate(directory) : undefined;
    for (let attempt = 1; ; attempt++) {
      const port = await findFreePort();
      const process = await tryStart(directory, configuration(directory, port, options), port);
      if (process !== undefined)
        return new Nginx(
          `${usesTls(options) ? 'https' : 'http'}://127.0.0.1:${port}`,
          certificateFile,
          directory,
          process,
        );
      if (attempt === START_ATTEMPTS) throw new Error(`nginx: ${await readFile(directory.join('error.log'), 'utf8')}`);
    }
  } catch (error) {
    await directory[Symbol.asyncDispose]();
    throw error;
  }
}

const usesTls = ({ http2, tls }: NginxOptions): boolean => http2 === true || tls === true;

function configuration(directory: TemporaryDirectory, port: number, options: NginxOptions): string {
  const asRoot = process.getuid?.() === 0;
  return `
daemon off;
worker_processes 1;
pid ${directory.join('nginx.pid')};
error_log ${directory.join('error.log')} warn;
${asRoot ? 'user root;' : ''}
events { worker_connections 1024; }
http {
  ${['client_body', 'proxy', 'fastcgi', 'uwsgi', 'scgi'].map((kind) => `${kind}_temp_path ${directory.join(kind)};`).join('\n  ')}
  log_format tests '$request_method\\t$uri\\t$status\\t$body_bytes_sent\\t$server_protocol';
  access_log ${directory.join('access.log')} tests;
  keepalive_requests 100000;
  sendfile on;
  server {
    listen 127.0.0.1:${port}${usesTls(options) ? ' ssl' : ''}${options.http2 ? ' http2' : ''};
    ${usesTls(options) ? `ssl_certificate ${directory.join('certificate.pem')}; ssl_certificate_key ${directory.join('key.pem')};` : ''}
    root "${options.root}";
    ${options.serverConfiguration ?? ''}
  }
}
`;
}

/** Undefined when nginx ended at once, as it does when somebody else took the port first. */
async function tryStart(
  directory: TemporaryDirectory,
  config: string,
  port: number,
): Promise<ChildProcess | undefined> {
  await writeFile(directory.join('nginx.conf'), config);
  const args = ['-p', directory.path, '-c', directory.join('nginx.conf'), '-e', directory.join('error.log')];
  const child = spawn(getPeer('nginx'), args, { stdio: 'ignore' });
  const deadline = Date.now() + START_TIMEOUT_MS;
  while (child.exitCode === null && Date.now() < deadline) {
    // Its pid file is written after the port is bound: no other server can answer in its place.
    if ((await readPid(directory)) === child.pid && (await accepts(port))) return child;
    await sleep(5);
  }
  child.kill('SIGKILL');
  return undefined;
}

const readPid = async (directory: TemporaryDirectory): Promise<number> =>
  Number(await readFile(directory.join('nginx.pid'), 'utf8').catch(() => '-1'));

function accepts(port: number): Promise<boolean> {
  return new Promise((resolve) => {
    const socket = connect(port, '127.0.0.1');
    socket.once('connect', () => resolve(true)).once('error', () => resolve(false));
    socket.once('connect', () => socket.destroy());
  });
}

/** Free now; somebody else may take it before it is used. */
export async function findFreePort(): Promise<number> {
  const server = createServer().listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  server.close();
  await once(server, 'close');
  return port;
}

/** Key and certificate for 127.0.0.1 in `directory`: `key.pem` and the file returned, `certificate.pem`. */
export async function makeCertificate(directory: TemporaryDirectory): Promise<string> {
  const file = directory.join('certificate.pem');
  const key = [
    '-newkey',
    'ec',
    '-pkeyopt',
    'ec_paramgen_curve:prime256v1',
    '-nodes',
    '-keyout',
    directory.join('key.pem'),
  ];
  const subject = ['-subj', '/CN=127.0.0.1', '-addext', 'subjectAltName=IP:127.0.0.1', '-days', '2'];
  await runChecked(getPeer('openssl'), ['req', '-x509', ...key, ...subject, '-out', file]);
  return file;
}
