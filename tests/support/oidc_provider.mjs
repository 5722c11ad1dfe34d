// A real OpenID provider for tests, certified by its foundation: node oidc_provider.mjs PORT ISSUER CALLBACK RESOURCE FOLDER
// FOLDER has node_modules with oidc-provider.
import { createRequire } from 'node:module';
import { pathToFileURL } from 'node:url';

const [port, issuer, callback, resource, folder] = process.argv.slice(2);
const require = createRequire(`${folder}/x.js`);
const { default: Provider } = await import(pathToFileURL(require.resolve('oidc-provider')).href);

const server = {
  scope: 'cutouts:read cutouts:submit', audience: resource, accessTokenFormat: 'jwt', accessTokenTTL: 300,
  jwt: { sign: { alg: 'RS256' } },
};
const provider = new Provider(issuer, {
  clients: [
    { client_id: 'fountain', client_secret: 's3cret', redirect_uris: [callback], grant_types: ['authorization_code'],
      response_types: ['code'] },
    { client_id: 'pipeline', client_secret: 'r0bot', redirect_uris: [], response_types: [],
      grant_types: ['client_credentials'] },
  ],
  claims: {
    openid: ['sub'], email: ['email', 'email_verified'], profile: ['name', 'preferred_username'],
    groups: ['groups', 'organisation'],
  },
  scopes: ['openid', 'offline_access', 'cutouts:read', 'cutouts:submit'],
  findAccount: async (ctx, id) => ({
    accountId: id,
    claims: async () => ({
      sub: id, email: 'shared@soda.test', email_verified: true, preferred_username: id, name: `${id} of SSO`,
      organisation: id === 'mallory' ? 'elsewhere' : 'example', groups: id === 'alice' ? ['/surveys/x', '/staff'] : [],
    }),
  }),
  conformIdTokenClaims: false,
  cookies: { keys: ['of tests'] },
  pkce: { required: () => true },
  features: {
    devInteractions: { enabled: true }, clientCredentials: { enabled: true },
    resourceIndicators: {
      enabled: true, defaultResource: (ctx) => ctx.oidc?.params?.resource ?? [], useGrantedResource: () => true,
      getResourceServerInfo: (ctx, asked) => { if (asked !== resource) throw new Error('invalid_target'); return server; },
    },
  },
});
provider.listen(Number(port), '127.0.0.1', () => console.log('ready'));
