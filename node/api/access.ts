/**
 * Who may call what. A node on loopback has one more enemy than the network: the pages in its user's browser. They
 * can send requests to 127.0.0.1 (cross-site posts), and read the answers when their own name is made to resolve
 * there (DNS rebinding). So a loopback node serves loopback host names only, and nothing that changes state is done
 * for another origin.
 */
import { createHash, timingSafeEqual } from 'node:crypto';
import { isIPv4 } from 'node:net';
import type { FastifyRequest } from 'fastify';
import { Problem } from './problem.ts';

/** Is `host`, as given to listen(), reachable from this machine only? */
export function isLoopbackHost(host: string): boolean {
  const name = host.toLowerCase().replace(/^\[|\]$/g, '');
  return name === 'localhost' || name === '::1' || (isIPv4(name) && name.startsWith('127.'));
}

/** The host part of a Host header, without the port. */
function hostName(header: string): string {
  const bracket = header.indexOf(']');
  if (header.startsWith('[') && bracket !== -1) return header.slice(0, bracket + 1);
  const colon = header.indexOf(':');
  return colon === -1 ? header : header.slice(0, colon);
}

export interface AccessRules {
  /** The address the server listens on. */
  readonly host: string;
  readonly adminToken: string | undefined;
}

/**
 * @throws Problem 403 where a loopback node is called by another name, or another site wants to change state or to
 *   open a socket (browsers do not apply the same-origin policy to WebSockets)
 */
export function checkOrigin(request: FastifyRequest, rules: AccessRules): void {
  const host = request.headers.host;
  if (isLoopbackHost(rules.host) && (host === undefined || !isLoopbackHost(hostName(host)))) {
    throw new Problem(403, 'host-not-allowed', 'this node listens on loopback: call it as localhost or 127.0.0.1');
  }
  const changesState = request.method !== 'GET' && request.method !== 'HEAD';
  if (!changesState && request.headers.upgrade === undefined) return;
  const origin = request.headers.origin;
  const foreign = origin !== undefined && origin !== `http://${host}` && origin !== `https://${host}`;
  if (foreign || request.headers['sec-fetch-site'] === 'cross-site') {
    throw new Problem(403, 'origin-not-allowed', 'pages of other sites may not do this');
  }
}

/**
 * Administrative calls: open on loopback, a bearer token everywhere else, and on loopback too once one is set.
 *
 * @throws Problem 401 or 403
 */
export function checkAdmin(request: FastifyRequest, rules: AccessRules): void {
  if (rules.adminToken === undefined) {
    if (isLoopbackHost(rules.host)) return;
    throw new Problem(
      403,
      'admin-disabled',
      `this node listens on ${rules.host}: administrative calls need a token; set it with --admin-token or GRAPEVINE_ADMIN_TOKEN`,
    );
  }
  const header = request.headers.authorization;
  if (header === undefined) {
    throw new Problem(401, 'unauthorized', 'send Authorization: Bearer <token>', challenge('Bearer'));
  }
  const token = /^Bearer +(\S+)$/i.exec(header)?.[1];
  if (token === undefined || !equalSecrets(token, rules.adminToken)) {
    throw new Problem(401, 'unauthorized', 'the token is not valid', challenge('Bearer error="invalid_token"'));
  }
}

function challenge(value: string): { headers: Record<string, string> } {
  return { headers: { 'www-authenticate': value } };
}

/** Constant-time; hashing first makes the lengths equal. */
function equalSecrets(a: string, b: string): boolean {
  const digest = (text: string) => createHash('sha256').update(text).digest();
  return timingSafeEqual(digest(a), digest(b));
}
