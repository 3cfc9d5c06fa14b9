// The peer: oidc-provider with opaque access tokens of client credentials, and introspection. PORT FILE COUNT
import { writeFileSync } from 'node:fs';
import Provider from 'oidc-provider';

const [port, file, count] = process.argv.slice(2);

// The adapter that comes with it forgets after a thousand entries; this one holds all, and is as simple.
const stored = new Map();
class Memory {
  constructor(name) { this.name = name; }
  async upsert(id, payload) { stored.set(`${this.name}:${id}`, payload); }
  async find(id) { return stored.get(`${this.name}:${id}`); }
  async destroy(id) { stored.delete(`${this.name}:${id}`); }
  async consume(id) { stored.get(`${this.name}:${id}`).consumed = Math.floor(Date.now() / 1000); }
  async findByUid() { return undefined; }
  async findByUserCode() { return undefined; }
  async revokeByGrantId() {}
}

const provider = new Provider(`http://127.0.0.1:${port}`, {
  adapter: Memory,
  clients: [{
    client_id: 'service',
    client_secret: 'service-secret',
    grant_types: ['client_credentials'],
    redirect_uris: [],
    response_types: [],
  }],
  scopes: ['read'],
  ttl: { ClientCredentials: 43200 },
  features: {
    clientCredentials: { enabled: true },
    devInteractions: { enabled: false },
    introspection: { enabled: true, allowedPolicy: () => true },
  },
});

const client = await provider.Client.find('service');
const tokens = [];
for (let made = 0; made < Number(count); made += 1) {
  tokens.push(await new provider.ClientCredentials({ client, scope: 'read' }).save());
}
writeFileSync(file, `${tokens.join('\n')}\n`);
provider.listen(Number(port), '127.0.0.1');
