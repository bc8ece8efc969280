import { CallOptions } from './calls';

/** Keys and defaults of a bucket. */
export interface BucketSettings {
  secretKey?: string;
  writeKey?: string;
  readKey?: string;
  signingKey?: string;
  /** Seconds until a key expires that is not written again; 0 = never. A week if it is not given. */
  defaultTtl?: number;
  /** A chosen id, which needs the cluster's rootKey. */
  id?: string;
  rootKey?: string;
}

export interface Entry {
  value: Buffer;
  etag: string;
  version: string;
}

/** How a key is written. */
export interface Write {
  /** Seconds, 0 = for ever; the bucket's default if it is not given. */
  ttl?: number;
  /** Only if the key has this etag, or exists ("*"); else a Conflict. */
  ifMatch?: string;
  /** Only if the key has not this etag, or does not exist ("*"); else a Conflict. */
  ifNoneMatch?: string;
}

export interface KeyQuery {
  prefix?: string;
  /** RE2, anywhere in the key unless anchored. */
  regex?: string;
  reverse?: boolean;
  skip?: number;
  limit?: number;
}

export type Operation = { set: string; value: unknown; ttl?: number } | { delete: string };

/** A bucket of KVdb. */
export class Bucket {
  private constructor();
  readonly id: string;
  /** The value as text, or null if the key is not there. */
  get(key: string, options?: CallOptions): Promise<string | null>;
  getEntry(key: string, options?: CallOptions): Promise<Entry | null>;
  set(key: string, value: string | Uint8Array | number | bigint, write?: Write, options?: CallOptions): Promise<{ etag: string; version: string }>;
  /** Adds to a number, a missing key counting as 0; a bigint if the sum is whole and beyond what a number holds exactly. */
  increment(key: string, by?: number | bigint | string, write?: { ttl?: number }, options?: CallOptions): Promise<number | bigint>;
  delete(key: string, write?: Omit<Write, 'ttl'>, options?: CallOptions): Promise<void>;
  /** Up to 10,000 keys in the order of their bytes, from one moment. */
  keys(query?: KeyQuery, options?: CallOptions): Promise<string[]>;
  entries(query?: KeyQuery, options?: CallOptions): Promise<Array<[string, unknown]>>;
  /** All keys, one request for 10,000. Keys that are made or deleted meanwhile may move others between requests. */
  allKeys(query?: KeyQuery, options?: CallOptions): AsyncGenerator<string, void, undefined>;
  allEntries(query?: KeyQuery, options?: CallOptions): AsyncGenerator<[string, unknown], void, undefined>;
  /** All of up to 1000 operations in order, or none. */
  transaction(operations: readonly Operation[], options?: CallOptions): Promise<void>;
  /** Changes the policy; "" removes a key. */
  update(settings: Omit<BucketSettings, 'id' | 'rootKey'>, options?: CallOptions): Promise<void>;
  createToken(
    token?: { prefix?: string; permissions?: ReadonlyArray<'read' | 'write' | 'enumerate' | 'delete'> | string; ttl?: number }, options?: CallOptions,
  ): Promise<string>;
  /** Deletes the bucket with everything in it. */
  drop(options?: CallOptions): Promise<void>;
}

export interface Search {
  /** 1000 if it is not given. */
  max?: number;
  skip?: number;
  sort?: string;
  dir?: 1 | -1;
  /** Words of the document that begin so. */
  filter?: string;
  metafields?: boolean;
  /** RestDB's `h`: $fields, $orderby, $groupby, $aggregate and so on. */
  hints?: Record<string, unknown>;
  /** More of RestDB's parameters. */
  [parameter: string]: unknown;
}

export type Stored<T> = T & { _id: string };

/** A database of RestDB. */
export class Database {
  private constructor();
  collection<T extends object = Record<string, any>>(name: string): Collection<T>;
}

/** A collection of documents. Each write is one atomic change. */
export class Collection<T extends object = Record<string, any>> {
  private constructor();
  readonly name: string;
  find(query?: object, search?: Search, options?: CallOptions): Promise<Array<Stored<T>>>;
  /** All matches in the order of their _id, a page at a time. */
  iterate(query?: object, search?: Omit<Search, 'max' | 'skip' | 'sort' | 'dir'> & { pageSize?: number }, options?: CallOptions): AsyncGenerator<Stored<T>, void, undefined>;
  count(query?: object, options?: CallOptions): Promise<number>;
  get(id: string, search?: Search, options?: CallOptions): Promise<Stored<T>>;
  /** Of an array all or nothing is stored. */
  insert(document: T, options?: CallOptions): Promise<Stored<T>>;
  insert(documents: readonly T[], options?: CallOptions): Promise<Array<Stored<T>>>;
  /** Changes fields, with operators such as $inc and $push. */
  update(id: string, changes: object, condition?: { version?: number }, options?: CallOptions): Promise<Stored<T>>;
  replace(id: string, document: T, condition?: { version?: number }, options?: CallOptions): Promise<Stored<T>>;
  delete(id: string, options?: CallOptions): Promise<void>;
  /** Deletes by a query ({} means all) or by ids; how many that were. */
  deleteMany(what: object | readonly string[], options?: CallOptions): Promise<number>;
}
