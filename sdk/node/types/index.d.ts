import {
  AuditLogs, Auth, Environments, Organizations, Projects, ServiceTokens, Variables, Webhooks,
} from './resources';
import { Bucket, BucketSettings, Database } from './storage';
import { CallOptions, Query } from './calls';

export * from './calls';
export * from './errors';
export * from './objects';
export * from './resources';
export * from './storage';
export * from './signature';

/** How to reach a cluster. */
export interface Config {
  /** A user's token or a service token; KEYNEST_TOKEN if it is not given. */
  token?: string | null;
  /** One or several endpoints; KEYNEST_BASE_URL, separated by commas, if not given, and else http://localhost:8000. */
  baseUrl?: string | readonly string[];
  /** Milliseconds that a call may take with all its tries; 30,000. */
  timeout?: number;
  /** How many more times all endpoints are asked when none could serve; 4. */
  maxRetries?: number;
  /** Options of https.Agent, such as ca, cert and key. */
  tls?: object;
}

/**
 * A client of a cluster. It connects when it is used, keeps connections, and
 * serves any number of calls at once. Printing it shows no token.
 */
export class KeyNest {
  constructor(config?: Config);

  readonly auth: Auth;
  readonly organizations: Organizations;
  readonly projects: Projects;
  readonly environments: Environments;
  readonly variables: Variables;
  readonly auditLogs: AuditLogs;
  readonly serviceTokens: ServiceTokens;
  readonly webhooks: Webhooks;

  /** The base URLs, in the order they were given. */
  readonly endpoints: string[];

  /** A handle on a bucket of KVdb; key is one of its keys or an access token. */
  bucket(id: string, key?: string): Bucket;
  /** Makes a bucket of KVdb. The handle has its secret key, if it has one. */
  createBucket(settings?: BucketSettings, options?: CallOptions): Promise<Bucket>;
  /** A handle on a database of RestDB; host is its name where the cluster has several. */
  database(access: { key: string; host?: string }): Database;

  /** Any call of the API: the JSON of its answer, null if it has no body. */
  request<T = unknown>(method: string, path: string, message?: { query?: Query; body?: unknown }, options?: CallOptions): Promise<T>;
  health(options?: CallOptions): Promise<{ status: string; service: string; version: string }>;
  /** Ends the connections that are kept. The client can still be used. */
  close(): void;
}
