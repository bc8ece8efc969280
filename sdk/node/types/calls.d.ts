/** Wishes for one call. */
export interface CallOptions {
  /** Milliseconds with all tries; the client's timeout if it is not given. */
  timeout?: number;
  /** Ends the call: it rejects with the signal's reason. A write may have taken effect. */
  signal?: AbortSignal;
  /**
   * What makes a write take effect once however often it is sent: 16 to 128
   * visible ASCII characters. Drawn for each call if it is not given; null sends
   * none, and the write is then not repeated once it may have taken effect.
   */
  idempotencyKey?: string | null;
}

/** Names and values of a query; camel case is fine. */
export type Query = Record<string, string | number | boolean | Date | null | undefined>;

/** A user's, organization's or other thing's number. */
export type Id = number | string;

/** A time: 2026-01-31T10:30:00Z, a day, or a Date. */
export type Time = string | Date;

/** What chooses pages of a list. */
export interface Paging {
  /** Only this page. */
  page?: number;
  /** 1 to 100. */
  pageSize?: number;
}

export interface Page<T> {
  count: number;
  next: string | null;
  previous: string | null;
  results: T[];
}

/**
 * A list that has not been fetched yet. `await` it for an array of everything,
 * go over it with `for await` to fetch page by page, or take one page. Every use
 * fetches anew. Pages are read one after the other, so a list of several is no
 * picture of one moment.
 */
export class Listing<T, P extends Page<T> = Page<T>> implements PromiseLike<T[]>, AsyncIterable<T> {
  private constructor();
  page(number?: number | 'last'): Promise<P>;
  pages(): AsyncGenerator<P, void, undefined>;
  all(): Promise<T[]>;
  [Symbol.asyncIterator](): AsyncGenerator<T, void, undefined>;
  then<A = T[], B = never>(
    fulfilled?: ((items: T[]) => A | PromiseLike<A>) | null, rejected?: ((reason: any) => B | PromiseLike<B>) | null,
  ): Promise<A | B>;
  catch<B = never>(rejected?: ((reason: any) => B | PromiseLike<B>) | null): Promise<T[] | B>;
  finally(done?: (() => void) | null): Promise<T[]>;
}
