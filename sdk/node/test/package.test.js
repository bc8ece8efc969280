'use strict';

const test = require('node:test');
const assert = require('node:assert/strict');
const { execFileSync, spawnSync } = require('node:child_process');
const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');

const root = path.join(__dirname, '..');
const manifest = require('../package.json');

function folder(t) {
  const dir = fs.mkdtempSync(path.join(os.tmpdir(), 'keynest-'));
  t.after(() => fs.rmSync(dir, { recursive: true }));
  return dir;
}

/** The files below a folder, relative to the package. */
function files(dir) {
  return fs.readdirSync(path.join(root, dir), { withFileTypes: true }).flatMap((entry) => {
    const name = path.posix.join(dir, entry.name);
    return entry.isDirectory() ? files(name) : [name];
  });
}

/** Packs and unpacks the package into node_modules of a folder, or skips. */
function install(t) {
  const dir = folder(t);
  const packed = spawnSync('npm', ['pack', '--json', '--offline', '--pack-destination', dir], {
    cwd: root, encoding: 'utf8', env: { ...process.env, npm_config_cache: path.join(dir, 'cache') },
  });
  if (packed.error?.code === 'ENOENT') {
    t.skip('this machine has no npm');
    return null;
  }
  assert.equal(packed.status, 0, packed.stderr);
  const [about] = JSON.parse(packed.stdout);
  const to = path.join(dir, 'node_modules', '@keynest', 'sdk');
  fs.mkdirSync(to, { recursive: true });
  execFileSync('tar', ['xzf', path.join(dir, about.filename), '-C', to, '--strip-components=1']);
  return { dir, packed: about.files.map((f) => f.path).sort() };
}

test('the package holds what is needed and nothing else, and can be imported in every way', (t) => {
  const installed = install(t);
  if (!installed) {
    return;
  }
  const want = ['LICENSE', 'README.md', 'index.d.mts', 'index.d.ts', 'index.js', 'index.mjs', 'package.json', ...files('lib'), ...files('types')];
  assert.deepEqual(installed.packed, want.sort());
  const programs = {
    'a.cjs': "const { KeyNest } = require('@keynest/sdk'); new KeyNest({ token: 'x' });",
    'b.cjs': "const KeyNest = require('@keynest/sdk'); new KeyNest({ token: 'x' });",
    'c.mjs': "import { KeyNest } from '@keynest/sdk'; new KeyNest({ token: 'x' });",
    'd.mjs': "import KeyNest, { NotFound } from '@keynest/sdk'; new KeyNest({ token: 'x' }); if (KeyNest.NotFound !== NotFound) throw 1;",
    'e.mjs': "import { createRequire } from 'node:module'; import K from '@keynest/sdk'; if (createRequire(import.meta.url)('@keynest/sdk') !== K) throw 1;",
  };
  for (const [name, text] of Object.entries(programs)) {
    const file = path.join(installed.dir, name);
    fs.writeFileSync(file, text);
    assert.equal(execFileSync(process.execPath, [file], { encoding: 'utf8', stdio: ['ignore', 'pipe', 'inherit'] }), '', name);
  }
});

test('the package depends on nothing and runs nothing when it is installed', () => {
  for (const field of ['dependencies', 'peerDependencies', 'optionalDependencies', 'bundleDependencies']) {
    assert.equal(manifest[field], undefined);
  }
  assert.deepEqual(Object.keys(manifest.scripts), ['test']);
  for (const file of ['index.js', ...files('lib')]) {
    for (const [, name] of fs.readFileSync(path.join(root, file), 'utf8').matchAll(/require\('([^']+)'\)/g)) {
      assert.match(name, /^(node:|\.\.?\/)/, file);
    }
  }
});

test('both ways of importing give the same names', async () => {
  const names = Object.keys(require('../index.js')).sort();
  assert.deepEqual(Object.keys(await import('../index.mjs')).sort(), names);
});

// Which methods and classes there are, by reading the declarations. What they
// take is checked by the compiler below, where there is one.
test('the types declare what there is', () => {
  const declared = new Map();
  for (const file of files('types')) {
    const text = fs.readFileSync(path.join(root, file), 'utf8').replace(/\/\*\*[^]*?\*\//g, '');
    for (const [, name, body] of text.matchAll(/^export class (\w+)[^{]*\{([^]*?)^\}|^export class \w+ extends \w+ \{\}/gm)) {
      declared.set(name, [...(body ?? '').matchAll(/^ {2}(?:readonly )?(\w+)(?:<.*>)?[(:]/gm)].map(([, m]) => m));
    }
  }
  const exported = require('../index.js');
  const client = new exported.KeyNest({ token: 'x' });
  const things = {
    KeyNest: client, Bucket: client.bucket('b'), Database: client.database({ key: 'k' }), Collection: client.database({ key: 'k' }).collection('c'),
    Listing: client.projects.list(), Auth: client.auth, Organizations: client.organizations, Projects: client.projects,
    Environments: client.environments, Variables: client.variables, AuditLogs: client.auditLogs, ServiceTokens: client.serviceTokens,
    Webhooks: client.webhooks,
  };
  for (const [name, thing] of Object.entries(things)) {
    const has = [...Object.getOwnPropertyNames(Object.getPrototypeOf(thing)), ...Object.keys(thing)].filter((m) => m !== 'constructor');
    const says = declared.get(name).filter((m) => m !== 'constructor');
    assert.deepEqual([...new Set(says)].sort(), has.sort(), name);
  }
});

test('a program with types compiles, and wrong ones do not', (t) => {
  const tsc = spawnSync('tsc', ['--version'], { encoding: 'utf8' });
  if (tsc.error) {
    t.skip('this machine has no tsc');
    return;
  }
  const installed = install(t);
  if (!installed) {
    return;
  }
  const used = fs.readFileSync(path.join(root, 'testkit', 'use.ts'));
  fs.writeFileSync(path.join(installed.dir, 'use.mts'), used);
  fs.writeFileSync(path.join(installed.dir, 'use.cts'), used);
  fs.writeFileSync(path.join(installed.dir, 'buffer.d.ts'), 'interface Buffer extends Uint8Array {}\n');
  fs.writeFileSync(path.join(installed.dir, 'tsconfig.json'), JSON.stringify({
    compilerOptions: { noEmit: true, strict: true, target: 'es2022', lib: ['es2022', 'dom', 'esnext.disposable'], module: 'node16', types: [] },
    files: ['buffer.d.ts', 'use.mts', 'use.cts'],
  }));
  const compiled = spawnSync('tsc', ['-p', '.'], { cwd: installed.dir, encoding: 'utf8' });
  assert.equal(compiled.status, 0, compiled.stdout);
});
