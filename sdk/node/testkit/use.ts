import KeyNestDefault, {
  APIError, Collection, Conflict, Environment, KeyNest, KeyNestError, NotFound, Project, RateLimited, Variable, verifyWebhook,
} from '@keynest/sdk';

// Compiled, never run: what the types must allow, and what they must not.

interface Book {
  title: string;
  year?: number;
}

export async function use(): Promise<void> {
  const client = new KeyNest({ token: 'x', baseUrl: ['http://a', 'http://b'], timeout: 1000, maxRetries: 2, tls: { ca: '' } });
  new KeyNestDefault();
  const projects: Project[] = await client.projects.list({ organizationId: 1, search: 'a' });
  for await (const environment of client.projects.environments(projects[0]!.id)) {
    const same: Environment = environment;
    const type: 'development' | 'staging' | 'production' | 'testing' = same.environment_type;
    void type;
  }
  const made: Variable = await client.variables.create({ key: 'A', value: 'v', environmentId: 1 }, { timeout: 5, idempotencyKey: null });
  const then = await client.environments.variables(1, { at: new Date(), resolve: true }).page();
  const unknown: string[] | undefined = then.unknown;
  const text: string = await client.environments.export(1, { style: 'shell' });
  const values: Record<string, string> = await client.environments.values(1);
  const summary: number = (await client.environments.importFile(1, 'a.env', { overwrite: false })).summary.imported;
  const removed: string[] = (await client.environments.promote(1, { to: 2, keys: ['A'], removeMissing: true })).deleted;
  const token: string = (await client.serviceTokens.create({ name: 'ci', projectId: 1, expiresIn: '30d' })).token;
  const counted: number | bigint = await client.bucket('b', 'k').increment('n', 2n);
  const stored: string | null = await (await client.createBucket({ secretKey: 's' })).get('k', { signal: AbortSignal.timeout(5) });
  const books: Collection<Book> = client.database({ key: 'k' }).collection<Book>('books');
  const id: string = (await books.insert({ title: 'Emma' }))._id;
  const many: string[] = (await books.insert([{ title: 'Emma' }])).map((b) => b._id);
  const event: string = verifyWebhook(new Uint8Array(), { 'webhook-id': 'x' }, 's', { tolerance: 5 }).event;
  const own = await client.request<{ a: number }>('GET', '/api/a/', { query: { pageSize: 1 } });
  try {
    await client.variables.update(made.id, { value: 'w', version: made.version });
  } catch (e) {
    if (e instanceof RateLimited) {
      const wait: number | null = e.retryAfter;
      void wait;
    }
    if (e instanceof Conflict || e instanceof NotFound || e instanceof APIError) {
      const said: string = e.error + e.code + e.status;
      void said;
    }
    if (e instanceof KeyNestError && e.outcomeUnknown) {
      throw e;
    }
  }
  void [unknown, text, values, summary, removed, token, counted, stored, id, many, event, own.a];
}

// What must not compile.
export async function misuse(client: KeyNest): Promise<void> {
  // @ts-expect-error
  await client.variables.create({ key: 'A', environment: 1 });
  // @ts-expect-error
  await client.environments.create({ name: 'x', projectId: 1, environmentType: 'prod' });
  // @ts-expect-error
  await client.serviceTokens.create({ name: 'ci' });
  // @ts-expect-error
  (await client.variables.get(1)).value;
  // @ts-expect-error
  await client.environments.copy(1, { to: 2, removeMissing: true });
  // @ts-expect-error
  await client.projects.list({ organisationId: 1 });
  // @ts-expect-error
  client.database({});
  // @ts-expect-error
  verifyWebhook({ event: 'x' }, {}, 's');
  // @ts-expect-error
  new KeyNest({ retries: 1 });
}
